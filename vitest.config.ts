import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Files that take minutes, by name: begun last they would leave one of two cores idle. */
const LONG = /\/(?:planted-|store-model|corruption|crash-|real-strace|sigkill)/;

class LongFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const isLong = ({ moduleId }: TestSpecification): boolean => LONG.test(moduleId);
    return [...sorted.filter(isLong), ...sorted.filter((file) => !isLong(file))];
  }
}

const config: ReturnType<typeof defineConfig> = defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    setupFiles: ['test/seeded.ts', 'test/kept-contract.ts'],
    // Only to end a test that would hang: no test is about time, and a busy machine may take its own.
    testTimeout: 300_000,
    hookTimeout: 300_000,
    pool: 'forks',
    // The default leaves one of two cores idle.
    maxWorkers: 2,
    sequence: { sequencer: LongFirst },
    reporters: ['default'],
  },
});
export default config;
