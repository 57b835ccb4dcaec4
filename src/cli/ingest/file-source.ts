/** `file:PATH`: the lines of a file, and of those that come after it when it is rotated. */
import { resolve } from 'node:path';
import { Refused, say, UsageError } from '../exit-code.js';
import { formatCount } from '../record-format.js';
import { FileFollower } from './file-follower.js';
import { decodePosition } from './file-position.js';
import type { IngestFlags, Source } from './source.js';
import type { SourceIntake } from './source-intake.js';

const NEWLINE_BYTE = 0x0a;
const POLL_MS = 200;

export function fileSource(path: string, flags: IngestFlags): Source {
  if (path === '') throw new UsageError('--from file:PATH: the path is missing');
  const absolute = resolve(path);
  const name = flags.source ?? `file:${absolute}`;
  return {
    name,
    run: (intake, { bytesMax, signal }) => run(absolute, name, flags, intake, bytesMax, signal),
  };
}

async function run(
  path: string,
  name: string,
  flags: IngestFlags,
  intake: SourceIntake,
  recordBytesMax: number,
  signal: AbortSignal,
): Promise<void> {
  const follower = new FileFollower(
    {
      path,
      separator: flags.null ? 0 : NEWLINE_BYTE,
      bytesMax: Math.min(flags.lineBytes ?? recordBytesMax, recordBytesMax),
      long: flags.long,
      follow: flags.follow,
      pollMs: POLL_MS,
      leaveMs: flags.leaveMs,
      warn: say,
    },
    decodePosition(await intake.position(name)),
  );
  try {
    for await (const { records, position } of follower.lines(signal)) {
      await intake.push(records, { source: name, position }, signal);
    }
  } finally {
    const { longLines } = follower;
    if (longLines > 0) say(`${formatCount(longLines, 'line')} too long ${flags.long === 'skip' ? 'skipped' : 'cut'}`);
  }
  if (!follower.isThere) throw new Refused(`there is no file ${path}`);
  if (follower.pending > 0 && !signal.aborted) {
    say(`${follower.pending} bytes of a line that has no end yet are left for the next time`);
  }
}
