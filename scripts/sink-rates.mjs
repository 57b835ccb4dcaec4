// Each sink beside its bare client, in turns on one server: npm run sink-rates -- [--to redis,nats] [--messages 10000] [--rounds 7] [--batch 500]
import { loadBundled } from './load-bundled.mjs';
import { count, scriptOptions, text } from './script-options.mjs';

const { to, messages, rounds, batch } = scriptOptions(
  'sink-rates -- [--to NAMES] [--messages N] [--rounds N] [--batch N]',
  {
    to: text('http,redis,rabbitmq,nats,postgres,mqtt,kafka,s3'),
    messages: count(10_000),
    rounds: count(7),
    batch: count(500),
  },
);
const { whyNoGround } = await loadBundled('test/forward/grounds.ts');
const { sinkRate } = await loadBundled('test/forward/sink-rates.ts');
console.log('destination    sink/s   client/s      ratio    sink µs  client µs');
for (const name of to.split(',')) {
  const missing = whyNoGround(name);
  if (missing !== undefined) {
    console.log(`${name}: skipped, ${missing}`);
    continue;
  }
  const { sink, client, ratio, sinkCpu, clientCpu } = await sinkRate(name, { messages, rounds, batch });
  const columns = [
    Math.round(sink),
    Math.round(client),
    ratio.toFixed(2),
    sinkCpu.toFixed(1),
    clientCpu.toFixed(1),
  ].map((one) => String(one).padStart(11));
  console.log(`${name.padEnd(10)}${columns.join('')}`);
}
