/** What a follower of files makes of files that are like each other: with the same first line, an inode that was used before, a name that another log has. */
import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as passTime } from 'node:timers/promises';
import fc from 'fast-check';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { FileFollower } from '../../src/cli/ingest/file-follower.js';
import { decodePosition, encodePosition } from '../../src/cli/ingest/file-position.js';
import { KinWatch } from '../../src/cli/ingest/kin-watch.js';
import { isRotatedName } from '../../src/cli/ingest/rotation.js';

const HEADER = '#Fields: date time cs-uri';
/** Times of files go on in steps. */
const TICK_MS = 12;

let path = '';
let position: string | undefined;
let lines: string[] = [];
let warnings: string[] = [];

function begin(): void {
  const folder = mkdtempSync(join(tmpdir(), 'evaq-rotation-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  path = join(folder, 'x.log');
  position = undefined;
  lines = [];
  warnings = [];
}

beforeEach(begin);

/** A run to the end of what is there, begun where the one before ended. Whether there was a file at all, and how many lines were too long. */
async function run(leaveMs: number = 0): Promise<{ isThere: boolean; longLines: number }> {
  const follower = new FileFollower(
    {
      path,
      separator: 0x0a,
      bytesMax: 1000,
      long: 'split',
      follow: false,
      pollMs: 1,
      leaveMs,
      warn: (text) => warnings.push(text),
    },
    decodePosition(position),
  );
  for await (const block of follower.lines(new AbortController().signal)) {
    lines.push(...block.records.map(String));
    position = block.position;
  }
  const { isThere, longLines } = follower;
  return { isThere, longLines };
}

async function write(name: string, ...content: string[]): Promise<void> {
  await passTime(TICK_MS);
  writeFileSync(name, content.map((line) => `${line}\n`).join(''));
}

describe('files that begin with the same line', () => {
  test('rotated twice after only that was read: each is read', async () => {
    await write(path, HEADER);
    await run();
    renameSync(path, `${path}.2`);
    await write(`${path}.1`, HEADER, 'r1', 'r2');
    await write(path, HEADER, 'r3');
    await run();
    expect({ lines, warnings }).toEqual({ lines: [HEADER, HEADER, 'r1', 'r2', HEADER, 'r3'], warnings: [] });
  });

  test('the one that was read is not there any more: that is said, and the others are read from their beginnings', async () => {
    await write(path, HEADER);
    await run();
    renameSync(path, join(path, '..', 'gone'));
    await write(`${path}.1`, HEADER, 'r1', 'r2');
    await write(path, HEADER, 'r3');
    await run();
    expect(lines).toEqual([HEADER, HEADER, 'r1', 'r2', HEADER, 'r3']);
    expect(warnings).toEqual([expect.stringContaining('not there any more')]);
  });

  test('copied and truncated after only that was read: the copy has the rest', async () => {
    await write(path, HEADER);
    await run();
    await passTime(TICK_MS);
    appendFileSync(path, 'r1\nr2\n');
    copyFileSync(path, `${path}.1`);
    await passTime(TICK_MS);
    truncateSync(path);
    appendFileSync(path, `${HEADER}\nr3\n`);
    await run();
    expect({ lines, warnings }).toEqual({ lines: [HEADER, 'r1', 'r2', HEADER, 'r3'], warnings: [] });
  });
});

test('a rotated file that has the inode of the one that was read is another', async () => {
  await write(path, 'one');
  await run();
  const [, offset, mark, writtenMs, bornMs, inside] = JSON.parse(String(position));
  unlinkSync(path);
  await write(`${path}.1`, 'three');
  await write(path, 'four');
  const inode = String(statSync(`${path}.1`, { bigint: true }).ino);
  // Also by a file system that does not know when a file was made: the bytes tell it.
  for (const born of [bornMs, 0]) {
    position = encodePosition({ inode, offset, mark, writtenMs, bornMs: born, inside });
    lines = [];
    await run();
    expect(lines).toEqual(['three', 'four']);
  }
  // When it was made tells it where the bytes do not.
  position = encodePosition({ inode, offset, mark, writtenMs, bornMs: bornMs - 1, inside });
  lines = [];
  writeFileSync(`${path}.1`, 'one\nmore\n');
  await write(path, 'four');
  await run();
  expect(lines).toEqual(['one', 'more', 'four']);
});

test('a log beside it is none of its rotated ones: by its name, or for it is written to all the time', async () => {
  const names: [string, string, boolean][] = [
    ['w-1.log', 'w.log', false],
    ['w_1.log', 'w.log', false],
    ['node-8080.log', 'node.log', false],
    ['node.8080.log', 'node.log', false],
    ['w.log-2', 'w.log', false],
    ['w.1.log', 'w.log', true],
    ['w.log.1', 'w.log', true],
    ['w.log.2026-11-27', 'w.log', true],
    ['w-20261127.log', 'w.log', true],
    ['w.log-1764277985', 'w.log', true],
    ['w-2026-11-27_10:00.log', 'w.log', true],
  ];
  for (const [one, name, is] of names) expect([one, isRotatedName(one, name)]).toEqual([one, is]);

  await write(path, 'a1');
  await run();
  renameSync(path, `${path}.2`);
  await write(path, 'b1');
  const neighbour = `${path}.1`;
  const writer = setInterval(() => appendFileSync(neighbour, 'foreign\n'), 5);
  try {
    await run(60);
  } finally {
    clearInterval(writer);
  }
  expect(lines).toEqual(['a1', 'b1']);
  expect(warnings).toEqual([`${neighbour} is written to still: it is taken for a log of its own, and not read`]);
});

test('what was rotated a moment ago is waited for; a clock that is wrong holds nothing up', () => {
  const watch = new KinWatch(1000, (text) => warnings.push(text));
  const seen = { name: 'k', inode: '1', size: 1, bornMs: 0 };
  const future = Date.now() + 1e9;
  expect(watch.judge({ ...seen, writtenMs: Date.now() - 2000 }, 0)).toBe('at-rest');
  expect(watch.judge({ ...seen, writtenMs: future }, 0)).toBe('busy');
  expect(watch.judge({ ...seen, writtenMs: future + 1 }, 900)).toBe('busy');
  expect(watch.judge({ ...seen, writtenMs: future + 1 }, 1800)).toBe('busy');
  expect(watch.judge({ ...seen, writtenMs: future + 1 }, 1900)).toBe('at-rest');
  expect(watch.judge({ ...seen, writtenMs: future + 2 }, 3000)).toBe('foreign');
  expect(warnings).toHaveLength(1);
});

test('lines that are too long are counted over all files', async () => {
  await write(path, 'a');
  await run();
  renameSync(path, `${path}.1`);
  appendFileSync(`${path}.1`, `${'x'.repeat(1001)}\n`);
  await write(path, 'x'.repeat(1001));
  expect(await run()).toMatchObject({ longLines: 2 });
});

test('at the very first time there is the file, or none: what was rotated away is none of its affair', async () => {
  await write(`${path}.1`, 'old');
  expect(await run()).toMatchObject({ isThere: false });
  await write(path, 'new');
  expect(await run()).toMatchObject({ isThere: true });
  expect(lines).toEqual(['new']);
});

test.skipIf(process.platform === 'win32')(
  'what is no file is refused at once, and passed by among the rotated',
  async () => {
    execFileSync('mkfifo', [path]);
    await expect(run()).rejects.toThrow(`${path} is no regular file`);
    unlinkSync(path);
    mkdirSync(path);
    await expect(run()).rejects.toThrow(`${path} is no regular file`);
    rmSync(path, { recursive: true });
    await write(path, 'a');
    await run();
    renameSync(path, `${path}.3`);
    execFileSync('mkfifo', [`${path}.1`]);
    mkdirSync(`${path}.2`);
    await write(path, 'b');
    await run();
    expect({ lines, warnings }).toEqual({ lines: ['a', 'b'], warnings: [] });
  },
);

test('however files are rotated that begin alike, and whenever it runs: nothing is lost, nothing twice, nothing of others', async () => {
  const step = fc.oneof(
    { weight: 4, arbitrary: fc.constant('append' as const) },
    { weight: 3, arbitrary: fc.constant('run' as const) },
    { weight: 2, arbitrary: fc.constantFrom('numbered' as const, 'dated' as const, 'copied' as const) },
    { weight: 1, arbitrary: fc.constantFrom('reuse' as const, 'neighbour' as const) },
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 4, maxLength: 16 }), fc.boolean(), async (steps, hasHeader) => {
      begin();
      const expected: string[] = [];
      let number = 0;
      let rows = 0;
      let date = 20_260_000;
      const make = (): void => {
        rows = 0;
        writeFileSync(path, hasHeader ? `${HEADER}\n` : '');
        if (hasHeader) expected.push(HEADER);
      };
      const append = (): void => {
        appendFileSync(path, `row ${++number}\n`);
        expected.push(`row ${number}`);
        rows++;
      };
      const age = (): void => {
        for (let i = 9; i > 0; i--) if (existsSync(`${path}.${i}`)) renameSync(`${path}.${i}`, `${path}.${i + 1}`);
      };
      make();
      if (!hasHeader) append();
      await run();
      for (const one of steps) {
        if (one === 'append') append();
        else if (one === 'run') await run();
        else if (one === 'neighbour') {
          for (const name of ['x-1.log', 'x_2.log', 'x.8080.log']) appendFileSync(join(path, '..', name), 'foreign\n');
        } else if (one === 'reuse') {
          // What has been read may be deleted: the next file that is made has its inode.
          if (rows === 0) continue;
          await run();
          unlinkSync(path);
          make();
          append();
        } else {
          // A file of which nothing is known but its first line is like every other.
          if (rows === 0) continue;
          await passTime(TICK_MS);
          age();
          if (one === 'copied') {
            copyFileSync(path, `${path}.1`);
            await passTime(TICK_MS);
            truncateSync(path);
            rows = 0;
            if (hasHeader) {
              appendFileSync(path, `${HEADER}\n`);
              expected.push(HEADER);
            }
            append();
          } else {
            renameSync(path, one === 'dated' ? `${path}-${++date}` : `${path}.1`);
            await passTime(TICK_MS);
            make();
          }
        }
      }
      if (rows === 0) append();
      await run();
      expect(lines).toEqual(expected);
    }),
    { numRuns: 60 },
  );
});
