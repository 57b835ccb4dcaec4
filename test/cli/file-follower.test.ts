/** What a follower of files gives out, however the file is rotated, and wherever it is begun again. */
import {
  appendFileSync,
  copyFileSync,
  mkdtempSync,
  renameSync,
  rmSync,
  truncateSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as passTime } from 'node:timers/promises';
import fc from 'fast-check';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { FileFollower, type FollowerOptions } from '../../src/cli/ingest/file-follower.js';
import { decodePosition } from '../../src/cli/ingest/file-position.js';
import { LineCutter } from '../../src/cli/ingest/line-cutter.js';

let path = '';
let warnings: string[] = [];

beforeEach(() => {
  path = join(newFolder(), 'access.log');
  warnings = [];
});

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'evaq-follower-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A source whose reader may be begun again from what it has said last. */
class Reader {
  readonly lines: string[] = [];
  #position: string | undefined;
  readonly #options: Partial<FollowerOptions>;

  constructor(options: Partial<FollowerOptions> = {}) {
    this.#options = options;
  }

  /** To the end of what is there; or of `blocks`, with the last one lost on its way. */
  async read(blocks: number = Infinity): Promise<void> {
    const follower = this.#newFollower(false);
    let seen = 0;
    for await (const { records, position } of follower.lines(new AbortController().signal)) {
      if (++seen > blocks) return;
      this.#take(records, position);
    }
  }

  /** Goes on with what comes, until `until` holds. */
  async follow(until: () => boolean, step: () => void = () => undefined): Promise<void> {
    const over = new AbortController();
    const tick = setInterval(() => {
      if (until()) over.abort();
      else step();
    }, 5);
    for await (const { records, position } of this.#newFollower(true).lines(over.signal)) this.#take(records, position);
    clearInterval(tick);
  }

  #newFollower(follow: boolean): FileFollower {
    const options: FollowerOptions = {
      path,
      separator: 0x0a,
      bytesMax: 1000,
      long: 'split',
      follow,
      pollMs: 1,
      leaveMs: 0,
      warn: (text) => warnings.push(text),
      ...this.#options,
    };
    return new FileFollower(options, decodePosition(this.#position));
  }

  #take(records: readonly Buffer[], position: string): void {
    this.lines.push(...records.map((record) => record.toString('latin1')));
    this.#position = position;
  }
}

describe('a follower of files', () => {
  test('gives out lines, empty and binary ones too; a half one when it has its end', async () => {
    const reader = new Reader();
    writeFileSync(path, Buffer.from('a\n\n\xff\x00\r\nhal', 'latin1'));
    await reader.read();
    expect(reader.lines).toEqual(['a', '', '\xff\x00\r']);
    await reader.read();
    appendFileSync(path, 'f\nb\n');
    await reader.read();
    expect(reader.lines).toEqual(['a', '', '\xff\x00\r', 'half', 'b']);
    expect(warnings).toEqual([]);
  });

  test('begun again after rotations, it reads the rest of what it had, and all that came between, in order', async () => {
    const reader = new Reader();
    writeFileSync(path, 'a1\n');
    await reader.read();
    appendFileSync(path, 'a2\na3 without an end');
    // One that was there before anything was read.
    writeFileSync(`${path}.3`, 'long ago\n');
    const past = new Date(Date.now() - 60_000);
    utimesSync(`${path}.3`, past, past);
    renameSync(path, `${path}.2`);
    writeFileSync(path, 'b1\nb2\n');
    renameSync(path, `${path}.1`);
    writeFileSync(path, 'c1\n');
    await reader.read();
    expect(reader.lines).toEqual(['a1', 'a2', 'a3 without an end', 'b1', 'b2', 'c1']);
    appendFileSync(path, 'c2\n');
    await reader.read();
    expect(reader.lines.slice(-2)).toEqual(['c1', 'c2']);
    expect(warnings).toEqual([]);
  });

  test.each(['access.log.1', 'access.log-20261127', 'access.log.2026-11-27', 'access-20261127.log', 'access.1.log'])(
    'finds it as %s',
    async (name) => {
      const reader = new Reader();
      writeFileSync(path, 'a1\n');
      await reader.read();
      appendFileSync(path, 'a2\n');
      renameSync(path, join(path, '..', name));
      writeFileSync(path, 'b1\n');
      await reader.read();
      expect(reader.lines).toEqual(['a1', 'a2', 'b1']);
    },
  );

  test('a file that was copied and truncated: the copy has the rest, also where the file is longer again', async () => {
    const reader = new Reader();
    writeFileSync(path, 'a1\na2\n');
    await reader.read();
    appendFileSync(path, 'a3\n');
    copyFileSync(path, `${path}.1`);
    truncateSync(path);
    appendFileSync(path, 'b1, which is longer than all of a was\n');
    await reader.read();
    expect(reader.lines).toEqual(['a1', 'a2', 'a3', 'b1, which is longer than all of a was']);
    expect(warnings).toEqual([]);
  });

  test('a copy that somebody has made of what was read is not read', async () => {
    const reader = new Reader();
    writeFileSync(path, 'a1\na2\n');
    await reader.read();
    await passTime(12);
    copyFileSync(path, `${path}.20261127`);
    renameSync(path, `${path}.1`);
    writeFileSync(path, 'b1\n');
    await reader.read();
    expect(reader.lines).toEqual(['a1', 'a2', 'b1']);
  });

  test('truncated without a copy, or gone: it says that something may be lost, and reads what is there', async () => {
    const reader = new Reader();
    writeFileSync(path, 'a1\na2\n');
    await reader.read();
    writeFileSync(path, 'b1\n');
    await reader.read();
    unlinkSync(path);
    writeFileSync(path, 'c1\n');
    await reader.read();
    expect(reader.lines).toEqual(['a1', 'a2', 'b1', 'c1']);
    expect(warnings).toEqual([
      'the file that was read last is not there any more: what it had gained since may be lost',
      'the file that was read last is not there any more: what it had gained since may be lost',
    ]);
  });

  test('while it follows: renamed and written to after that, deleted, copied and truncated', async () => {
    const reader = new Reader({ leaveMs: 50 });
    writeFileSync(path, 'a1\n');
    const steps: readonly (readonly [number, () => void])[] = [
      [
        1,
        () => {
          renameSync(path, `${path}.1`);
          writeFileSync(path, 'b1\n');
          // Its writer has not opened the new one yet.
          appendFileSync(`${path}.1`, 'a2\n');
        },
      ],
      [
        3,
        () => {
          appendFileSync(path, 'b2\n');
          unlinkSync(path);
          writeFileSync(path, 'c1\n');
        },
      ],
      [
        5,
        () => {
          appendFileSync(path, 'c2\nc3 with');
          copyFileSync(path, `${path}.9`);
          truncateSync(path);
          // Longer than what was there.
          appendFileSync(path, `d1${'.'.repeat(100)}\nd2\n`);
        },
      ],
    ];
    let done = 0;
    await reader.follow(
      () => reader.lines.includes('d2'),
      () => {
        const [at, step] = steps[done] ?? [Infinity, () => undefined];
        if (reader.lines.length < at) return;
        done++;
        step();
      },
    );
    expect(reader.lines).toEqual(['a1', 'a2', 'b1', 'b2', 'c1', 'c2', 'c3 with', `d1${'.'.repeat(100)}`, 'd2']);
    expect(warnings).toEqual([]);
  });

  test('waits for a file that is not there yet', async () => {
    const reader = new Reader();
    let turns = 0;
    await reader.follow(
      () => reader.lines.length > 0,
      () => {
        if (++turns === 3) writeFileSync(path, 'a\n');
      },
    );
    expect(reader.lines).toEqual(['a']);
  });

  test('lines that are too long are cut, or skipped; begun again within one, too', async () => {
    const long = 'x'.repeat(2500);
    const cut = new Reader();
    const skipping = new Reader({ long: 'skip' });
    writeFileSync(path, `a\n${long}`);
    for (const reader of [cut, skipping]) await reader.read();
    appendFileSync(path, `${'y'.repeat(500)}\nb\n${'z'.repeat(1000)}\n`);
    for (const reader of [cut, skipping]) await reader.read();
    const [x, z] = ['x'.repeat(1000), 'z'.repeat(1000)];
    expect(cut.lines).toEqual(['a', x, x, `${'x'.repeat(500)}${'y'.repeat(500)}`, 'b', z]);
    expect(skipping.lines).toEqual(['a', 'b', z]);
  });

  test('whatever happens to a file, and wherever it is begun again: each line once, in order', async () => {
    const step = fc.oneof(
      {
        weight: 4,
        arbitrary: fc.record({ kind: fc.constant('append' as const), lines: fc.nat(40), half: fc.boolean() }),
      },
      {
        weight: 2,
        arbitrary: fc.record({ kind: fc.constant('read' as const), blocks: fc.constantFrom(0, 1, Infinity) }),
      },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant('rename' as const) }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant('truncate' as const) }) },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 20 }), async (steps) => {
        path = join(newFolder(), 'access.log');
        const reader = new Reader({ bytesMax: 100_000 });
        const expected: string[] = [];
        let number = 0;
        let half = '';
        let rotations = 0;
        writeFileSync(path, '');
        const endHalf = (): void => {
          if (half !== '') expected.push(half);
          half = '';
        };
        for (const one of steps) {
          if (one.kind === 'append') {
            for (let i = 0; i < one.lines; i++) {
              const rest = `line ${++number} ${'.'.repeat(number % 90)}`;
              appendFileSync(path, `${rest}\n`);
              expected.push(half + rest);
              half = '';
            }
            if (one.half && half === '') {
              half = `half ${++number} `;
              appendFileSync(path, half);
            }
          } else if (one.kind === 'read') {
            await reader.read(one.blocks);
          } else {
            // A file that is empty is not rotated; and truncating what nobody has read before loses it, for there is nothing to know its copy by.
            if (number === 0 || reader.lines.length === 0) continue;
            // Times of files go on in steps.
            await passTime(12);
            const to = `${path}.${++rotations}`;
            endHalf();
            if (one.kind === 'rename') {
              renameSync(path, to);
              writeFileSync(path, '');
            } else {
              copyFileSync(path, to);
              truncateSync(path);
            }
            await passTime(12);
          }
        }
        endHalf();
        appendFileSync(path, '\n');
        await reader.read();
        const left = reader.lines.filter((line) => line !== '');
        expect(left).toEqual(expected);
      }),
      { numRuns: 60 },
    );
  });
});

test('a cutter that is begun again where another was gives what that would have given', () => {
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom('a', 'bb', '\n', 'ccccccc'), { maxLength: 40 }),
      fc.constantFrom('split' as const, 'skip' as const),
      fc.nat(40),
      (parts, long, at) => {
        const whole = new LineCutter(0x0a, 5, long);
        const expected = parts.flatMap((part) => whole.cut(Buffer.from(part)).map(String));
        const first = new LineCutter(0x0a, 5, long);
        const head = parts.slice(0, at);
        const given = head.flatMap((part) => first.cut(Buffer.from(part)).map(String));
        const second = new LineCutter(0x0a, 5, long, first.inside);
        const rest = Buffer.from(parts.join('')).subarray(first.taken);
        const more = second.cut(rest).map(String);
        expect([...given, ...more]).toEqual(expected);
        if (long === 'split') expect(whole.longLines === 0 || expected.some((one) => one.length === 5)).toBe(true);
        expect(expected.every((one) => one.length <= 5)).toBe(true);
        expect(whole.taken + whole.pending).toBe(Buffer.byteLength(parts.join('')));
      },
    ),
  );
});
