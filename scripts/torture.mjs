// Runs the crash properties with fresh seeds, or the histories of several clients: npm run torture -- --minutes 10 [--seed 1] [--histories]
import { loadBundled } from './load-bundled.mjs';
import { flag, positive, scriptOptions, whole } from './script-options.mjs';

const { minutes, seed, histories } = scriptOptions('torture -- [--minutes N] [--seed N] [--histories]', {
  minutes: positive(5),
  seed: whole(Math.floor(Math.random() * 2 ** 30)),
  histories: flag(),
});
const { torture, tortureHistories } = await loadBundled('test/property/support/torture.ts');
process.exitCode = (await (histories ? tortureHistories : torture)(minutes, seed)) ? 0 : 1;
