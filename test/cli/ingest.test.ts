/** `evaq ingest` as a user runs it: killed at any moment, each line and each message comes once. */
import {
  appendFileSync,
  copyFileSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as passTime } from 'node:timers/promises';
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { SourceIntake } from '../../src/cli/ingest/source-intake.js';
import { ReadOnlyEvaq } from '../../src/raw.js';
import { because, startKafkaMock, WHY_NOT } from '../forward/brokers.js';
import { freePort } from '../forward/servers.js';
import { cliPath, evaq, finished, startEvaq } from './support/evaq-cli.js';

beforeAll(async () => {
  await cliPath();
});

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'evaq-ingest-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

interface Ingested {
  readonly payload: string;
  readonly headers: Readonly<Record<string, string>>;
}

async function recordsOf(dir: string, name = 'wal'): Promise<Ingested[]> {
  await using store = await ReadOnlyEvaq.open(dir);
  const records: Ingested[] = [];
  for await (const { payload, headers = {} } of (await store.queue(name)).records()) {
    records.push({ payload: payload.toString('latin1'), headers });
  }
  return records;
}

async function linesOf(dir: string, name?: string): Promise<string[]> {
  return (await recordsOf(dir, name)).map(({ payload }) => payload);
}

function lineOf(i: number): string {
  return `line ${i} ${'.'.repeat(150 + (i % 100))}`;
}

/** Of all files below. */
function bytesOf(folder: string): number {
  let bytes = 0;
  for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
    bytes += statSync(join(folder, name), { throwIfNoEntry: false })?.size ?? 0;
  }
  return bytes;
}

/** 0 where there is no store yet. */
async function sizeOf(dir: string): Promise<number> {
  try {
    return (await linesOf(dir)).length;
  } catch {
    return 0;
  }
}

describe('evaq ingest --from file:', () => {
  test('pushes the lines that are there, once; the next call what came since', async () => {
    const folder = newFolder();
    const dir = join(folder, 'store');
    const log = join(folder, 'access.log');
    writeFileSync(log, Buffer.from('a\n\n\xff\x00\nhal', 'latin1'));
    const first = await evaq(['ingest', dir, '--from', `file:${log}`]);
    expect(first).toMatchObject({ code: 0, stdout: Buffer.alloc(0) });
    expect(first.stderr.split('\n').slice(1)).toEqual([
      'evaq: 3 bytes of a line that has no end yet are left for the next time',
      `evaq: 3 records of file:${log} pushed`,
      '',
    ]);
    appendFileSync(log, `f\n${'x'.repeat(25)}\n`);
    const config = join(folder, 'ingest.json');
    writeFileSync(config, JSON.stringify({ from: `file:${log}`, 'line-bytes': 10 }));
    const second = await evaq(['ingest', dir, '--config', config]);
    expect(second).toMatchObject({
      code: 0,
      stderr: `evaq: 1 line too long cut\nevaq: 4 records of file:${log} pushed\n`,
    });
    const x = 'x'.repeat(10);
    expect(await linesOf(dir)).toEqual(['a', '', '\xff\x00', 'half', x, x, 'xxxxx']);
    // Another source of the same file has another place; and another queue, too.
    await evaq(['ingest', dir, '--from', `file:${log}`, '--source', 'other', '--long', 'skip', '--line-bytes', '10']);
    expect((await linesOf(dir)).slice(7)).toEqual(['a', '', '\xff\x00', 'half']);
    await evaq(['ingest', dir, '--from', `file:${log}`, '-q', 'lines', '-0']);
    expect(await linesOf(dir, 'lines')).toEqual(['a\n\n\xff']);
  });

  test('waits while the queue is full, and pushes then', async () => {
    const warnings: string[] = [];
    const full = Object.assign(new Error('full'), { code: 'EVAQ_QUEUE_FULL' });
    let tries = 0;
    const queue = {
      pushMany: async () => {
        if (++tries < 3) throw full;
        return { firstId: 1, lastId: 1 };
      },
      checkpoint: async () => undefined,
    };
    const intake = new SourceIntake(queue, (text) => warnings.push(text));
    const checkpoint = { source: 's', position: 1 };
    await intake.push(['a'], checkpoint, new AbortController().signal);
    expect({ tries, warnings, records: intake.records }).toEqual({
      tries: 3,
      warnings: ['the queue is full; it is waited for room'],
      records: 1,
    });
    tries = -1000;
    await expect(intake.push(['a'], checkpoint, AbortSignal.timeout(10))).rejects.toMatchObject({ name: 'AbortError' });
  });

  test('what is wrong is a line', async () => {
    const folder = newFolder();
    const dir = join(folder, 'store');
    const said = async (...args: string[]): Promise<unknown> => {
      const { code, stderr } = await evaq(['ingest', dir, ...args]);
      expect(stderr).not.toContain('    at ');
      return [code, stderr.trimEnd().split('\n').at(-1)];
    };
    expect(await said()).toEqual([2, expect.stringContaining('say where from')]);
    expect(await said('--from', 'access.log')).toEqual([2, expect.stringContaining('--from must be file:PATH')]);
    expect(await said('--from', 'file:')).toEqual([2, expect.stringContaining('the path is missing')]);
    expect(await said('--from', 'kafka://h/')).toEqual([2, expect.stringContaining('the topic is missing')]);
    expect(await said('--from', 'kafka://h/t?grup=x')).toEqual([2, expect.stringContaining("has no option 'grup'")]);
    expect(await said('--from', 'kafka://h/%zz')).toEqual([2, expect.stringContaining('holds a % that stands for')]);
    expect(await said('--from', 'kafka://me:%zz@h/t')).toEqual([2, expect.stringContaining('the password holds a %')]);
    expect(await said('--from', `file:${folder}`)).toEqual([1, `evaq: ${folder} is no regular file`]);
    const long = `file:${folder}/${'x'.repeat(300)}`;
    expect(await said('--from', long)).toEqual([2, expect.stringContaining('give it another by --source')]);
    expect(await said('--from', long, '--source', 's')).toEqual([1, expect.stringMatching(/^evaq: ENAMETOOLONG/)]);
    expect(await said('--from', `file:${folder}/none`)).toEqual([1, `evaq: there is no file ${folder}/none`]);
  });

  test('killed again and again while the file grows and is rotated: each line once, in order', async () => {
    const folder = newFolder();
    const dir = join(folder, 'store');
    const log = join(folder, 'access.log');
    const LINES = 40_000;
    const KILLS = 5;
    const ROTATE_EVERY = 6000;
    let written = 0;
    let rotations = 0;
    writeFileSync(log, '');
    const write = async (until: number): Promise<void> => {
      while (written < until) {
        const count = Math.min(200, until - written);
        appendFileSync(log, Array.from({ length: count }, (_, i) => `${lineOf(written + i)}\n`).join(''));
        written += count;
        if (Math.floor(written / ROTATE_EVERY) > rotations) {
          const to = `${log}.${++rotations}`;
          await passTime(12);
          if (rotations % 2 === 0) {
            copyFileSync(log, to);
            truncateSync(log);
          } else {
            renameSync(log, to);
            writeFileSync(log, '');
          }
        }
        await passTime(2);
      }
    };
    const args = ['ingest', dir, '--from', `file:${log}`, '--leave-ms', '30'];
    await write(10);
    expect(await evaq(args)).toMatchObject({ code: 0 });
    for (let kill = 1; kill <= KILLS; kill++) {
      // Half of it is there when the child begins, so that it has several blocks to push.
      await write(Math.floor((LINES * (kill - 0.5)) / (KILLS + 1)));
      const before = bytesOf(dir);
      const child = await startEvaq([...args, '--follow']);
      const ended = finished(child);
      const writing = write(Math.floor((LINES * kill) / (KILLS + 1)));
      while (bytesOf(dir) < before + kill * 120_000) await passTime(1);
      child.kill('SIGKILL');
      expect(await ended).toMatchObject({ code: 'SIGKILL' });
      await writing;
    }
    await write(LINES);
    const last = await evaq(args);
    expect(last).toMatchObject({ code: 0 });
    expect(last.stderr).not.toContain('lost');
    const lines = await linesOf(dir);
    expect(lines.findIndex((line, i) => line !== lineOf(i))).toBe(-1);
    expect(lines).toHaveLength(LINES);
  });
});

test('evaq ingest --from kafka://: nobody there is an error; who follows waits, and tells it', async () => {
  const dir = join(newFolder(), 'store');
  const from = `kafka://127.0.0.1:${await freePort()}/orders`;
  const once = await evaq(['ingest', dir, '--from', from]);
  expect(once).toMatchObject({ code: 1, stderr: expect.stringMatching(/^evaq: kafka:\/\/127\.0\.0\.1:\d+: .+$/m) });
  expect(once.stderr).not.toContain('    at ');
  const child = await startEvaq(['ingest', dir, '--from', from, '--follow']);
  child.stderr?.on('data', (text: Buffer) => {
    if (text.includes('is away')) child.kill('SIGINT');
  });
  expect(await finished(child)).toMatchObject({ code: 130 });
});

test.skipIf(WHY_NOT.kafka !== undefined)(
  `evaq ingest --from kafka://: a topic that was made anew is read from its beginning, and that is said${because(WHY_NOT.kafka)}`,
  async () => {
    const dir = join(newFolder(), 'store');
    const { default: kafkajs } = await import('kafkajs');
    const said: string[] = [];
    for (const [round, count] of [20, 5].entries()) {
      const { server, broker } = await startKafkaMock();
      const kafka = new kafkajs.Kafka({ brokers: [broker], logLevel: kafkajs.logLevel.NOTHING });
      const producer = kafka.producer({ createPartitioner: kafkajs.Partitioners.DefaultPartitioner });
      await producer.connect();
      const messages = Array.from({ length: count }, (_, i) => ({ partition: 0, value: `${round}-${i}` }));
      await producer.send({ topic: 'orders', messages });
      await producer.disconnect();
      const { code, stderr } = await evaq(['ingest', dir, '--from', `kafka://${broker}/orders`]);
      expect(code).toBe(0);
      said.push(stderr);
      await server.end();
    }
    expect(said[1]).toBe(
      'evaq: partition 0 ends at 5, and was read to 20: the topic was made anew; it is read from 0\n' +
        'evaq: 5 records of kafka:orders pushed\n',
    );
    expect((await linesOf(dir)).slice(20)).toEqual(['1-0', '1-1', '1-2', '1-3', '1-4']);
  },
);

test.skipIf(WHY_NOT.kafka !== undefined)(
  `evaq ingest --from kafka://: killed in the middle, each message comes once, in the order of its partition${because(WHY_NOT.kafka)}`,
  async () => {
    const MESSAGES = 4000;
    const dir = join(newFolder(), 'store');
    const { server, broker } = await startKafkaMock();
    onTestFinished(() => server.end());
    const { default: kafkajs } = await import('kafkajs');
    const kafka = new kafkajs.Kafka({ brokers: [broker], logLevel: kafkajs.logLevel.NOTHING });
    const producer = kafka.producer({ createPartitioner: kafkajs.Partitioners.DefaultPartitioner });
    onTestFinished(() => producer.disconnect());
    await producer.connect();
    let produced = 0;
    const produce = async (count: number): Promise<void> => {
      const messages = Array.from({ length: count }, (_, i) => ({
        key: `k${(produced + i) % 7}`,
        value: `m${produced + i}`,
        headers: { kind: 'x' },
      }));
      produced += count;
      await producer.send({ topic: 'orders', messages });
    };
    await produce(MESSAGES / 2);
    const from = `kafka://${broker}/orders?group=readers`;
    const killed = await startEvaq(['ingest', dir, '--from', from, '--follow']);
    const ended = finished(killed);
    while ((await sizeOf(dir)) < MESSAGES / 8) await passTime(20);
    killed.kill('SIGKILL');
    await ended;
    await produce(MESSAGES / 2);
    expect(await evaq(['ingest', dir, '--from', from])).toMatchObject({ code: 0 });
    const records = await recordsOf(dir);
    expect(new Set(records.map(({ payload }) => payload)).size).toBe(MESSAGES);
    expect(records).toHaveLength(MESSAGES);
    const offsets = new Map<string, number>();
    for (const { headers } of records) {
      const { 'kafka-partition': partition = '', 'kafka-offset': offset = '', 'kafka-key': key, kind } = headers;
      expect(Number(offset)).toBe(offsets.get(partition) ?? 0);
      offsets.set(partition, Number(offset) + 1);
      expect([key, kind]).toEqual([expect.stringMatching(/^k\d$/), 'x']);
    }
    // Nothing new: it ends at once.
    const again = await evaq(['ingest', dir, '--from', from]);
    expect(again).toMatchObject({ code: 0, stderr: 'evaq: 0 records of kafka:orders pushed\n' });
  },
);
