// Forwards to real servers while they and the forwarding process are killed: npm run forward-torture -- [--to redis,nats] [--records 10000] [--kills 6]
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { loadBundled, root } from './load-bundled.mjs';
import { count, scriptOptions, text } from './script-options.mjs';

const { to, records, kills, batch } = scriptOptions(
  'forward-torture -- [--to NAMES] [--records N] [--kills N] [--batch N]',
  {
    to: text('http,redis,rabbitmq,nats,postgres,mqtt,kafka,s3'),
    records: count(10_000),
    kills: count(6),
    batch: count(100),
  },
);
execFileSync(process.execPath, [join(root, 'scripts/build.mjs')], { stdio: 'inherit' });
const { GROUNDS, whyNoGround } = await loadBundled('test/forward/grounds.ts');
const { forwardTorture } = await loadBundled('test/forward/forward-torture.ts');
const cli = join(root, 'dist/cli/main.js');

for (const name of to.split(',')) {
  if (GROUNDS[name] === undefined) {
    console.error(`there is no '${name}'; there are ${Object.keys(GROUNDS).join(', ')}`);
    process.exit(2);
  }
  const missing = whyNoGround(name);
  if (missing !== undefined) {
    console.log(`${name}: skipped, ${missing}`);
    continue;
  }
  const ground = await GROUNDS[name]();
  const began = performance.now();
  try {
    const { arrived, doubles, kills: hit } = await forwardTorture(ground, { cli, records, kills, batch });
    const seconds = ((performance.now() - began) / 1000).toFixed(1);
    console.log(
      `${name}: ${records} records, ${hit} kills in the middle, ${arrived} arrived, ${doubles} twice, none lost, ${seconds} s`,
    );
  } catch (error) {
    console.error(`${name}:`, error);
    process.exitCode = 1;
  } finally {
    await ground.end();
  }
}
