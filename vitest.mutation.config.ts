/** The quick tests, each the same every time: what mutation testing asks of every change (`stryker.config.mjs`). */
import { defineConfig } from 'vitest/config';

/** Rooms of tests; `EVAQ_MUTATE_TESTS` names fewer of them, or files. */
const TESTS = process.env['EVAQ_MUTATE_TESTS'] ?? 'segment,tombstone,gc,log,queue,store,raw,index,intake,limits,time';
/** Processes and threads of their own, and real time. */
const SLOW = [
  'test/unit/store/{worker-threads,native-unavailable,store-locked,one-writer,holds}.test.ts',
  'test/unit/gc/gc-load.test.ts',
];

const config: ReturnType<typeof defineConfig> = defineConfig({
  test: {
    include: TESTS.split(',').map((room) => (room.endsWith('.ts') ? room : `test/unit/${room}/**/*.test.ts`)),
    exclude: SLOW,
    setupFiles: ['test/seeded.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    isolate: false,
    fileParallelism: false,
    reporters: ['default'],
  },
});
export default config;
