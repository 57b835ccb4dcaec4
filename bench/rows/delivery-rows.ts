/**
 * Rows about delivery: how fast records go through handlers that do nothing, and what those cost that wait.
 */
import type { Mode } from '../contenders/contender.js';
import { openDeliverer } from '../contenders/delivering.js';
import { removeAndSettle } from '../harness/disk.js';
import { above, atLeast, below } from '../harness/goal.js';
import { PayloadSource } from '../harness/payloads.js';
import { type Case, countLabel, numberParam, RATE, type Row, textParam } from '../harness/row.js';

const SIZE = 100;
const FILL = 1000;

const LIMITS = {
  'batch, os': 300_000,
  'batch, sync': 200_000,
  'single, os': 100_000,
  'single, sync': 100_000,
} as const;

const deliver: Row = {
  name: 'deliver',
  title: 'Delivery of a backlog (100 B) by a handler that does nothing, up to the durable removal of the last record',
  unit: 'records/s',
  primary: RATE,
  cases: () =>
    (['batch', 'single'] as const).flatMap((how) =>
      (['os', 'sync'] as const).map(
        (mode): Case => ({
          label: how === 'batch' ? `batches of 1000, mode '${mode}'` : `single records, 256 handlers, mode '${mode}'`,
          params: { how, mode },
          contenders: ['evaq', 'sqlite'],
          goals: [
            above({ metric: 'rate', limit: LIMITS[`${how}, ${mode}`], unit: 'records/s' }),
            atLeast({ against: 'sqlite', factor: 1 }),
          ],
        }),
      ),
    ),
  async start(run) {
    const { removals } = run.scale;
    const mode: Mode = textParam(run.params, 'mode') === 'sync' ? 'sync' : 'os';
    const how = textParam(run.params, 'how') === 'batch' ? 'batch' : 'single';
    return {
      async round() {
        const dir = run.scratch();
        try {
          const deliverer = await openDeliverer(run.contender, { dir, mode, engine: run.engine });
          const source = new PayloadSource(SIZE, FILL);
          for (let left = removals; left > 0; left -= FILL) {
            await deliverer.fill(source.batch(Math.min(FILL, left)).payloads);
          }
          const started = performance.now();
          const ops = await deliverer.deliver(how, async () => undefined);
          const seconds = (performance.now() - started) / 1000;
          await deliverer.close();
          if (ops !== removals) throw new Error(`${ops} of ${removals} records were delivered`);
          return { ops, seconds, bytes: removals * SIZE, metrics: {} };
        } finally {
          removeAndSettle(dir);
        }
      },
    };
  },
};

const waiting: Row = {
  name: 'deliver-waiting',
  slow: true,
  title: 'Memory per record that waits to be delivered (100 B): heap and buffers, after a forced garbage collection',
  unit: 'fills/s',
  primary: { metric: 'bytesPerRecord', better: 'lower', unit: 'B' },
  cases: (scale) =>
    scale.populations.slice(-1).map(
      (records): Case => ({
        label: `${countLabel(records)} records`,
        params: { records },
        contenders: ['evaq'],
        goals: [below({ metric: 'bytesPerRecord', limit: 2, unit: 'B' })],
      }),
    ),
  async start(run) {
    const records = numberParam(run.params, 'records');
    return {
      async round() {
        const dir = run.scratch();
        try {
          const started = performance.now();
          const metrics = await run.task('waiting', { dir, records, size: SIZE });
          if (metrics === undefined) throw new Error('the task died');
          return { ops: 1, seconds: (performance.now() - started) / 1000, bytes: records * SIZE, metrics };
        } finally {
          removeAndSettle(dir);
        }
      },
    };
  },
};

export const DELIVERY_ROWS: readonly Row[] = [deliver, waiting];
