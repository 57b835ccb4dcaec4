/**
 * Whether a history can be explained: first record by record, which says where the trouble is, and then as a whole, which sees what only two
 * records together can show.
 */
import { type Call, type Chapter, describeCall } from './history.js';
import { eventsOf, type Told } from './linear-events.js';
import { Contradiction } from './linear-places.js';
import { type HistoryEvent, search } from './linear-search.js';
import { checkWords } from './linear-words.js';

const NODES_OF_RECORD = 20_000;
const NODES_OF_ALL = 5_000;
/** A sync that fails, and only that, may stop a store. */
const WRITERS: ReadonlySet<string> = new Set([
  'push',
  'pop',
  'remove',
  'removeMany',
  'removeThrough',
  'deadLetter',
  'flush',
]);

export interface CheckStats {
  chapters: number;
  givenUp: number;
}

export interface Trouble {
  /** Calls may reject with the errors of a disk. */
  readonly faults: boolean;
  /** Something failed that may stop a store. */
  readonly stops: boolean;
  /** Calls of the disk that failed, for messages. */
  readonly failures: readonly string[];
}

/** What cannot be explained, as a few lines; or nothing. */
export function unexplained(chapter: Chapter, trouble: Trouble, stats: CheckStats): string | undefined {
  const { calls, after } = chapter;
  stats.chapters++;
  const rejected = wrongRejection(calls, trouble, chapter.limit);
  if (rejected !== undefined) return rejected;
  let told: Told;
  try {
    told = eventsOf(chapter);
    checkWords(chapter, told, !trouble.faults);
  } catch (error) {
    if (!(error instanceof Contradiction)) throw error;
    return [error.message, ...calls.map(describeCall)].join('\n  ');
  }
  const tokens = new Set<number>([...told.before.keys(), ...told.after.keys()]);
  for (const { effects } of told.events) for (const { token } of effects) tokens.add(token);
  for (const token of tokens) {
    const mine = ofToken(told, token);
    const verdict = search({ ...mine, nodesMax: NODES_OF_RECORD });
    if (verdict === 'given up') stats.givenUp++;
    if (verdict === 'not explained') {
      return [
        `no order explains what was heard of <${token}>`,
        `before: ${whereIs(chapter.before, token)}; after the ${chapter.end} (${chapter.mode}): ${whereIs(after, token)}`,
        ...linesOf(calls, mine.events, chapter, token),
      ].join('\n  ');
    }
  }
  // What says no more than that one record was gone for a moment has been looked at.
  const joint = told.events.filter(
    ({ effects, acknowledged }) => effects.length > 1 || acknowledged || !isAbsence(effects),
  );
  const verdict = search({ ...told, events: joint, nodesMax: NODES_OF_ALL });
  if (verdict === 'given up') stats.givenUp++;
  if (verdict !== 'not explained') return undefined;
  return [
    'no order explains all of it, though each record for itself can be explained',
    `before: ${viewText(chapter.before)}`,
    `after the ${chapter.end} (${chapter.mode}): ${viewText(after)}`,
    ...calls.map(describeCall),
  ].join('\n  ');
}

function isAbsence([first]: HistoryEvent['effects']): boolean {
  return first?.kind === 'notLive';
}

/** An error where there was no reason for it, and what was acknowledged after a stop (P7). */
function wrongRejection(
  calls: readonly Call[],
  { faults, stops, failures }: Trouble,
  limit: number | undefined,
): string | undefined {
  let failedAt = Infinity;
  for (const call of calls) {
    const { ending, question, to } = call;
    if (ending === 'ok' || ending === 'under way' || ending === 'EVAQ_CLOSED') continue;
    if (ending === 'EVAQ_RECORD_NOT_FOUND' && (question.call === 'pop' || question.call === 'deadLetter')) continue;
    if (limit !== undefined && ending === 'EVAQ_QUEUE_FULL' && question.call === 'push' && question.queue === 'wal')
      continue;
    if (ending === 'EVAQ_FAILED') failedAt = Math.min(failedAt, to);
    if (faults && (ending === 'EVAQ_IO' || ending === 'EVAQ_NO_SPACE')) continue;
    if (stops && ending === 'EVAQ_FAILED') continue;
    return ['a call was rejected without a reason', describeCall(call), ...failures].join('\n  ');
  }
  const late = calls.find(
    ({ from, ending, question }) =>
      from > failedAt && ending === 'ok' && WRITERS.has(question.call) && changes(question),
  );
  return late === undefined ? undefined : `P7: acknowledged after a stop\n  ${describeCall(late)}`;
}

function changes(question: Call['question']): boolean {
  if (question.call === 'remove') return question.removed === true;
  if (question.call === 'removeMany' || question.call === 'removeThrough') return (question.count ?? 0) > 0;
  return true;
}

/** What concerns one record. Counts of several are not for it to judge. */
function ofToken(told: Told, token: number): Told {
  const { events, before, after } = told;
  const mine: HistoryEvent[] = [];
  for (const event of events) {
    const effects = event.effects.filter((effect) => effect.token === token);
    if (effects.length === 0) continue;
    const { count, ...rest } = event;
    const isAll = effects.length === event.effects.length && count !== undefined;
    mine.push(isAll ? { ...rest, count, effects } : { ...rest, effects });
  }
  const [start, end] = [before.get(token), after.get(token)];
  return {
    ...told,
    events: mine,
    before: new Map(start === undefined ? [] : [[token, start]]),
    after: new Map(end === undefined ? [] : [[token, end]]),
  };
}

function linesOf(
  calls: readonly Call[],
  events: readonly HistoryEvent[],
  { end, mode, before, after }: Chapter,
  token: number,
): string[] {
  const wanted = new Set(events.map(({ call }) => call));
  const names = new Set([whereIs(before, token), whereIs(after, token)]);
  const lines: string[] = [];
  for (const [index, call] of calls.entries()) {
    const { question } = call;
    const syncs = question.call === 'flush' || (question.call === 'push' && question.form === 'pushSync');
    const isFlush = syncs && end === 'power' && mode !== 'sync';
    if (wanted.has(index) || isFlush || asksFor(call, names)) lines.push(describeCall(call));
  }
  return lines;
}

/** A call that had no effect, if its word is to be believed. */
function asksFor({ question }: Call, names: ReadonlySet<string>): boolean {
  if (question.call === 'pop' || question.call === 'get') return names.has(`${question.queue}/${question.id}`);
  if (question.call === 'deadLetter') return names.has(`wal/${question.id}`);
  return question.call === 'redrive' && question.ids.some((id) => names.has(`dead-letters/${id}`));
}

function whereIs(view: Chapter['before'], token: number): string {
  for (const [queue, records] of view) {
    const found = records.find((record) => record.token === token);
    if (found !== undefined) return `${queue}/${found.id}`;
  }
  return 'not there';
}

function viewText(view: Chapter['before']): string {
  return [...view]
    .map(([queue, seen]) => `${queue} ${seen.map(({ id, token }) => `${id}<${token}>`).join(' ')}`)
    .join('; ');
}
