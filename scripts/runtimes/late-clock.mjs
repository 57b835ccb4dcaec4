// The library is loaded when the clock stands still already, and every method that can be replaced has been.
import { install } from '@sinonjs/fake-timers';
import { newFolder } from './folder.cjs';
import { mainCalls } from './main-calls.cjs';

install({
  toFake: [
    'setTimeout',
    'setInterval',
    'setImmediate',
    'clearTimeout',
    'clearInterval',
    'clearImmediate',
    'nextTick',
    'queueMicrotask',
    'performance',
    'hrtime',
    'Date',
  ],
});
await mainCalls(await import('evaq'), newFolder());
// By a descriptor: a stream of the console would wait for the clock.
const { writeSync } = await import('node:fs');
writeSync(1, 'done\n');
