/** `evaq replay` as a user runs it, against a real HTTP server that fails, is slow, and is restarted. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { pause } from '../../src/cli/interrupt.js';
import { ReplayClock } from '../../src/cli/replay/replay-clock.js';
import { ReplayWindow } from '../../src/cli/replay/replay-window.js';
import { Evaq } from '../../src/evaq.js';
import { cliPath, evaq, finished, startEvaq } from './support/evaq-cli.js';

beforeAll(async () => {
  await cliPath();
});

function folder(): string {
  const made = mkdtempSync(join(tmpdir(), 'evaq-replay-'));
  onTestFinished(() => rmSync(made, { recursive: true, force: true }));
  return made;
}

async function storeOf(count: number): Promise<string> {
  const store = join(folder(), 'store');
  await using library = await Evaq.open(store);
  await library.wal.pushMany(
    Array.from({ length: count }, (_, i) => ({ payload: `record ${i + 1}`, headers: { n: String(i + 1) } })),
  );
  return store;
}

/** What came in, by its key: how often it was taken, and its body. A request that was taken and not answered counts. */
class Destination {
  readonly taken = new Map<string, { body: string; times: number; n: string | undefined }>();
  requests = 0;
  /** Says what is answered, once the body is there; 0: nothing, the connection is cut. */
  answer: (request: number, body: string) => number | Promise<number> = () => 200;
  #server: Server | undefined;
  #port = 0;

  get url(): string {
    return `http://127.0.0.1:${this.#port}/in`;
  }

  async start(): Promise<void> {
    const server = createServer((request, response) => void this.#take(request, response));
    this.#server = server;
    server.listen(this.#port, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    this.#port = typeof address === 'object' && address !== null ? address.port : 0;
  }

  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (server === undefined) return;
    const closed = once(server, 'close');
    server.close();
    server.closeAllConnections();
    await closed;
  }

  async #take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(Buffer.from(chunk));
    const body = Buffer.concat(chunks).toString();
    const status = await this.answer(++this.requests, body);
    if (status === 200) {
      const key = String(request.headers['idempotency-key']);
      const n = request.headers['n'];
      const times = (this.taken.get(key)?.times ?? 0) + 1;
      this.taken.set(key, { body, times, n: typeof n === 'string' ? n : undefined });
    }
    if (status === 0) request.socket.destroy();
    else response.writeHead(status).end();
  }
}

async function destination(): Promise<Destination> {
  const made = new Destination();
  await made.start();
  onTestFinished(() => made.stop());
  return made;
}

async function until(isSo: () => boolean): Promise<void> {
  const from = performance.now();
  while (!isSo()) {
    if (performance.now() - from > 60_000) throw new Error('it does not come about');
    await sleep(10);
  }
}

async function ended(child: ChildProcess): Promise<number | null> {
  if (child.exitCode === null) await once(child, 'exit');
  return child.exitCode;
}

describe('replay to a server', () => {
  test('that fails, is slow and is restarted, interrupted and resumed: each record once, by its key', async () => {
    const store = await storeOf(300);
    const to = await destination();
    const checkpoint = join(folder(), 'replay.json');
    const args = ['replay', store, '--to', to.url, '--checkpoint', checkpoint, '--concurrency', '4', '--retry', '50'];
    to.answer = async (request) => {
      if (request % 17 === 0) await sleep(50);
      return request % 7 === 0 ? 503 : request % 11 === 0 ? 0 : 200;
    };
    const first = await startEvaq(args);
    await until(() => to.taken.size >= 60);
    await to.stop();
    await sleep(200);
    await to.start();
    await until(() => to.taken.size >= 120);
    const result = finished(first);
    first.kill('SIGINT');
    const interrupted = await result;
    expect(interrupted.code).toBe(130);
    expect(interrupted.stderr).toMatch(/stopped behind ID \d+; the same command goes on from there/);
    expect(to.taken.size).toBeLessThan(300);
    const second = await evaq(args);
    expect(second).toMatchObject({ code: 0 });
    expect(second.stderr).toMatch(/replayed \d+ records to http:\/\/\S+, \d+ before/);
    expect([...to.taken.values()].map(({ n }) => Number(n)).sort((a, b) => a - b)).toEqual(
      Array.from({ length: 300 }, (_, i) => i + 1),
    );
    for (const { body, times, n } of to.taken.values())
      expect({ body, times }).toEqual({ body: `record ${n}`, times: 1 });
    // Nothing is left to do.
    expect((await evaq(args)).stderr).toMatch(/replayed 0 records to http:\/\/\S+, 300 before/);
  });

  test('what it never takes is named, and tried again by the next run; the rest arrives', async () => {
    const store = await storeOf(12);
    const to = await destination();
    const checkpoint = join(folder(), 'replay.json');
    const args = ['replay', store, '--to', to.url, '--checkpoint', checkpoint, '--retry', '2'];
    const bad = new Set(['record 3', 'record 4', 'record 5', 'record 9']);
    to.answer = (_request, body) => (bad.has(body) ? (body === 'record 9' ? 422 : 500) : 200);
    const first = await evaq(args);
    expect(first.code).toBe(7);
    expect(first.stderr).toMatch(/replayed 8 records to http:\/\/\S+\n.*4 records failed: 3 to 5, 9 \(HTTP 500\)/);
    // 'rejected' is for good: it is not tried twice.
    expect(to.requests).toBe(8 + 3 * 2 + 1);
    bad.delete('record 3');
    bad.delete('record 9');
    const second = await evaq(args);
    expect(second.code).toBe(7);
    expect(second.stderr).toMatch(/replayed 2 records to http:\/\/\S+, 8 before\n.*2 records failed: 4 to 5/);
    expect([...to.taken.values()].every(({ times }) => times === 1)).toBe(true);
    expect(JSON.parse(readFileSync(checkpoint, 'utf8'))).toMatchObject({
      v: 1,
      queue: 'wal',
      through: 12,
      delivered: 10,
    });
  });

  test('a selection, with removal of what was delivered and nothing else', async () => {
    const store = await storeOf(30);
    const to = await destination();
    to.answer = (_request, body) => (body === 'record 15' ? 400 : 200);
    const result = await evaq([
      'replay',
      store,
      '--to',
      to.url,
      '--from',
      '11',
      '--to',
      '20',
      '-g',
      '[0-9][5-9]$',
      '--remove',
    ]);
    expect(result.code).toBe(7);
    expect([...to.taken.values()].map(({ n }) => n)).toEqual(['16', '17', '18', '19']);
    const left = (await evaq(['cat', store, '--format', '%i'])).stdout.toString().trim().split('\n').map(Number);
    expect(left).toEqual(Array.from({ length: 30 }, (_, i) => i + 1).filter((id) => id < 16 || id > 19));
  });

  test('that lets nobody in ends it at once, and keeps its place', async () => {
    const store = await storeOf(5);
    const to = await destination();
    to.answer = (request) => (request > 2 ? 401 : 200);
    const checkpoint = join(folder(), 'replay.json');
    const result = await evaq(['replay', store, '--to', to.url, '--checkpoint', checkpoint]);
    expect(result.code).toBe(1);
    expect(result.stderr).toMatch(/lets nobody in/);
    expect(JSON.parse(readFileSync(checkpoint, 'utf8'))).toMatchObject({ through: 2, failed: [] });
  });
});

describe('replay elsewhere', () => {
  test('to another store, twice: nothing comes in twice', async () => {
    const store = await storeOf(20);
    const other = join(folder(), 'other');
    expect(await evaq(['replay', store, '--to', other, '--to', '15'])).toMatchObject({ code: 0 });
    expect(await evaq(['replay', store, '--to', other, '--concurrency', '3'])).toMatchObject({ code: 0 });
    const there = (await evaq(['cat', other, '--format', '%p %h{n}'])).stdout.toString();
    expect(there).toBe(Array.from({ length: 20 }, (_, i) => `record ${i + 1} ${i + 1}\n`).join(''));
  });

  test('to a command, which gets the record and what it is', async () => {
    const store = await storeOf(3);
    const result = await evaq([
      'replay',
      store,
      '--exec',
      'echo "$EVAQ_QUEUE $EVAQ_ID: $(cat)"; test "$EVAQ_ID" != 2',
      '--retry',
      '2',
    ]);
    expect(result.stdout.toString()).toBe('wal 1: record 1\nwal 2: record 2\nwal 2: record 2\nwal 3: record 3\n');
    expect(result.code).toBe(7);
    expect(result.stderr).toMatch(/1 record failed: 2 \(exit code 1\)/);
  });

  test('to standard output, at a rate', async () => {
    const store = await storeOf(6);
    const from = performance.now();
    const result = await evaq(['replay', store, '--rate', '10', '--format', '%i']);
    expect(result.stdout.toString()).toBe('1\n2\n3\n4\n5\n6\n');
    expect(performance.now() - from).toBeGreaterThan(500);
  });

  test('what is wrong with the call is said in a line', async () => {
    const store = await storeOf(1);
    const checkpoint = join(folder(), 'x.json');
    writeFileSync(checkpoint, '{}');
    for (const args of [
      ['--to', 'http://127.0.0.1:1/', '--exec', 'cat'],
      ['--to', store],
      ['--to', '@yesterday'],
      ['--to', 'localhost:8080/x'],
      ['--to', 'gopher://x/'],
      ['--speed', 'fast'],
      ['--rate', '0'],
      ['--checkpoint', checkpoint],
    ]) {
      const { code, stderr } = await evaq(['replay', store, ...args]);
      expect({ args, code }).toEqual({ args, code: 2 });
      expect(stderr).not.toMatch(/\n\s+at /);
    }
  });
});

describe('a replay that goes on', () => {
  test('tries what failed again, and passes over nothing that was never sent', async () => {
    const store = await storeOf(12);
    const to = await destination();
    const args = ['replay', store, '--to', to.url, '--checkpoint', join(folder(), 'cp'), '--concurrency', '4'];
    let isDown = true;
    let isRefused = true;
    to.answer = (_request, body) => {
      if (body === 'record 8' && isRefused) return 400;
      return isDown && ['record 3', 'record 4', 'record 5'].includes(body) ? 503 : 200;
    };
    const interrupted = async (settled: number): Promise<void> => {
      const child = await startEvaq([...args, '--retry', '1000']);
      const result = finished(child);
      await until(() => to.taken.size >= settled && to.requests > settled + 12);
      child.kill('SIGINT');
      expect((await result).code).toBe(130);
    };
    // 1, 2, 6, 7, and 9 on the one way that is free; 3 to 5 are tried again and again.
    await interrupted(11 - 3);
    isRefused = false;
    await interrupted(12 - 3);
    isDown = false;
    expect(await evaq(args)).toMatchObject({ code: 0 });
    expect([...to.taken.values()].map(({ n }) => Number(n)).sort((a, b) => a - b)).toEqual(
      Array.from({ length: 12 }, (_, i) => i + 1),
    );
  });

  test.each([
    ['a position from the end', ['--from', '-12']],
    ['a position and a number of them', ['--from', '-12', '-n', '12']],
    ['so long ago', ['--since', '4s']],
  ])('means by %s what it meant at first', async (_what, selection) => {
    const store = await storeOf(12);
    const to = await destination();
    const args = ['replay', store, '--to', to.url, ...selection, '--checkpoint', join(folder(), 'cp')];
    const first = await startEvaq([...args, '--rate', '4']);
    const result = finished(first);
    await until(() => to.taken.size >= 3);
    first.kill('SIGINT');
    expect((await result).code).toBe(130);
    await evaq(['push', store], Array.from({ length: 8 }, (_, i) => `record ${i + 13}\n`).join(''));
    if (selection.includes('--since')) await sleep(3500);
    expect(await evaq(args)).toMatchObject({ code: 0 });
    const got = [...to.taken.values()].map(({ body }) => Number(body.slice(7))).sort((a, b) => a - b);
    expect(got).toEqual(Array.from({ length: selection.includes('-n') ? 12 : 20 }, (_, i) => i + 1));
  });

  test('does not send more than it was to, though what was sent is removed', async () => {
    const store = await storeOf(30);
    const to = await destination();
    const args = ['replay', store, '--to', to.url, '-n', '6', '--remove', '--checkpoint', join(folder(), 'cp')];
    const first = await startEvaq([...args, '--rate', '4']);
    const result = finished(first);
    await until(() => to.taken.size >= 3);
    first.kill('SIGINT');
    expect((await result).code).toBe(130);
    expect(await evaq(args)).toMatchObject({ code: 0 });
    expect(to.taken.size).toBe(6);
    expect((await evaq(args)).stderr).toMatch(/replayed 0 records to http:\/\/\S+, 6 before/);
    expect((await evaq(['cat', store, '--format', '%i', '-n', '1'])).stdout.toString()).toBe('7\n');
  });

  test('is of the same selection, or says that it is not', async () => {
    const store = await storeOf(3);
    const args = ['replay', store, '--checkpoint', join(folder(), 'cp')];
    expect(await evaq([...args, '--from', '2'])).toMatchObject({ code: 0 });
    const other = await evaq(args);
    expect(other.code).toBe(2);
    expect(other.stderr).toMatch(/is the checkpoint of a replay of --from 2, and this one is of all records/);
  });

  test('removes what a run before had sent and was not given the time to remove', async () => {
    const store = await storeOf(5);
    const checkpoint = join(folder(), 'cp');
    const args = ['replay', store, '--exec', 'true', '--checkpoint', checkpoint];
    expect(await evaq([...args, '-n', '2'])).toMatchObject({ code: 0 });
    const kept: object = JSON.parse(readFileSync(checkpoint, 'utf8'));
    writeFileSync(checkpoint, JSON.stringify(Object.assign(kept, { removing: [1, 2] })));
    expect(await evaq([...args, '-n', '2', '--remove'])).toMatchObject({ code: 0 });
    expect((await evaq(['cat', store, '--format', '%i'])).stdout.toString()).toBe('3\n4\n5\n');
    expect(JSON.parse(readFileSync(checkpoint, 'utf8'))).toMatchObject({ through: 2, removing: [] });
  });
});

describe('what a replay has done is kept, or it ends', () => {
  test('a checkpoint that cannot be written: nothing is sent', async () => {
    const log = join(folder(), 'log');
    const result = await evaq([
      'replay',
      await storeOf(3),
      '--exec',
      `echo $EVAQ_ID >> ${log}`,
      '--checkpoint',
      join(folder(), 'nowhere', 'cp'),
    ]);
    expect(result.code).toBe(1);
    expect(result.stderr).toMatch(/^evaq: the checkpoint cannot be written: ENOENT/m);
    expect(result.stderr).not.toMatch(/\n\s+at /);
    expect(existsSync(log)).toBe(false);
  });

  test('a checkpoint that cannot be written any more: it ends, and what is delivered is not sent twice', async () => {
    const log = join(folder(), 'log');
    const place = join(folder(), 'place');
    mkdirSync(place);
    const command = `sleep 0.4; echo $EVAQ_ID >> ${log}; rm -rf ${place}`;
    const args = ['replay', await storeOf(20), '--exec', command, '--checkpoint', join(place, 'cp')];
    const result = await evaq(args);
    expect(result.code).toBe(1);
    expect(result.stderr).toMatch(/the checkpoint cannot be written: ENOENT/);
    expect(result.stderr).not.toMatch(/\n\s+at |failed/);
    const sent = readFileSync(log, 'utf8').trim().split('\n');
    expect(sent.length).toBeLessThan(10);
    expect(new Set(sent).size).toBe(sent.length);
  });
});

describe('its parts', () => {
  test('what failed before is tried again outside of the window', () => {
    const window = new ReplayWindow(2);
    expect(() => window.begin(2)).toThrow(/in the order of their IDs/);
    for (const id of [3, 4]) window.begin(id);
    expect(() => window.begin(4)).toThrow(/in the order of their IDs/);
    window.settle(4);
    expect([window.through, window.beyond]).toEqual([2, [4]]);
  });

  test('a pause of more than a timer can do is one', async () => {
    const controller = new AbortController();
    let isOver = false;
    const paused = pause(29 * 24 * 60 * 60 * 1000, controller.signal).then(() => {
      isOver = true;
    });
    await sleep(50);
    expect(isOver).toBe(false);
    controller.abort();
    await paused;
  });

  test('a window: settled up to one, and some beyond, whatever the order', () => {
    const window = new ReplayWindow();
    for (const id of [3, 5, 8, 9]) window.begin(id);
    window.settle(8);
    expect([window.through, window.beyond]).toEqual([0, [8]]);
    window.settle(3);
    expect([window.through, window.beyond]).toEqual([3, [8]]);
    window.settle(5);
    expect([window.through, window.beyond, window.length]).toEqual([8, [], 1]);
  });

  test('a clock: by a rate, by the times of the records, and by both', () => {
    const rate = new ReplayClock({ rate: 10, speed: undefined });
    expect([rate.waitMs(0, 1000), rate.waitMs(0, 1000), rate.waitMs(0, 1100)]).toEqual([0, 100, 100]);
    // What was late is not caught up.
    expect([rate.waitMs(0, 9000), rate.waitMs(0, 9000)]).toEqual([0, 100]);
    const speed = new ReplayClock({ rate: undefined, speed: 10 });
    expect([speed.waitMs(5000, 100), speed.waitMs(6000, 100), speed.waitMs(4000, 150)]).toEqual([0, 100, 0]);
    expect(speed.waitMs(7000, 250)).toBe(50);
  });
});

test('a replay that is killed goes on from its checkpoint; by their keys what came twice is known', async () => {
  const store = await storeOf(400);
  const to = await destination();
  to.answer = async () => {
    await sleep(5);
    return 200;
  };
  const checkpoint = join(folder(), 'replay.json');
  const args = ['replay', store, '--to', to.url, '--checkpoint', checkpoint];
  const child = spawn(process.execPath, [await cliPath(), ...args], { stdio: 'ignore' });
  // The first checkpoint is written after a second.
  await until(() => to.taken.size >= 250);
  child.kill('SIGKILL');
  await ended(child);
  expect(await evaq(args)).toMatchObject({ code: 0 });
  expect(to.taken.size).toBe(400);
});
