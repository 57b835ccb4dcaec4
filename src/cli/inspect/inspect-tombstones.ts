/** A tombstone log, round for round, both copies of each. */
import { type RawRound, RawTombstones } from '../../raw.js';
import type { Output } from '../output.js';
import { isoTime } from '../record-format.js';
import { BadRanges } from './bad-ranges.js';
import { InspectLines, type InspectOptions } from './inspect-lines.js';

/** Resolves with false where something is damaged. */
export async function inspectTombstones(path: string, out: Output, options: InspectOptions): Promise<boolean> {
  await using log = await RawTombstones.open(path);
  const lines = new InspectLines(out, options);
  await lines.file(path, log.size, 'a tombstone log');
  await lines.header(log.header, log.headerDamaged);
  const bad = new BadRanges(lines);
  for await (const entry of log.rounds({ signal: options.signal })) {
    if (entry.kind === 'bad') {
      bad.hold(entry);
      continue;
    }
    await bad.damaged();
    if (entry.kind === 'unknown') await lines.place(entry, 'unknown', 'ok', { code: entry.code });
    else await lines.place(entry, entry.kind, 'ok', toldOf(entry, options));
  }
  await bad.end(false);
  return !log.headerDamaged && !bad.isDamaged;
}

function toldOf(entry: RawRound, { commitsOnly }: InspectOptions): Readonly<Record<string, unknown>> {
  const { round, timestamp, removed, nextId, accountedBelow, dataSegmentId, dataOffset, sealedBelow, live, part } =
    entry;
  return {
    round,
    time: isoTime(timestamp),
    nextId,
    accountedBelow,
    data: dataSegmentId === 0 ? undefined : `${dataOffset} of segment ${dataSegmentId}`,
    sealedBelow,
    live,
    part,
    ranges: removed.length,
    removed: commitsOnly ? undefined : removed,
    durable: entry.durableOffset,
  };
}
