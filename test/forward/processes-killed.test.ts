/** `evaq forward` to each destination, killed, beside a server that is killed: `npm run forward-torture` does it at length. */
import { beforeAll, describe, expect, test } from 'vitest';
import { cliPath } from '../cli/support/evaq-cli.js';
import { because } from './brokers.js';
import { forwardTorture } from './forward-torture.js';
import { GROUNDS, type GroundName, whyNoGround } from './grounds.js';

const SMALL: readonly GroundName[] = ['http', 'redis', 'rabbitmq', 'nats', 'postgres'];

let cli = '';
beforeAll(async () => {
  cli = await cliPath();
});

describe('P16: the forwarding process is killed, and its destination: nothing is lost, what comes twice has the same ID', () => {
  for (const name of SMALL) {
    const missing = whyNoGround(name);
    test.skipIf(missing !== undefined)(`${name}${because(missing)}`, async () => {
      const ground = await GROUNDS[name]();
      try {
        // A request a record takes its time.
        const records = name === 'http' ? 500 : 1000;
        const { doubles, kills } = await forwardTorture(ground, {
          cli,
          records,
          kills: 2,
          batch: 20,
          rate: records / 2,
        });
        expect(kills).toBeGreaterThan(0);
        expect(doubles).toBeLessThan(records);
      } finally {
        await ground.end();
      }
    });
  }
});
