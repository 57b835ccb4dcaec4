/** `evaq export`, `import`, and `push` of JSON, as a user runs them. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { parseRecordLine } from '../../src/cli/records/record-from-json.js';
import { Evaq } from '../../src/evaq.js';
import { cliPath, evaq, startEvaq } from './support/evaq-cli.js';

beforeAll(async () => {
  await cliPath();
});

function temporary(): string {
  const folder = mkdtempSync(join(tmpdir(), 'evaq-export-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return join(folder, 'store');
}

/** A store with all that a record may have: bytes, headers, a due time, a dead letter, gaps. */
async function full(): Promise<string> {
  const store = temporary();
  await using library = await Evaq.open(store);
  const mail = await library.queue('mail', { dedupe: { windowMs: 60_000, windowRecords: 10 } });
  await library.wal.pushMany(['é\n"', Buffer.from([0xff, 0, 0x80]), '', 'gone', 'to be dead']);
  await library.wal.push('headers', { headers: { 'content-type': 'x', __proto__x: '' }, deliverAt: Date.now() + 1e7 });
  await library.wal.remove(4);
  await mail.push('once', { messageId: 'm-1' });
  const dead = await mail.push('letter');
  await library.deadLetter(5, { reason: 'no route', error: new Error('400', { cause: new TypeError('inner') }) });
  await mail.deadLetter(dead, { reason: 'other' });
  return store;
}

/** All lines but the first, which names the store. */
async function exported(store: string, ...args: string[]): Promise<string[]> {
  const { stdout, code } = await evaq(['export', store, ...args]);
  expect(code).toBe(0);
  return stdout.toString().trimEnd().split('\n').slice(1);
}

describe('an export', () => {
  test('loses nothing: a store that is made of it gives the same, and goes on behind it', async () => {
    const store = await full();
    const { stdout } = await evaq(['export', store]);
    const copy = temporary();
    expect(await evaq(['import', copy], stdout)).toMatchObject({ code: 0, stderr: 'evaq: imported 7 records\n' });
    const lines = await exported(store);
    expect(lines.length).toBe(8);
    expect(await exported(copy)).toEqual(lines);
    expect(await evaq(['verify', copy, '--strict'])).toMatchObject({ code: 0 });
    await using library = await Evaq.open(copy);
    expect(library.recovery.damage).toEqual([]);
    expect(await library.wal.push('next')).toBe(7);
    const { moved } = await library.wal.deadLetters.redrive('all');
    expect(moved).toBe(1);
  });

  test('of many records, with gaps, over several segments, is as it was', async () => {
    const store = temporary();
    const payload = 'p'.repeat(5000);
    {
      await using library = await Evaq.open(store);
      for (let i = 0; i < 30; i++) await library.wal.pushMany(Array.from({ length: 500 }, () => payload));
      await library.wal.removeMany(Array.from({ length: 5000 }, (_, i) => 3 * i + 1));
    }
    const { stdout } = await evaq(['export', store, '-q', 'wal']);
    const copy = temporary();
    expect(await evaq(['import', copy], stdout)).toMatchObject({ code: 0, stderr: 'evaq: imported 10000 records\n' });
    expect(await evaq(['verify', copy])).toMatchObject({ code: 0 });
    expect((await evaq(['cat', copy, '--format', '%i'])).stdout).toEqual(
      (await evaq(['cat', store, '--format', '%i'])).stdout,
    );
  });

  test('of a selection names the queues and says at its end how many there were', async () => {
    const store = await full();
    const lines = await exported(store, '-q', '*', '--reason', 'no route');
    expect(lines.map((line): unknown => JSON.parse(line))).toMatchObject([
      { v: 1, queue: 'dead-letters', reason: 'no route', origin: { queue: 'wal', id: 5 }, attempts: 1 },
      { kind: 'end', records: 1 },
    ]);
  });
});

/** In the weaker one the files tell of more IDs than were given out. */
const MODES = ['sync', 'os'] as const;

describe('an export of a store that is in use', () => {
  test.each(MODES)(
    "has what is moved meanwhile into a queue that was read already, and has nothing twice: mode '%s'",
    async (durability) => {
      const store = temporary();
      await using library = await Evaq.open(store, { durability });
      await library.wal.pushMany(Array.from({ length: 4000 }, (_, i) => `rec${i} ${'x'.repeat(1000)}`));
      const back = await library.move('wal', [1, 2, 3], 'dead-letters');
      expect(back.moved).toBe(3);
      const child = await startEvaq(['export', store]);
      const chunks: string[] = [];
      let isMoved = false;
      for await (const chunk of child.stdout ?? []) {
        chunks.push(String(chunk));
        if (isMoved || !String(chunk).includes('"rec')) continue;
        isMoved = true;
        // The pipe is full: the end of the WAL is not read yet, and the dead letters are.
        await library.move('wal', (record: { readonly id: number }) => record.id > 3500, 'dead-letters');
        // Was read, and is not to come again.
        await library.move('wal', [4, 5], 'dead-letters');
      }
      const lines = chunks.join('').trimEnd().split('\n').slice(1, -1);
      const payloads = lines.map((line) => /rec\d+/.exec(line)?.[0]);
      expect(new Set(payloads).size).toBe(4000);
      expect(payloads.length).toBe(4000);
      expect(await evaq(['import', temporary()], chunks.join(''))).toMatchObject({ code: 0 });
    },
  );
});

describe('an export beside a writer', () => {
  test.each(MODES)(
    "has nothing that was pushed after it had begun, also if it was moved then: mode '%s'",
    async (durability) => {
      const store = temporary();
      await using library = await Evaq.open(store, { durability });
      const [first, last] = [await library.queue('a'), await library.queue('z')];
      await first.push('early');
      await last.push('early');
      await library.wal.pushMany(Array.from({ length: 4000 }, (_, i) => `rec${i} ${'x'.repeat(1000)}`));
      const child = await startEvaq(['export', store]);
      const chunks: string[] = [];
      let isPushed = false;
      for await (const chunk of child.stdout ?? []) {
        chunks.push(String(chunk));
        if (isPushed || !String(chunk).includes('"rec')) continue;
        isPushed = true;
        // Read already, being read, and to be read.
        for (const queue of [first, library.wal, last]) await queue.pushMany(['late', 'late']);
        await library.move('z', [2], 'a');
      }
      expect(isPushed).toBe(true);
      const text = chunks.join('');
      expect(text.match(/"payload":"early"/g)?.length).toBe(2);
      expect(text).not.toContain('"late"');
      expect(text).toContain('"records":4002');
    },
  );
});

describe('an import', () => {
  test('gives no ID to a record by which another one is known', async () => {
    const store = temporary();
    {
      await using library = await Evaq.open(store);
      const jobs = await library.queue('jobs');
      await library.wal.pushMany(['a', 'b', 'c']);
      await jobs.pushMany(['d', 'e']);
      await library.move('wal', () => true, 'dead-letters');
      for (const id of [1, 2]) await jobs.deadLetter(id, { reason: 'no' });
      await library.queue('spent').then(async (spent) => spent.remove(await spent.push('gone')));
    }
    for (const args of [[], ['-q', 'dead-letters,jobs.dead']]) {
      const { stdout } = await evaq(['export', store, ...args]);
      const copy = temporary();
      expect(await evaq(['import', copy], stdout)).toMatchObject({ code: 0 });
      expect(await evaq(['verify', copy, '--strict'])).toMatchObject({ code: 0 });
      await using library = await Evaq.open(copy);
      expect(library.recovery.damage).toEqual([]);
      expect(await library.wal.push('next')).toBe(4);
      expect(await (await library.queue('jobs')).push('next')).toBe(3);
      expect((await library.wal.deadLetters.redrive('all')).moved).toBe(3);
      if (args.length === 0) expect(await (await library.queue('spent')).push('next')).toBe(2);
    }
    // Of an export that does not say so, as one made by hand, what its records say counts.
    const { stdout } = await evaq(['export', store, '-q', 'dead-letters']);
    const [head = '', ...rest] = stdout.toString().split('\n');
    const old = JSON.stringify(Object.assign(JSON.parse(head), { nextIds: undefined }));
    const copy = temporary();
    expect(await evaq(['import', copy], [old, ...rest].join('\n'))).toMatchObject({ code: 0 });
    await using library = await Evaq.open(copy);
    expect(await library.wal.push('next')).toBe(4);
  });

  test('of what was cut off within a line takes the lines in front of it', async () => {
    const { stdout } = await evaq(['export', await full()]);
    const lines = stdout.toString().split('\n');
    const cut = `${lines.slice(0, 3).join('\n')}\n${lines[3]?.slice(0, -5)}`;
    const copy = temporary();
    expect((await evaq(['import', copy], cut)).code).not.toBe(0);
    const other = temporary();
    expect(await evaq(['import', other, '--truncated'], cut)).toMatchObject({ code: 0 });
    expect((await exported(other)).length).toBe(3);
  });

  test('that fails before the first record says what it leaves', async () => {
    const copy = temporary();
    const head = JSON.stringify({ v: 1, kind: 'evaq-export', store: 'x', queues: ['wal', 'not/a name'] });
    const { code, stderr } = await evaq(['import', copy], `${head}\n`);
    expect(code).not.toBe(0);
    expect(stderr).toMatch(/\.import, which can be removed/);
    expect(existsSync(`${copy}.import`)).toBe(true);
  });

  test('that is cut off, or wrong, makes no store, and says why in a line', async () => {
    const { stdout } = await evaq(['export', await full()]);
    const lines = stdout.toString().trimEnd().split('\n');
    const input = (...some: (string | undefined)[]): string => some.map((line) => `${line}\n`).join('');
    const last = lines.at(-1);
    for (const [what, text, message] of [
      ['cut off', input(...lines.slice(0, -1)), /cut off/],
      ['a record is missing', input(...lines.slice(0, 2), last), /had 7 records, and 1 are there/],
      ['twice the same ID', input(lines[0], lines[1], lines[1], last), /line 3 .*IDs ascend/],
      ['no JSON', input(lines[0], '{'), /line 2 of the input: it is no JSON/],
      ['no export', 'a\nb\n', /line 1 of the input: it is no JSON/],
      ['a record first', input(lines[1]), /tells of no store/],
      ['nothing', '', /nothing on standard input/],
      ['something behind it', input(...lines, lines[1]), /behind the end/],
    ] as const) {
      const copy = temporary();
      const { code, stderr } = await evaq(['import', copy], text);
      expect({ what, made: existsSync(copy), ok: code === 0 }).toEqual({ what, made: false, ok: false });
      expect(stderr).toMatch(message);
      expect(stderr).not.toMatch(/ at .*\.(?:js|mjs|ts):\d/);
    }
  });

  test('does not touch what is there, and takes what there is of a cut export if it is told to', async () => {
    const store = await full();
    const { stdout } = await evaq(['export', store]);
    const there = await evaq(['import', store], stdout);
    expect(there.code).toBe(1);
    expect(there.stderr).toMatch(/there is something at/);
    const cut = stdout.toString().split('\n').slice(0, 3).join('\n');
    const copy = temporary();
    expect(await evaq(['import', copy, '--truncated'], `${cut}\n`)).toMatchObject({ code: 0 });
    expect((await exported(copy)).length).toBe(3);
  });

  test('into a store that there is gives new IDs, and keeps payloads and headers', async () => {
    const { stdout } = await evaq(['export', await full()]);
    const other = temporary();
    await evaq(['push', other], 'first\n');
    expect(await evaq(['import', other, '--renumber'], stdout)).toMatchObject({ code: 0 });
    const records = (await exported(other)).map((line): { queue?: string; headers?: object } => JSON.parse(line));
    expect(records.map(({ queue }) => queue)).toEqual([
      'dead-letters',
      'mail',
      'mail.dead',
      'wal',
      'wal',
      'wal',
      'wal',
      'wal',
      undefined,
    ]);
    expect(records.at(-2)?.headers).toEqual({ 'content-type': 'x', __proto__x: '' });
  });
});

describe('push', () => {
  test('takes lines of JSON, and headers for all', async () => {
    const store = temporary();
    const lines = ['{"payload":"a"}', '{"payload":{"base64":"/w=="},"headers":{"k":"own","z":"1"}}'];
    const pushed = await evaq(['push', store, '--json', '-H', 'k=v', '-H', 'empty='], `${lines.join('\n')}\n`);
    expect(pushed.code).toBe(0);
    const out = await evaq(['cat', store, '--format', '%H', '-o', 'line']);
    expect(out.code).toBe(2);
    expect((await evaq(['cat', store, '--format', '%s %H'])).stdout.toString()).toBe(
      '1 {"k":"v","empty":""}\n1 {"k":"own","empty":"","z":"1"}\n',
    );
    const wrong = await evaq(['push', store, '--json'], '{"payload":"b"}\n{"text":"c"}\n');
    expect(wrong.code).toBe(2);
    expect(wrong.stderr).toMatch(/pushed 1 record, ID 3\n.*line 2 of the input: there is no field 'text'/);
  });
});

describe('a line of JSON', () => {
  test.each([
    ['[]', 'it is no object'],
    ['{"v":2,"payload":"x"}', 'its version is 2'],
    ['{"payload":5}', "'payload' is a text"],
    ['{"payload":{"base64":"§"}}', 'no base64'],
    ['{"payload":"\\ud800"}', 'surrogate'],
    ['{"payload":"x","headers":{"a":1}}', "the header 'a' is no text"],
    ['{"payload":"x","headers":[]}', "'headers' is no object"],
    ['{"payload":"x","id":-1}', "'id' is no whole number"],
    ['{"payload":"x","time":"soon"}', "'time' is no time"],
    ['{"payload":"x","due":"Sunday 5"}', "'due' is no time"],
    ['{"payload":"x","due":"2026-02-31T00:00:00Z"}', "'due' is no time"],
    ['{"payload":"x","headers":{"a":"\\ud800"}}', 'surrogate'],
    ['{"payload":"x","headers":{"\\udc00":"a"}}', 'surrogate'],
    ['{"payload":"x","reason":"\\ud800"}', 'surrogate'],
    ['{"payload":"x","origin":{"queue":"a"}}', "'origin' has no queue and ID"],
    ['{"payload":"x","error":{}}', "'error' has no message"],
    ['{"payload":"x","more":1}', "there is no field 'more'"],
  ])('%s is refused', (line, why) => {
    expect(parseRecordLine(Buffer.from(line))).toMatchObject({ kind: 'wrong', why: expect.stringContaining(why) });
  });
});
