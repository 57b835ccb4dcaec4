/** The other files of a store, commit for commit: which kind, which number, when. */
import { COMMIT_HEADER_BYTES } from '../../frame/commit-header.js';
import { CommitScanner } from '../../frame/commit-scanner.js';
import { FILE_HEADER_BYTES, type FileKind } from '../../frame/file-header.js';
import { badOf } from '../../raw/raw-bad.js';
import { openRawFile } from '../../raw/raw-file.js';
import { nodeVfs } from '../../vfs/node-vfs.js';
import type { Output } from '../output.js';
import { isoTime } from '../record-format.js';
import { BadRanges } from './bad-ranges.js';
import { InspectLines, type InspectOptions } from './inspect-lines.js';

type OtherKind = 'deliveries' | 'intake' | 'store-file';

const KINDS: Readonly<Record<OtherKind, FileKind>> = {
  deliveries: 'delivery',
  intake: 'intake',
  'store-file': 'store',
};
const WHAT: Readonly<Record<OtherKind, string>> = {
  deliveries: 'a delivery log',
  intake: 'an intake log',
  'store-file': 'the file that makes its folder a store',
};
/** FORMAT.md, 13 to 15. */
const COMMITS: Readonly<Record<OtherKind, Readonly<Record<number, string>>>> = {
  deliveries: { 32: 'snapshot', 33: 'outcomes', 34: 'in-flight' },
  intake: { 48: 'snapshot', 49: 'intake' },
  'store-file': { 32: 'queue' },
};

/** Resolves with false where something is damaged. */
export async function inspectCommits(
  path: string,
  kind: OtherKind,
  out: Output,
  options: InspectOptions,
): Promise<boolean> {
  const { file, size, header, seed, damaged } = await openRawFile(path, KINDS[kind], nodeVfs);
  try {
    const lines = new InspectLines(out, options);
    await lines.file(path, size, WHAT[kind]);
    await lines.header(header, damaged);
    const scanner = new CommitScanner(file, seed, FILE_HEADER_BYTES, size, 'resync');
    const bad = new BadRanges(lines);
    for (;;) {
      options.signal.throwIfAborted();
      const outcome = await scanner.next();
      if (outcome === 'bad') {
        bad.hold(badOf(scanner));
        continue;
      }
      if (outcome === 'end') {
        await bad.end(false);
        return !damaged && !bad.isDamaged;
      }
      await bad.damaged();
      const { header: commit, offset, buffer, bodyAt } = scanner;
      const bytes = COMMIT_HEADER_BYTES + commit.bodyBytes;
      const name = COMMITS[kind][commit.kind] ?? `kind ${commit.kind}`;
      const told = { number: commit.firstId, count: commit.count, time: isoTime(commit.timestamp) };
      const queue = kind === 'store-file' ? buffer.toString('utf8', bodyAt, bodyAt + commit.bodyBytes) : undefined;
      await lines.place({ offset, bytes }, name, 'ok', queue === undefined ? told : { name: queue });
    }
  } finally {
    await file.close();
  }
}
