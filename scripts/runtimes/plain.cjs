const evaq = require('evaq');
const { newFolder } = require('./folder.cjs');
const { mainCalls } = require('./main-calls.cjs');

mainCalls(evaq, newFolder()).then(
  () => console.log('done'),
  (error) => {
    console.error(error);
    process.exitCode = 1;
  },
);
