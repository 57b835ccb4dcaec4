/** A segment, commit for commit, with the frames in them; its footer with the index. */
import { type RawCommit, type RawEntry, RawSegment } from '../../raw.js';
import type { Output } from '../output.js';
import { isoTime } from '../record-format.js';
import { BadRanges } from './bad-ranges.js';
import { InspectLines, type InspectOptions } from './inspect-lines.js';

/** Resolves with false where something is damaged. */
export async function inspectSegment(path: string, out: Output, options: InspectOptions): Promise<boolean> {
  await using segment = await RawSegment.open(path);
  const lines = new InspectLines(out, options);
  await lines.file(path, segment.size, segment.footer === undefined ? 'a segment, not sealed' : 'a segment, sealed');
  await lines.header(segment.header, segment.headerDamaged);
  const records = options.commitsOnly ? undefined : new RecordsOf(segment, options.signal);
  const bad = new BadRanges(lines);
  // Also one behind which something stands that does not belong there.
  let isSealed = segment.footer !== undefined;
  for await (const commit of segment.commits({ signal: options.signal })) {
    if (commit.kind === 'bad') {
      for await (const entry of records?.within(commit) ?? []) await frame(lines, entry);
      bad.hold(commit);
      continue;
    }
    await bad.damaged();
    isSealed ||= commit.kind === 'footer';
    await commitLine(lines, commit);
    if (commit.kind === 'records') for await (const entry of records?.within(commit) ?? []) await frame(lines, entry);
    if (commit.kind === 'footer' && !options.commitsOnly) await footer(lines, segment, commit.offset);
  }
  await bad.end(isSealed);
  return !segment.headerDamaged && !bad.isDamaged;
}

function commitLine(lines: InspectLines, commit: Exclude<RawCommit, { kind: 'bad' }>): Promise<void> | undefined {
  switch (commit.kind) {
    case 'records': {
      const { firstId, count, timestamp, durableOffset, sparse } = commit;
      const ids = sparse ? { from: firstId } : { IDs: [{ first: firstId, last: firstId + count - 1 }] };
      const told = { ...ids, count, time: isoTime(timestamp), durable: durableOffset };
      return lines.place(commit, sparse ? 'sparse' : 'records', 'ok', told);
    }
    case 'link':
      return lines.place(commit, 'link', 'ok', {
        'after segment': commit.segmentId,
        'durable there': commit.durableOffset,
      });
    case 'footer':
      return lines.place(commit, 'footer', 'ok', {});
    case 'unknown':
      return lines.place(commit, 'unknown', 'ok', { code: commit.code });
    default:
      return commit satisfies never;
  }
}

async function frame(lines: InspectLines, entry: RawEntry): Promise<void> {
  if (!entry.valid) return;
  const { record } = entry;
  const { id, timestamp, payload, headers, origin, reason } = record;
  const told = { id, time: isoTime(timestamp), payload: payload.length, headers, reason, origin };
  await lines.place(record, 'record', 'ok', told, 2);
}

async function footer(lines: InspectLines, segment: RawSegment, offset: number): Promise<void> {
  const { footer: summary } = segment;
  if (summary === undefined) return;
  const { count, firstId, lastId, payloadBytes, removalSeq, minTimeMs, maxTimeMs, runs, replaces, spans } = summary;
  const told = { count, firstId, lastId, payloadBytes, removalSeq, runs, replaces: replaces.join(' ') || undefined };
  const place = { offset, bytes: segment.size - offset };
  await lines.place(place, 'summary', 'ok', { ...told, from: isoTime(minTimeMs), to: isoTime(maxTimeMs) }, 2);
  for (const { firstId: first, minMs, maxMs } of spans ?? []) {
    await lines.place(place, 'times', 'ok', { 'from ID': first, from: isoTime(minMs), to: isoTime(maxMs) }, 2);
  }
  const index = await segment.index();
  if (index === undefined) await lines.place(place, 'index', 'BAD', {}, 2);
  for (const { id, offset: at, mid } of index ?? []) {
    await lines.place(place, 'index', 'ok', { id, at, in: mid ? 'the middle of a commit' : 'a commit' }, 2);
  }
}

/** The records of a segment, commit for commit: one pass over the file beside that over the commits. */
class RecordsOf {
  readonly #entries: AsyncGenerator<RawEntry, void, undefined>;
  #next: IteratorResult<RawEntry, void> | undefined;

  constructor(segment: RawSegment, signal: AbortSignal) {
    this.#entries = segment.records({ signal });
  }

  async *within({ offset, bytes }: { readonly offset: number; readonly bytes: number }): AsyncGenerator<RawEntry> {
    for (;;) {
      this.#next ??= await this.#entries.next();
      if (this.#next.done === true) return;
      const entry = this.#next.value;
      const at = entry.valid ? entry.record.offset : entry.damage.offset;
      if (at >= offset + bytes) return;
      this.#next = undefined;
      yield entry;
    }
  }
}
