const { newFolder } = require('./folder.cjs');
const { mainCalls } = require('./main-calls.cjs');

test('the main calls, of a module that a CommonJS test imports', async () =>
  mainCalls(await import('evaq'), newFolder()));
