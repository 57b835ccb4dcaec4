import * as evaq from 'evaq';
import { afterEach, test, vi } from 'vitest';
import { newFolder } from './folder.cjs';
import { mainCalls } from './main-calls.cjs';

afterEach(() => vi.useRealTimers());

test('the main calls', () => mainCalls(evaq, newFolder()));
test('the main calls, under a clock that stands still', async () => {
  vi.useFakeTimers();
  await mainCalls(evaq, newFolder());
});
