/** `npm run sink-rates` at a size that says nothing of rates: it runs, and both sides deliver. */
import { expect, test } from 'vitest';
import { because } from './brokers.js';
import { type GroundName, whyNoGround } from './grounds.js';
import { sinkRate } from './sink-rates.js';

const NAMES: readonly GroundName[] = ['http', 'redis', 's3'];

for (const name of NAMES) {
  const missing = whyNoGround(name);
  test.skipIf(missing !== undefined)(`a sink beside its bare client: ${name}${because(missing)}`, async () => {
    const { sink, client, ratio } = await sinkRate(name, { messages: 40, rounds: 1, batch: 20 });
    expect(Math.min(sink, client, ratio)).toBeGreaterThan(0);
  });
}
