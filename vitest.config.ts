import { defineConfig } from 'vitest/config';

const config: ReturnType<typeof defineConfig> = defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    setupFiles: ['test/seeded.ts'],
    // Only to end a test that would hang: no test is about time, and a busy machine may take its own.
    testTimeout: 300_000,
    hookTimeout: 300_000,
    pool: 'forks',
    // The default leaves one of two cores idle.
    maxWorkers: 2,
    reporters: ['default'],
  },
});
export default config;
