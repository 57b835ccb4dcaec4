/** An edge with a store in front, by the command line: forwarded to a replicated store, killed time after time; and what can be looked at from there. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as passTime } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { Evaq } from '../../src/evaq.js';
import { JetStreamEvaq } from '../../src/jetstream.js';
import { cliPath, evaq, finished, startEvaq } from '../cli/support/evaq-cli.js';
import type { Server } from '../forward/servers.js';
import { newName, startNats, urlOf, whyNoBatches } from './nats-server.js';
import { until } from './queue-suite.js';

const why = await whyNoBatches();
const RECORDS = 2000;
const KILLS = 3;

describe.skipIf(why !== undefined)(`the edge${why === undefined ? '' : ` (${why})`}`, () => {
  let server: Server;

  beforeAll(async () => {
    await cliPath();
    server = await startNats();
  });
  afterAll(() => server.end());

  function newFolder(): string {
    const folder = mkdtempSync(join(tmpdir(), 'evaq-edge-'));
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
    return join(folder, 'store');
  }

  test('forwarded while the forwarder, and once the server, is killed: each record is there once', async () => {
    const dir = newFolder();
    const local = await Evaq.open(dir, { durability: 'os' });
    await local.wal.pushMany(Array.from({ length: RECORDS }, (_, i) => ({ payload: `r${i}`, headers: { n: `${i}` } })));
    const { storeId } = local;
    await local.close();
    const name = newName();
    await using far = await JetStreamEvaq.connect({ servers: urlOf(server), name });
    const orders = await far.queue('orders', { dedupe: { windowMs: 3_600_000 } });
    const to = `evaq+${urlOf(server)}/${name}/orders`;
    const args = ['forward', dir, '--to', to, '--batch', '100', '--lock-timeout', '5000'];
    let killed = 0;
    for (; killed < KILLS; killed++) {
      const before = await orders.size;
      const child = await startEvaq(args);
      await until(async () => (await orders.size) > before + 300 || child.exitCode !== null);
      if (killed === 1) await server.kill();
      else await passTime(killed * 10);
      child.kill('SIGKILL');
      await finished(child);
      if (killed === 1) await server.start();
      if (child.exitCode === 0) break;
    }
    expect(await finished(await startEvaq(args))).toMatchObject({ code: 0 });
    const seen = new Map<string, string | undefined>();
    let records = 0;
    for await (const { payload, messageId, headers } of orders.records()) {
      records++;
      expect(headers).toEqual({ n: payload.toString().slice(1) });
      seen.set(payload.toString(), messageId);
    }
    expect([seen.size, records]).toEqual([RECORDS, RECORDS]);
    expect(seen.get('r0')).toBe(`${storeId}:wal:1`);
    expect(killed).toBe(KILLS);
  }, 60_000);

  test('evaq cat nats:// prints what is there, and makes nothing', async () => {
    const name = newName();
    await using far = await JetStreamEvaq.connect({ servers: urlOf(server), name });
    await far.wal.pushMany(['one', { payload: 'two', headers: { k: 'v' } }, 'three']);
    await (await far.queue('jobs')).push('job');
    const url = `${urlOf(server)}/${name}`;
    expect((await evaq(['cat', url])).stdout.toString()).toBe('one\ntwo\nthree\n');
    expect((await evaq(['cat', url, '-q', 'wal,jobs', '--from', '2'])).stdout.toString()).toBe('two\nthree\n');
    expect((await evaq(['cat', url, '-n', '1', '--header', 'k=v'])).stdout.toString()).toBe('two\n');
    const missing = await evaq(['cat', `${urlOf(server)}/nobody`]);
    expect(missing).toMatchObject({ code: expect.any(Number), stderr: expect.stringContaining("no store 'nobody'") });
    expect(missing.code).not.toBe(0);
    expect(await evaq(['cat', url, '-q', 'none'])).toMatchObject({
      stderr: expect.stringContaining("no queue 'none'"),
    });
    expect(await evaq(['cat', 'nats://127.0.0.1:1/x'])).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^evaq: EVAQ_IO: NATS cannot be reached at .*\n$/),
    });
    expect(await evaq(['cat', 'nats:///x'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('nats://HOST:PORT/STORE'),
    });
    expect(await far.queueNames()).toEqual(['dead-letters', 'jobs', 'wal']);
  });
});
