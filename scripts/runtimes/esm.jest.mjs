import { jest } from '@jest/globals';
import * as evaq from 'evaq';
import { newFolder } from './folder.cjs';
import { mainCalls } from './main-calls.cjs';

afterEach(() => jest.useRealTimers());

test('the main calls', () => mainCalls(evaq, newFolder()));
test('the main calls, under a clock that stands still', async () => {
  jest.useFakeTimers();
  await mainCalls(evaq, newFolder());
});
test('the errors of a second registry of modules are EvaqErrors, too', async () => {
  const { EvaqError } = evaq;
  jest.resetModules();
  const other = await import('evaq');
  expect(new other.EvaqError('EVAQ_CLOSED', 'x') instanceof EvaqError).toBe(true);
});
