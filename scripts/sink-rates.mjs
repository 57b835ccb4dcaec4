// Each sink beside its bare client, in turns on one server: npm run sink-rates -- [--to redis,nats] [--messages 10000] [--rounds 7] [--batch 500]
import { parseArgs } from 'node:util';
import { loadBundled } from './load-bundled.mjs';

const { values } = parseArgs({
  options: {
    to: { type: 'string', default: 'http,redis,rabbitmq,nats,postgres,mqtt,kafka,s3' },
    messages: { type: 'string', default: '10000' },
    rounds: { type: 'string', default: '7' },
    batch: { type: 'string', default: '500' },
  },
});
const [messages, rounds, batch] = [values.messages, values.rounds, values.batch].map(Number);
if (![messages, rounds, batch].every((count) => Number.isSafeInteger(count) && count > 0)) {
  console.error('usage: npm run sink-rates -- [--to NAMES] [--messages N] [--rounds N] [--batch N]');
  process.exit(2);
}
const { whyNoGround } = await loadBundled('test/forward/grounds.ts');
const { sinkRate } = await loadBundled('test/forward/sink-rates.ts');
console.log('destination    sink/s   client/s      ratio    sink µs  client µs');
for (const name of values.to.split(',')) {
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
