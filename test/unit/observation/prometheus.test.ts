/** evaq/prometheus with the real prom-client. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import client from 'prom-client';
import { describe, expect, it } from 'vitest';
import { registerMetrics } from '../../../src/prometheus.js';
import { callUntyped, newDisk, openSim, passTime } from '../store/store-fixture.js';

/** Samples by name and labels, without the buckets. */
async function scrape(registry: client.Registry): Promise<Record<string, number>> {
  const samples: Record<string, number> = {};
  for (const line of (await registry.metrics()).split('\n')) {
    const at = line.lastIndexOf(' ');
    if (line.startsWith('#') || at < 0 || line.includes('_bucket{')) continue;
    samples[line.slice(0, at)] = Number(line.slice(at + 1));
  }
  return samples;
}

describe('registerMetrics', () => {
  it('tells what a store holds and does, as of each scrape', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk);
    const registry = new client.Registry();
    const unregister = registerMetrics(evaq, { client, registry, health: { minFreeBytes: 0 } });
    await evaq.wal.pushMany(['a', 'bc', 'def']);
    await evaq.wal.remove(1);
    const delivery = evaq.evacuate(
      ({ id }) => {
        if (id === 2) throw new Error('it does not work');
      },
      { retry: { maxAttempts: 1 } },
    );
    await delivery.drained();
    await delivery.stop();
    await passTime(disk, 2000);
    const samples = await scrape(registry);
    expect(samples).toMatchObject({
      'evaq_records{queue="wal"}': 0,
      'evaq_records{queue="dead-letters"}': 1,
      'evaq_dead_records{queue="wal"}': 3,
      // With the move to the dead letters.
      'evaq_pushed_records_total{queue="wal"}': 3,
      'evaq_pushed_records_total{queue="dead-letters"}': 1,
      'evaq_pushed_bytes_total{queue="wal"}': 6,
      'evaq_removed_records_total{queue="wal"}': 3,
      'evaq_delivered_records_total{queue="wal"}': 1,
      'evaq_failed_tries_total{queue="wal"}': 1,
      'evaq_dead_lettered_records_total{queue="wal"}': 1,
      'evaq_in_flight_records{queue="wal"}': 0,
      'evaq_breakers_open{queue="wal"}': 0,
      evaq_healthy: 1,
      'evaq_health_reasons{reason="failed"}': 0,
      'evaq_delivery_seconds_count{queue="wal"}': 2,
      'evaq_commit_seconds_count{queue="wal"}': 1,
    });
    expect(samples['evaq_oldest_record_age_seconds{queue="dead-letters"}']).toBeGreaterThanOrEqual(2);
    expect(samples).not.toHaveProperty('evaq_oldest_record_age_seconds{queue="wal"}');
    expect(samples['evaq_disk_free_bytes']).toBeGreaterThan(0);
    // Asked again they are the same, not twice as much.
    expect(await scrape(registry)).toMatchObject({ 'evaq_pushed_records_total{queue="wal"}': 3 });
    await evaq.wal.push('more');
    expect(await scrape(registry)).toMatchObject({
      'evaq_records{queue="wal"}': 1,
      'evaq_pushed_records_total{queue="wal"}': 4,
    });
    unregister();
    unregister();
    expect(registry.getMetricsAsArray()).toEqual([]);
    await evaq.close();
  });

  it('counts go on where a delivery has ended, and its stop is none', async () => {
    const evaq = await openSim(newDisk());
    const registry = new client.Registry();
    const unregister = registerMetrics(evaq, { client, registry });
    for (let i = 1; i <= 3; i++) {
      await evaq.wal.push('a');
      const delivery = evaq.evacuate(() => undefined);
      await delivery.drained();
      await delivery.stop();
      expect(await scrape(registry)).toMatchObject({ 'evaq_delivered_records_total{queue="wal"}': i });
    }
    unregister();
    await evaq.close();
  });

  it('an unhealthy store is told with its reasons', async () => {
    const disk = newDisk();
    const evaq = await openSim(disk);
    const registry = new client.Registry();
    const unregister = registerMetrics(evaq, { client, registry, health: { maxOldestAgeMs: 1000, minFreeBytes: 0 } });
    await evaq.wal.push('a');
    await passTime(disk, 2000);
    expect(await scrape(registry)).toMatchObject({
      evaq_healthy: 0,
      'evaq_health_reasons{reason="record-too-old"}': 1,
    });
    unregister();
    await evaq.close();
  });

  it('counts what limits have cost, by cause, and the pushes that wait for room', async () => {
    const evaq = await openSim(newDisk(), { limits: { records: 2, whenFull: 'drop-oldest' } });
    const full = await evaq.queue('full', { limits: { records: 1, whenFull: 'wait' } });
    const registry = new client.Registry();
    const unregister = registerMetrics(evaq, { client, registry });
    for (const text of ['a', 'b', 'c', 'd', 'e']) await evaq.wal.push(text);
    await full.push('a');
    const waiting = full.push('b');
    const samples = await scrape(registry);
    expect(samples).toMatchObject({
      'evaq_limit_dropped_records_total{queue="wal",cause="full"}': 3,
      'evaq_limit_dropped_records_total{queue="wal",cause="expired"}': 0,
      'evaq_waiting_pushes{queue="full"}': 1,
    });
    expect(Object.keys(samples).filter((name) => name.includes('limit_dropped') && name.includes('dead'))).toEqual([]);
    await full.remove(1);
    await waiting;
    unregister();
    await evaq.close();
  });

  it('stores share a registry by their labels; a closed one has no samples', async () => {
    const one = await openSim(newDisk({ seed: 1 }));
    const other = await openSim(newDisk({ seed: 2 }));
    const registry = new client.Registry();
    const ends = [
      registerMetrics(one, { client, registry, labels: { store: 'one' }, prefix: 'q_' }),
      registerMetrics(other, { client, registry, labels: { store: 'other' }, prefix: 'q_' }),
    ];
    for (const labels of [{ store: 'one' }, {}, { shop: 'one' }, { store: 'third', shop: 'x' }]) {
      expect(() => registerMetrics(one, { client, registry, labels, prefix: 'q_' })).toThrow(TypeError);
    }
    await one.wal.push('a');
    expect(await scrape(registry)).toMatchObject({
      'q_records{store="one",queue="wal"}': 1,
      'q_records{store="other",queue="wal"}': 0,
      'q_pushed_records_total{store="other",queue="wal"}': 0,
    });
    await one.close();
    const samples = await scrape(registry);
    expect(samples).not.toHaveProperty('q_records{store="one",queue="wal"}');
    expect(samples).toHaveProperty('q_records{store="other",queue="wal"}');
    ends[0]?.();
    expect(await registry.metrics()).not.toContain('store="one"');
    ends[1]?.();
    expect(registry.getMetricsAsArray()).toEqual([]);
    await other.close();
  });

  it('says what is wrong with its options, and leaves nothing behind where a name is taken', async () => {
    const evaq = await openSim(newDisk());
    const registry = new client.Registry();
    for (const wrong of [
      undefined,
      {},
      { client: {} },
      { client, registry, prefix: 'a-b' },
      { client, registry, labels: { queue: 'x' } },
      { client, registry, labels: { store: 1 } },
      { client, registry, regisrty: 1 },
    ]) {
      await expect(callUntyped({ registerMetrics }, 'registerMetrics', evaq, wrong)).rejects.toThrow(TypeError);
    }
    const taken = new client.Gauge({ name: 'evaq_healthy', help: 'Of somebody else.', registers: [registry] });
    expect(() => registerMetrics(evaq, { client, registry })).toThrow(/evaq_healthy/);
    expect(registry.getMetricsAsArray()).toEqual([taken]);
    await evaq.close();
  });

  it('its metrics are those of the documentation', async () => {
    const evaq = await openSim(newDisk());
    const registry = new client.Registry();
    const unregister = registerMetrics(evaq, { client, registry, prefix: '' });
    const page = readFileSync(join(import.meta.dirname, '../../../docs/observation.md'), 'utf8');
    const [, section = ''] = page.split('\n## Prometheus\n');
    const documented = [...section.slice(0, section.indexOf('\n## ')).matchAll(/^\| `(\w+)` \|/gm)].map(
      ([, name]) => name,
    );
    expect(new Set(documented)).toEqual(new Set(registry.getMetricsAsArray().map(({ name }) => name)));
    expect(documented).toHaveLength(registry.getMetricsAsArray().length);
    unregister();
    await evaq.close();
  });
});
