const evaq = require('evaq');
const { newFolder } = require('./folder.cjs');
const { mainCalls } = require('./main-calls.cjs');

afterEach(() => jest.useRealTimers());

test('the main calls', () => mainCalls(evaq, newFolder()));
test('the main calls, under a clock that stands still', async () => {
  jest.useFakeTimers();
  await mainCalls(evaq, newFolder());
});
