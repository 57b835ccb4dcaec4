/** `evaq forward` as a user runs it, to a server of Node's that fails, is away, and comes back. */
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { rateOf } from '../../src/cli/forward.js';
import { Evaq } from '../../src/evaq.js';
import { ReadOnlyEvaq } from '../../src/raw.js';
import { cliPath, evaq, finished, startEvaq } from './support/evaq-cli.js';

beforeAll(async () => {
  await cliPath();
});

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'evaq-forward-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

async function newStore(payloads: readonly string[], headers: Readonly<Record<string, string>> = {}): Promise<string> {
  const dir = join(newFolder(), 'store');
  const store = await Evaq.open(dir);
  if (payloads.length > 0) await store.wal.pushMany(payloads, { headers });
  await store.close();
  return dir;
}

async function sizeOf(dir: string): Promise<number> {
  const reader = await ReadOnlyEvaq.open(dir);
  const { live } = await (await reader.queue('wal')).stats();
  await reader.close();
  return live;
}

/** What a destination has taken: payloads by their idempotency keys. */
class Destination {
  readonly taken = new Map<string, string>();
  doubles = 0;
  /** The status for a payload. */
  answer: (payload: string) => number = () => 200;
  port = 0;
  #server: Server | undefined;

  async start(): Promise<string> {
    this.#server = createServer((request, response) => {
      const parts: Buffer[] = [];
      request.on('data', (part: Buffer) => parts.push(part));
      request.on('end', () => {
        const payload = Buffer.concat(parts).toString();
        const key = String(request.headers['idempotency-key']);
        const status = this.answer(payload);
        if (status < 300) {
          if (this.taken.has(key)) this.doubles++;
          this.taken.set(key, payload);
        }
        response.writeHead(status).end('because');
      });
    });
    this.#server.listen(this.port, '127.0.0.1');
    await once(this.#server, 'listening');
    const address = this.#server.address();
    this.port = typeof address === 'object' && address !== null ? address.port : 0;
    return `http://127.0.0.1:${this.port}/in`;
  }

  async stop(): Promise<void> {
    const server = this.#server;
    if (server === undefined) return;
    this.#server = undefined;
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

async function newDestination(): Promise<{ readonly to: string; readonly destination: Destination }> {
  const destination = new Destination();
  const to = await destination.start();
  onTestFinished(() => destination.stop());
  return { to, destination };
}

describe('evaq forward', () => {
  test('sends what is there, removes it, and says how much that was', async () => {
    const dir = await newStore(['a', 'b', 'c'], { kind: 'x' });
    const { to, destination } = await newDestination();
    const dry = await evaq(['forward', dir, '--to', to, '--dry-run']);
    expect(dry).toMatchObject({ code: 0, stderr: expect.stringContaining('would send 3 records, 3 bytes') });
    expect(destination.taken.size).toBe(0);
    const { code, stderr, stdout } = await evaq(['forward', dir, '--to', to, '--key', 'header:kind', '--order', 'key']);
    expect({ code, stderr, stdout: stdout.toString() }).toEqual({
      code: 0,
      stderr: 'evaq: 3 records arrived\n',
      stdout: '',
    });
    expect([...destination.taken.values()]).toEqual(['a', 'b', 'c']);
    expect(await sizeOf(dir)).toBe(0);
  });

  test('exits with 7 where some became dead letters', async () => {
    const dir = await newStore(['good', 'bad']);
    const { to, destination } = await newDestination();
    destination.answer = (payload) => (payload === 'bad' ? 422 : 200);
    const { code, stderr } = await evaq(['forward', dir, '--to', to]);
    expect({ code, stderr }).toEqual({ code: 7, stderr: 'evaq: 1 record arrived, 1 dead letter\n' });
  });

  test('stops where nobody is let in, and nothing is lost', async () => {
    const dir = await newStore(['a', 'b']);
    const { to, destination } = await newDestination();
    destination.answer = () => 401;
    const { code, stderr } = await evaq(['forward', dir, '--to', to]);
    expect(code).toBe(1);
    expect(stderr).toContain('lets nobody in: HTTP 401: because');
    expect(await sizeOf(dir)).toBe(2);
  });

  test('follows, tells that the destination is down and back, serves metrics, and ends by Ctrl-C', async () => {
    const dir = await newStore(['a']);
    const { to, destination } = await newDestination();
    destination.answer = () => 503;
    const port = await freePort();
    const child = await startEvaq(['forward', dir, '--to', to, '--follow', '--metrics', `:${port}`]);
    const result = finished(child);
    const said = new Promise<void>((resolve) => {
      child.stderr?.on('data', (chunk: Buffer) => {
        if (chunk.includes('is down')) resolve();
      });
    });
    await said;
    const metrics = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
    expect(metrics).toContain('evaq_');
    destination.answer = () => 200;
    while (destination.taken.size === 0) await new Promise((resolve) => setTimeout(resolve, 20));
    child.kill('SIGINT');
    const { code, stderr } = await result;
    expect(code).toBe(130);
    expect(stderr).toContain(`${to} is down; it is tried again by itself\nevaq: ${to} is back\n`);
    expect(stderr).toContain('1 record arrived');
  });

  test('takes options from a file and from the environment; the command line comes first', async () => {
    const dir = await newStore(['a']);
    const { to } = await newDestination();
    const config = join(newFolder(), 'forward.json');
    const run = async (content: string, ...args: string[]): Promise<{ code: number | string; stderr: string }> => {
      writeFileSync(config, content);
      const { code, stderr } = await evaq(['forward', dir, '--config', config, ...args]);
      return { code, stderr };
    };
    expect(await run('{"to":"ftp://x"}')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('--to must be a URL'),
    });
    expect(await run('{"too":"x"}')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("there is no option 'too'"),
    });
    expect(await run('{"rate":0}')).toMatchObject({ code: 2, stderr: expect.stringContaining('rate: ') });
    expect(await run('{"format":"xml"}')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('one of raw, ndjson'),
    });
    expect(await run('{"follow":"yes"}')).toMatchObject({ code: 2, stderr: expect.stringContaining('true or false') });
    expect(await run('[]')).toMatchObject({ code: 2 });
    expect(await run('nothing')).toMatchObject({ code: 2 });
    expect(await sizeOf(dir)).toBe(1);
    expect(await run('{"to":"ftp://x","rate":0.5,"header":["a: b"]}', '--to', to)).toMatchObject({ code: 0 });
    const child = await startEvaq(['forward', dir, '--dry-run'], { env: { ...process.env, EVAQ_TO: to } });
    expect(await finished(child)).toMatchObject({ code: 0 });
  });

  test('a rate may be less than one record a second, or no whole number', () => {
    expect(rateOf(0.5)).toEqual({ limit: 1, perMs: 2000 });
    expect(rateOf(2.5)).toEqual({ limit: 2, perMs: 800 });
    expect(rateOf(200)).toEqual({ limit: 200, perMs: 1000 });
  });

  test('wrong input gets one line and the right exit code', async () => {
    const dir = await newStore(['a']);
    const lines = async (...args: string[]): Promise<unknown> => {
      const { code, stderr } = await evaq(['forward', ...args]);
      expect(stderr).not.toContain('    at ');
      return code;
    };
    expect(await lines(dir)).toBe(2);
    expect(await lines(dir, '--to', 'kafka')).toBe(2);
    expect(await lines(dir, '--to', 'http://x', '--order', 'key')).toBe(2);
    expect(await lines(dir, '--to', 'http://x', '--key', 'kind')).toBe(2);
    expect(await lines(dir, '--to', 'http://x', '-H', 'nothing')).toBe(2);
    expect(await lines(dir, '--to', 'http://x', '--metrics', 'x:y')).toBe(2);
    expect(await lines(dir, '--to', 'http://x', '-q', 'nope')).toBe(6);
    expect(await lines(join(newFolder(), 'none'), '--to', 'http://x')).toBe(1);
    const open = await Evaq.open(dir);
    expect(await lines(dir, '--to', 'http://x')).toBe(5);
    await open.close();
  });
});

test('P16: a destination that is restarted and a forwarder that is killed lose nothing; doubles have the same key', async () => {
  const RECORDS = 1200;
  const dir = await newStore(Array.from({ length: RECORDS }, (_, i) => `record ${i + 1}`));
  const { to, destination } = await newDestination();
  for (let round = 0; ; round++) {
    const child = await startEvaq(['forward', dir, '--to', to, '--batch', '50']);
    const result = finished(child);
    const target = Math.min(RECORDS, (round + 1) * 300);
    if (round < 3) {
      while (destination.taken.size < target) await new Promise((resolve) => setTimeout(resolve, 2));
      if (round === 1) {
        await destination.stop();
        await new Promise((resolve) => setTimeout(resolve, 100));
        await destination.start();
      }
      child.kill('SIGKILL');
      await result;
      continue;
    }
    expect(await result).toMatchObject({ code: 0 });
    break;
  }
  expect(destination.taken.size).toBe(RECORDS);
  expect(new Set(destination.taken.values()).size).toBe(RECORDS);
  expect(await sizeOf(dir)).toBe(0);
});

async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  return typeof address === 'object' && address !== null ? address.port : 0;
}
