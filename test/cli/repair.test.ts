import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { Evaq } from '../../src/evaq.js';
import { surveyRepair } from '../../src/raw/repair-survey.js';
import { RawSegment, verifyStore } from '../../src/raw.js';
import { segmentsOf, snapshotOf } from '../unit/raw/support/disk.js';
import { cliPath, evaq, startEvaq } from './support/evaq-cli.js';

const RECORDS = 400;
const REMOVED = new Set([3, 50, 51, 200]);

let template = '';

/** Segments of 64 KiB: three of records 1 to 400, in commits of 10, 500 bytes each; closed. */
beforeAll(async () => {
  await cliPath();
  template = join(mkdtempSync(join(tmpdir(), 'evaq-repair-')), 'store');
  const store = await Evaq.open(template, { segmentBytes: 64 * 1024, gc: false });
  for (let id = 1; id <= RECORDS; id += 10) {
    await store.wal.pushMany(Array.from({ length: 10 }, (_, i) => textOf(id + i)));
  }
  for (const id of REMOVED) await store.wal.remove(id);
  await store.deadLetters.push('a dead letter');
  await store.close();
  return () => rmSync(join(template, '..'), { recursive: true, force: true });
});

function textOf(id: number): string {
  return `${id}:`.padEnd(500, 'abcdefgh');
}

/** A copy of the store. */
function newStore(): string {
  const folder = mkdtempSync(join(tmpdir(), 'evaq-repair-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const store = join(folder, 'store');
  cpSync(template, store, { recursive: true });
  return store;
}

function change(path: string, edit: (bytes: Buffer) => Buffer | undefined): void {
  const bytes = readFileSync(path);
  writeFileSync(path, edit(bytes) ?? bytes);
}

function flip(path: string, ...offsets: number[]): void {
  change(path, (bytes) => {
    for (const offset of offsets) {
      const at = offset < 0 ? bytes.length + offset : offset;
      bytes.writeUInt8(bytes.readUInt8(at) ^ 0x55, at);
    }
    return undefined;
  });
}

function segment(store: string, at: number): string {
  return segmentsOf(store).at(at) ?? '';
}

function tombstones(store: string): string {
  const dir = join(store, 'queues/wal');
  return join(dir, readdirSync(dir).find((name) => name.endsWith('.tomb')) ?? '');
}

/** Offset and IDs of the n-th commit of records. */
async function commitAt(path: string, n: number): Promise<{ offset: number; firstId: number }> {
  await using raw = await RawSegment.open(path);
  let i = 0;
  for await (const commit of raw.commits()) {
    if (commit.kind === 'records' && i++ === n) return { offset: commit.offset, firstId: commit.firstId };
  }
  throw new Error(`${path} has no commit ${n}`);
}

interface Report {
  readonly applied: boolean;
  readonly backup?: string;
  readonly damage: readonly { readonly file: string; readonly offset: number; readonly firstId?: number }[];
  readonly steps: readonly { readonly action: string; readonly file: string }[];
  readonly lost: readonly { readonly queue: string; readonly firstId: number; readonly lastId: number }[];
  readonly removalsLost: readonly string[];
  readonly left: readonly unknown[];
}

function reportOf(stdout: Buffer): Report {
  return JSON.parse(stdout.toString());
}

interface Case {
  readonly what: string;
  readonly damage: (store: string) => Promise<void> | void;
  /** Which file verify names, and what it says of it. */
  readonly names: RegExp;
  readonly actions: readonly string[];
  /** IDs of wal that are lost. */
  readonly lost?: readonly number[] | 'some';
  readonly removalsLost?: boolean;
}

const CASES: readonly Case[] = [
  {
    what: 'a flip in the body of a commit',
    damage: async (store) => {
      const { offset } = await commitAt(segment(store, 0), 2);
      // Into the payload of the second record: frames of 508 bytes behind a header of 48.
      flip(segment(store, 0), offset + 48 + 508 + 100);
    },
    names:
      /^damage {2}\S+wal\/\S+\.seg: offset \d+, \d+ bytes: the body of a commit is damaged\n +may be lost: record 22, pushed from \S+Z to \S+Z$/m,
    actions: ['rewrite'],
    lost: [22],
  },
  {
    what: 'a flip in the header of a commit',
    damage: async (store) => flip(segment(store, 0), (await commitAt(segment(store, 0), 2)).offset + 20),
    names: /^damage {2}\S+\.seg: offset \d+, \d+ bytes: frames are damaged$/m,
    actions: ['rewrite'],
  },
  {
    what: 'a flip in the summary of a footer',
    damage: (store) => flip(segment(store, 0), -20),
    names: /^harmless {2}\S+\.seg: offset \d+, \d+ bytes: the footer is damaged; what it says stands in the commits/m,
    actions: ['rewrite'],
  },
  {
    what: 'a flip in the index of a footer',
    damage: async (store) => {
      await using raw = await RawSegment.open(segment(store, 0));
      let footer = 0;
      for await (const commit of raw.commits()) if (commit.kind === 'footer') footer = commit.offset;
      flip(segment(store, 0), footer + 48 + 3);
    },
    names: /^harmless {2}\S+\.seg: offset \d+, \d+ bytes: the index is damaged|footer is damaged/m,
    actions: ['rewrite'],
  },
  {
    what: 'one copy of a file header',
    damage: (store) => flip(segment(store, 1), 12),
    names: /^harmless {2}\S+\.seg: offset 0, 128 bytes: one copy of a header is damaged/m,
    actions: ['mend-header'],
  },
  {
    what: 'both copies of a file header',
    damage: (store) => flip(segment(store, 1), 12, 64 + 57),
    names:
      /^damage {2}\S+\.seg: offset 0, \d+ bytes: the header is damaged[\s\S]*may be lost: records \d+ to \d+, \d+ to 240$/m,
    actions: ['rebuild-header'],
  },
  {
    what: 'both copies of the header of the tombstone log',
    damage: (store) => flip(tombstones(store), 12, 64 + 57),
    names: /^damage {2}\S+\.tomb: offset 0, \d+ bytes: the header of a tombstone log is damaged/m,
    actions: ['rebuild-header', 'renew-removals'],
  },
  {
    what: 'one copy of a round in the tombstone log',
    damage: (store) => {
      change(tombstones(store), (bytes) => {
        const at = bytes.indexOf(Buffer.from([0xc0, 0xe7]), 128 + 48 + 48);
        bytes.writeUInt8(bytes.readUInt8(at + 20) ^ 1, at + 20);
        return undefined;
      });
    },
    names: /^(?:harmless|damage {2}) *\S+\.tomb: offset \d+, \d+ bytes: /m,
    actions: ['renew-removals'],
  },
  {
    what: 'a tombstone log that is cut',
    damage: (store) => change(tombstones(store), (bytes) => bytes.subarray(0, 300)),
    names: /^damage {2}\S+\.tomb: offset \d+, \d+ bytes?: /m,
    actions: ['renew-removals'],
    removalsLost: true,
  },
  {
    what: 'a tombstone log that is gone',
    damage: (store) => rmSync(tombstones(store)),
    names: /^damage .*: the tombstone log is missing/m,
    actions: ['accept'],
    removalsLost: true,
  },
  {
    what: 'a segment that is cut in the middle of a commit',
    damage: async (store) => {
      const { offset } = await commitAt(segment(store, 0), 4);
      change(segment(store, 0), (bytes) => bytes.subarray(0, offset + 48 + 508 * 2 + 77));
    },
    names: /^damage {2}\S+\.seg: offset \d+, \d+ bytes: .*\n +may be lost: records/m,
    actions: ['rewrite'],
    lost: 'some',
  },
  {
    what: 'a segment that is cut between commits',
    damage: async (store) => {
      const { offset } = await commitAt(segment(store, 0), 4);
      change(segment(store, 0), (bytes) => bytes.subarray(0, offset));
    },
    names: /^damage {2}\S+\.seg: offset \d+, \d+ bytes?: .*\n +may be lost: records 41 to 49, 52 to 120$/m,
    actions: ['rewrite'],
    lost: 'some',
  },
  {
    what: 'a segment that is empty',
    damage: (store) => change(segment(store, 1), () => Buffer.alloc(0)),
    names: /^damage {2}\S+\.seg: offset 0, 0 bytes: the header is damaged/m,
    actions: ['set-aside'],
    lost: 'some',
  },
  {
    what: 'a segment that is gone',
    damage: (store) => rmSync(segment(store, 1)),
    names: /^damage {2}\S+queues\/wal: .*a segment file is missing/m,
    actions: ['accept'],
    lost: 'some',
  },
  {
    what: 'a zeroed sector in the middle',
    damage: async (store) => {
      const { offset } = await commitAt(segment(store, 1), 5);
      change(segment(store, 1), (bytes) => bytes.fill(0, (offset + 600) & ~511, ((offset + 600) & ~511) + 512));
    },
    names:
      /^damage {2}\S+\.seg: offset \d+, \d+ bytes: the body of a commit is damaged\n +may be lost: records \d+ to \d+/m,
    actions: ['rewrite'],
    lost: 'some',
  },
  {
    what: 'the first sector zeroed, with both copies of the header',
    damage: (store) => change(segment(store, 0), (bytes) => bytes.fill(0, 0, 512)),
    names: /^damage {2}\S+\.seg: offset 0, \d+ bytes: the header is damaged/m,
    actions: ['rebuild-header', 'rewrite'],
    lost: [1],
  },
  {
    what: 'everything in a segment overwritten',
    damage: (store) => change(segment(store, 0), (bytes) => bytes.fill(0xa7)),
    names: /^damage {2}\S+\.seg: offset 0, \d+ bytes: the header is damaged/m,
    actions: ['set-aside'],
    lost: 'some',
  },
  {
    what: 'all records of a segment unreadable',
    damage: async (store) => {
      const path = segment(store, 0);
      await using raw = await RawSegment.open(path);
      let footer = 0;
      for await (const commit of raw.commits()) if (commit.kind === 'footer') footer = commit.offset;
      change(path, (bytes) => bytes.fill(0xa7, 128, footer));
    },
    names: /^damage {2}\S+\.seg: offset 128, \d+ bytes: frames are damaged\n +may be lost: records 1 to \d+/m,
    actions: ['rewrite'],
    lost: 'some',
  },
  {
    what: 'one copy of STORE',
    damage: (store) => flip(join(store, 'STORE'), 12),
    names: /^harmless {2}\S+STORE: offset 0, 128 bytes: one copy/m,
    actions: ['mend-header'],
  },
  {
    what: 'both copies of STORE',
    damage: (store) => flip(join(store, 'STORE'), 12, 64 + 12),
    names: /^damage {2}\S+STORE: offset 0, 128 bytes: both copies/m,
    actions: ['rebuild-store'],
  },
  {
    what: 'STORE gone',
    damage: (store) => rmSync(join(store, 'STORE')),
    names: /^damage {2}\S+STORE: offset 0, 128 bytes: the file is missing/m,
    actions: ['rebuild-store'],
  },
  {
    what: 'STORE gone, a header, a body and the tombstone log damaged, all at once',
    damage: async (store) => {
      flip(segment(store, 0), (await commitAt(segment(store, 0), 2)).offset + 20);
      flip(segment(store, 1), 12, 64 + 57);
      flip(tombstones(store), 12, 64 + 57);
      rmSync(join(store, 'STORE'));
    },
    names: /^damaged in 6 places/m,
    actions: ['rebuild-store', 'rebuild-header', 'rebuild-header', 'rewrite', 'renew-removals'],
    lost: [],
  },
];

function range(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}

async function readAll(store: string): Promise<{ wal: Map<number, string>; dead: string[] }> {
  await using opened = await Evaq.open(store, { create: false });
  const wal = new Map<number, string>();
  for await (const { id, payload } of opened.wal.records()) wal.set(id, payload.toString());
  const dead: string[] = [];
  for await (const { payload } of opened.deadLetters.records()) dead.push(payload.toString());
  expect(opened.recovery.damage).toEqual([]);
  expect(await opened.wal.push('next')).toBeGreaterThan(RECORDS);
  return { wal, dead };
}

describe('P9: damage of every kind is named by verify, planned and mended by repair, and costs no intact record', () => {
  test.each(CASES)(
    '$what',
    { timeout: 300_000 },
    async ({ damage, names, actions, lost = [], removalsLost = false }) => {
      const store = newStore();
      await damage(store);
      const before = snapshotOf(store);

      const verified = await evaq(['verify', store]);
      expect(verified.stdout.toString()).toMatch(names);
      expect(verified.code).toBe(3);

      const planned = await evaq(['repair', store, '--json']);
      expect(planned).toMatchObject({ code: 3, stderr: 'evaq: nothing was changed; --apply does it\n' });
      const plan = reportOf(planned.stdout);
      expect(plan.applied).toBe(false);
      expect(plan.steps.map(({ action }) => action)).toEqual(actions);
      expect(plan.removalsLost).toEqual(removalsLost ? ['wal'] : []);
      expect(snapshotOf(store)).toEqual(before);
      const applied = await evaq(['repair', store, '--apply', '--json']);
      expect(applied).toMatchObject({ code: 0, stderr: '' });
      const report = reportOf(applied.stdout);
      expect(report).toMatchObject({ applied: true, steps: plan.steps, lost: plan.lost, left: [] });
      for (const { file } of report.steps) {
        const copy = join(report.backup ?? '', file.slice(store.length));
        const was = before.find((line) => line.startsWith(`${file.slice(store.length + 1)} `));
        if (was === undefined || was.endsWith('folder')) continue;
        expect(existsSync(copy)).toBe(true);
        expect(snapshotOf(join(copy, '..')).some((line) => line.split(' ').at(-1) === was.split(' ').at(-1))).toBe(
          true,
        );
      }

      expect(await verifyStore(store)).toMatchObject({ damage: [], torn: [] });
      expect((await surveyRepair(store)).plan.steps).toEqual([]);

      const { wal, dead } = await readAll(store);
      expect(dead).toEqual(['a dead letter']);
      const planLost = plan.lost.flatMap(({ firstId, lastId }) => range(firstId, lastId));
      const gone = range(1, RECORDS).filter((id) => !REMOVED.has(id) && !wal.has(id));
      if (lost === 'some') expect(gone.length).toBeGreaterThan(0);
      else expect(gone).toEqual(lost);
      // What is missing as a file is missing in the count only: nothing tells its IDs.
      if (!report.damage.some(({ file }) => file.endsWith('/wal'))) expect(planLost).toEqual(gone);
      for (const [id, text] of wal) {
        expect(text).toBe(textOf(id));
        if (!removalsLost) expect(REMOVED.has(id)).toBe(false);
      }
    },
  );
});

describe('repair', () => {
  test('leaves an intact store as it is, with or without --apply', async () => {
    const store = newStore();
    const before = snapshotOf(store);
    for (const flags of [[], ['--apply']]) {
      expect(await evaq(['repair', store, ...flags])).toMatchObject({
        code: 0,
        stdout: Buffer.from('intact: nothing to do\n'),
        stderr: '',
      });
    }
    expect(snapshotOf(store)).toEqual(before);
  });

  test('exits with 5 where the store is open for writing, and changes nothing', async () => {
    const store = newStore();
    flip(segment(store, 0), 300);
    const child = await startEvaq(['push', store, '-q', 'dead-letters']);
    try {
      child.stdin?.write('x\n');
      while (!/"?x"?/.test((await evaq(['cat', store, '-q', 'dead-letters'])).stdout.toString().slice(13))) {
        // It is there when the push has the lock.
      }
      const before = readFileSync(segment(store, 0));
      expect((await evaq(['repair', store])).code).toBe(3);
      const refused = await evaq(['repair', store, '--apply']);
      expect(refused.code).toBe(5);
      expect(refused.stderr).toContain('EVAQ_LOCKED');
      expect(readFileSync(segment(store, 0))).toEqual(before);
      expect(readdirSync(store).filter((name) => name.startsWith('.evaq-backup'))).toEqual([]);
    } finally {
      child.kill('SIGKILL');
    }
  });

  test('exits with 2 if called wrongly, and with 1 where no store is', async () => {
    expect((await evaq(['repair'])).code).toBe(2);
    const folder = join(newStore(), '..', 'none');
    expect((await evaq(['repair', folder, '--apply'])).code).toBe(1);
    mkdirSync(folder);
    expect((await evaq(['repair', folder, '--apply'])).code).toBe(1);
    expect(readdirSync(folder)).toEqual([]);
  });

  test('does nothing about what it cannot decide: a link in place of a segment', async () => {
    const store = newStore();
    const path = segment(store, 0);
    expect(spawnSync('sh', ['-c', 'mv "$1" "$1.moved" && ln -s "$1.moved" "$1"', 'sh', path]).status).toBe(0);
    const before = snapshotOf(store);
    const { code, stdout } = await evaq(['repair', store, '--apply']);
    expect(code).toBe(3);
    expect(stdout.toString()).toContain('cannot be repaired');
    expect(snapshotOf(store).filter((line) => !line.startsWith('LOCK '))).toEqual(
      before.filter((line) => !line.startsWith('LOCK ')),
    );
  });

  test('tells in words what it would do, what is lost, and where the backup is; which nobody minds', async () => {
    const store = newStore();
    const { offset } = await commitAt(segment(store, 0), 2);
    flip(segment(store, 0), offset + 48 + 508 + 100);
    const plan = await evaq(['repair', store]);
    expect(plan.code).toBe(3);
    expect(plan.stdout.toString()).toMatch(/^damage .*\n +may be lost: .*\nrepair {4}\S+\.seg: write what is intact/);
    expect(plan.stdout.toString()).toContain("lost      queue 'wal': 1 record: 22\n");
    const done = await evaq(['repair', store, '--apply']);
    expect(done.code).toBe(0);
    expect(done.stdout.toString()).toMatch(/\nbackup {4}\S+\/\.evaq-backup-\S+: .*\nrepaired: verified, and intact\n$/);
    // The folder is none of a reader's or writer's business.
    expect((await evaq(['info', store])).code).toBe(0);
    expect((await evaq(['push', store], 'x\n')).code).toBe(0);
    const [backup = ''] = readdirSync(store).filter((name) => name.startsWith('.evaq-backup'));
    expect(existsSync(join(store, backup, 'queues/wal'))).toBe(true);
    expect(readdirSync(join(store, 'queues/wal/quarantine'))).toHaveLength(1);
  });
});
