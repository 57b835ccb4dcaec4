// The main calls in threads beside each other and in the main thread.
import { isMainThread, Worker } from 'node:worker_threads';
import * as evaq from 'evaq';
import { newFolder } from './folder.cjs';
import { mainCalls } from './main-calls.cjs';

const ended = isMainThread
  ? [1, 2].map(
      () =>
        new Promise((resolve, reject) => {
          new Worker(new URL(import.meta.url)).on('error', reject).on('exit', resolve);
        }),
    )
  : [];
await mainCalls(evaq, newFolder());
await Promise.all(ended);
if (isMainThread) console.log('done');
