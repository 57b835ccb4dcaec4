import { mock, test } from 'node:test';
import * as evaq from 'evaq';
import { newFolder } from './folder.cjs';
import { mainCalls } from './main-calls.cjs';

void test('the main calls', () => mainCalls(evaq, newFolder()));
void test('the main calls, under a clock that stands still', async () => {
  mock.timers.enable({ apis: ['setTimeout', 'setInterval', 'setImmediate', 'Date'] });
  try {
    await mainCalls(evaq, newFolder());
  } finally {
    mock.timers.reset();
  }
});
