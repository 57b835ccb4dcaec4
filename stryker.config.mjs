/**
 * Mutation testing: small changes to the engine, one at a time, each of which a quick test has to find. `npm run mutation -- tombstone` runs one room
 * (`scripts/mutation.mjs`), since all of them take hours; what was found, and what is equivalent, stands in docs/mutation.md.
 */
const mutate = (process.env['EVAQ_MUTATE'] ?? 'src/{segment,tombstone,gc,log,queue,store,raw}/**/*.ts').split(',');

/** @type {import('@stryker-mutator/api/core').PartialStrykerOptions} */
const config = {
  mutate,
  testRunner: 'vitest',
  vitest: { configFile: 'vitest.mutation.config.ts', related: false },
  plugins: ['@stryker-mutator/vitest-runner'],
  coverageAnalysis: 'perTest',
  // Each has a machine of its own; two would take each other's time, and with it the bounds of those that hang.
  concurrency: 1,
  // What is killed once is not run again unless it or its tests have changed.
  incremental: true,
  incrementalFile: '.stryker/incremental.json',
  tempDirName: '.stryker/tmp',
  ignorePatterns: ['bench', 'docs', 'dist', '.stryker', 'examples'],
  reporters: ['clear-text', 'json', 'progress-append-only'],
  clearTextReporter: { allowColor: false, logTests: false, reportTests: false, reportScoreTable: true },
  jsonReporter: { fileName: '.stryker/mutation.json' },
  mutator: {
    excludedMutations: [
      // Nearly all are messages and hints, which nobody is to match; codes and names of files stand in tests of their own.
      'StringLiteral',
      // Options and details that are left out do not compile: there is nothing to be found out about them.
      'ObjectLiteral',
      // Of `a?.b` to `a.b`: where the type allows nothing else, it does not compile either.
      'OptionalChaining',
    ],
  },
  // Static mutants need a worker each, for constants of which a test of their relations is at load.
  ignoreStatic: true,
  disableTypeChecks: '{src,test}/**/*.ts',
  timeoutMS: 20_000,
  timeoutFactor: 4,
  allowEmpty: true,
  checkers: [],
};
export default config;
