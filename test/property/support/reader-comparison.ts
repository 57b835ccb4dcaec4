/** What examples/reader.py sees in a store, held against what the engine sees, and every difference in words. */
import { Evaq, EvaqError, type QueueRecord } from '../../../src/evaq.js';
import { type Damage, type VerifyReport, verifyStore } from '../../../src/raw.js';
import type { ReaderView } from './python-reader.js';

/** Records of a queue as one string each, for comparison. */
function asText(record: Record<string, unknown>): string {
  const { queue: _queue, messageId: _messageId, ...rest } = record;
  return JSON.stringify(inOrder(rest));
}

/** Keys of maps have no order. */
function inOrder(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(inOrder);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, one]) => [key, inOrder(one)]));
}

function engineText({ payload, ...rest }: QueueRecord): string {
  return asText({ ...rest, payload: payload.toString('base64') });
}

export interface EngineView {
  readonly report: VerifyReport;
  readonly records: ReadonlyMap<string, readonly string[]> | undefined;
}

/** What the engine sees without a lock. */
export async function engineView(dir: string): Promise<EngineView> {
  const report = await verifyStore(dir);
  const records = new Map<string, string[]>();
  // Without STORE a store is verified, and not opened.
  if (report.damage.some(({ file, offset, lossless }) => file.endsWith('STORE') && offset === 0 && !lossless))
    return { report, records: undefined };
  const evaq = await Evaq.openReadOnly(dir, { onCorruption: 'quarantine' });
  try {
    for (const name of await evaq.queueNames()) {
      const texts: string[] = [];
      records.set(name, texts);
      try {
        for await (const record of (await evaq.queue(name)).records()) texts.push(engineText(record));
      } catch (error) {
        // All of the queue is refused.
        if (!(error instanceof EvaqError) || error.code !== 'EVAQ_CORRUPT') throw error;
      }
    }
  } finally {
    await evaq.close();
  }
  return { report, records };
}

/** Nothing, if both see the same. */
export function differences(reader: ReaderView, engine: EngineView): string[] {
  const told: string[] = [];
  const queues = new Set([...(engine.records?.keys() ?? []), ...reader.records.map(({ queue }) => queue)]);
  for (const queue of engine.records === undefined ? [] : [...queues].sort()) {
    const ours = engine.records?.get(queue) ?? [];
    const theirs = reader.records.filter((record) => record.queue === queue).map(asText);
    const missing = theirs.filter((one) => !ours.includes(one));
    const extra = ours.filter((one) => !theirs.includes(one));
    if (missing.length > 0) told.push(`records: ${queue}: the engine has not ${missing.length}: ${clip(missing)}`);
    if (extra.length > 0) told.push(`records: ${queue}: the reader has not ${extra.length}: ${clip(extra)}`);
    if (missing.length + extra.length === 0 && ours.join() !== theirs.join())
      told.push(`records: ${queue}: in another order`);
  }
  for (const lossless of [false, true]) {
    const ours = engine.report.damage.filter((one) => one.lossless === lossless);
    const theirs = reader.damage.filter((one) => one.lossless === lossless);
    const what = lossless ? 'harmless' : 'damage';
    told.push(...unmatched(ours, theirs).map((one) => `${what}: the engine alone: ${one}`));
    told.push(...unmatched(theirs, ours).map((one) => `${what}: the reader alone: ${one}`));
  }
  const ours = engine.report.torn.map(({ file, offset, bytes }) => `${file} ${offset} ${bytes}`);
  const theirs = reader.torn.map(({ file, offset, bytes }) => `${file} ${offset} ${bytes}`);
  const recycled = reader.torn
    .filter((one) => one.recycled)
    .map(({ file, offset, bytes }) => `${file} ${offset} ${bytes}`);
  for (const one of ours) if (!theirs.includes(one)) told.push(`torn: the engine alone: ${one}`);
  for (const one of theirs)
    if (!ours.includes(one) && !recycled.includes(one)) told.push(`torn: the reader alone: ${one}`);
  for (const { queue, firstId, lastId } of reader.lost) {
    const named = engine.report.damage.filter((one) => one.queue === queue && !one.lossless);
    // Files are gone, and which records were in them is not said.
    if (named.some((one) => one.firstId === undefined && one.bytes === 0)) continue;
    let from = firstId;
    for (const { firstId: first = Infinity, lastId: last = Infinity } of [...named].sort(byFirst)) {
      if (first <= from) from = Math.max(from, last + 1);
    }
    if (from <= lastId) told.push(`lost: the reader alone: ${queue} ${from} to ${lastId}`);
  }
  return told;
}

function byFirst(a: Damage, b: Damage): number {
  return (a.firstId ?? Infinity) - (b.firstId ?? Infinity);
}

function clip(texts: readonly string[]): string {
  return texts
    .map((text) => text.slice(0, 70))
    .slice(0, 3)
    .join(' ');
}

interface Place {
  readonly queue: string;
  readonly file: string;
  readonly offset: number;
  readonly bytes: number;
  readonly lossless: boolean;
  readonly what: string;
}

/** Places that touch none of the others. What is said of removals, or of files that are gone, is said of the queue. */
function unmatched(some: readonly Place[], others: readonly Place[]): string[] {
  return some
    .filter(
      (one) =>
        !others.some((other) => (isOfQueue(one) ? isOfQueue(other) && one.queue === other.queue : touch(one, other))),
    )
    .map(({ file, offset, bytes, what }) => `${file} ${offset}+${bytes} ${what}`);
}

function isOfQueue({ file, bytes }: Place): boolean {
  return !file.endsWith('STORE') && (!file.endsWith('.seg') || bytes === 0);
}

function touch(one: Place, other: Place): boolean {
  return one.file === other.file && one.offset <= other.offset + other.bytes && other.offset <= one.offset + one.bytes;
}
