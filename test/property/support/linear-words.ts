/**
 * What is said of messages, checkpoints, attempts and room, looked at by itself: each is a word of one call, or of two, and no order of all the others has to be
 * found for it. As everywhere, nothing is held against a store of which it cannot be sure.
 */
import type { Call, Chapter, Handed } from './history.js';
import type { Memory } from './linear-client.js';
import type { Told } from './linear-events.js';
import { Contradiction } from './linear-places.js';
import type { Stay } from './linear-search.js';

/** @throws Contradiction */
export function checkWords(chapter: Chapter, told: Told, isCalm: boolean): void {
  checkMessages(chapter);
  if (chapter.positions !== undefined) checkPositions(chapter, chapter.positions);
  checkHandlers(chapter.calls, isCalm);
  if (chapter.limit !== undefined) checkRoom(chapter, told, chapter.limit, isCalm);
}

/** Each message has one ID, over crashes, too. */
function checkMessages({ calls }: Chapter): void {
  const ids = new Map<string, number>();
  for (const { question, ending } of calls) {
    if (question.call !== 'push' || question.message === undefined || ending !== 'ok') continue;
    const { name, knownId } = question.message;
    const id = knownId ?? ids.get(name) ?? question.firstId;
    if (id !== question.firstId) throw new Contradiction(`dedupe: ${name} is ${id}, and ${question.firstId}`);
    if (id !== undefined) ids.set(name, id);
  }
}

/** After a chapter: which messages are surely known by which ID. */
export function learnMessages(memory: Memory, { calls, end, mode }: Chapter): void {
  const isKept = end !== 'power' || mode === 'sync';
  for (const call of calls) {
    const { question, ending } = call;
    if (question.call !== 'push' || question.message === undefined || question.message.knownId !== undefined) continue;
    const message = Number(question.message.name.slice(1));
    if (ending === 'ok' && isKept && question.firstId !== undefined) memory.ids.set(message, question.firstId);
    else if (!isRefused(call) && typeof memory.ids.get(message) !== 'number') memory.ids.set(message, 'unknown');
  }
}

interface Write {
  readonly call: Call;
  readonly position: number;
  readonly firstId: number | undefined;
}

/** A position is that of the last commit that had one: of two the one with the higher IDs is the later. */
function checkPositions(
  { calls, after, end, mode }: Chapter,
  { before, after: reached }: NonNullable<Chapter['positions']>,
): void {
  const writes: Write[] = [];
  const ids = new Map((after.get('wal') ?? []).map(({ id, token }) => [token, id]));
  for (const call of calls) {
    const { question } = call;
    if (question.call !== 'push' || question.position === undefined) continue;
    const seen = question.tokens.map((token) => ids.get(token)).find((id) => id !== undefined);
    writes.push({ call, position: question.position, firstId: question.firstId ?? seen });
  }
  const isBehind = (one: Write, other: Write): boolean => {
    if (one.firstId !== undefined && other.firstId !== undefined) return one.firstId < other.firstId;
    return one.call.to < other.call.from;
  };
  const look = (
    position: number | undefined,
    from: number,
    to: number,
    settled: readonly Write[],
    what: string,
  ): void => {
    const mine = writes.find((write) => write.position === position);
    if (position !== before && mine === undefined)
      throw new Contradiction(`checkpoint: ${what} ${position}, which nobody wrote`);
    if (mine !== undefined && (mine.call.from > to || isRefused(mine.call)))
      throw new Contradiction(`checkpoint: ${what} ${position}, which was not written`);
    for (const other of settled) {
      if (other.call.to >= from) continue;
      if (mine === undefined || isBehind(mine, other))
        throw new Contradiction(`checkpoint: ${what} ${position}, and ${other.position} was written behind it`);
    }
  };
  const settled = writes.filter(({ call }) => call.ending === 'ok');
  for (const { question, ending, from, to } of calls)
    if (question.call === 'checkpoint' && ending === 'ok') look(question.position, from, to, settled, 'the answer is');
  const isKept = end !== 'power' || mode === 'sync';
  const visible = writes.filter(
    ({ call: { question } }) => question.call === 'push' && question.tokens.some((token) => ids.has(token)),
  );
  // One atomic commit: where its records are, its position is.
  look(reached, Infinity, Infinity, isKept ? settled : [], 'after the end it is');
  const mine = writes.find(({ position }) => position === reached);
  for (const other of visible)
    if (mine === undefined || isBehind(mine, other))
      throw new Contradiction(
        `checkpoint: after the end it is ${reached}, and the records of ${other.position} are there`,
      );
}

function isRefused({ ending }: Call): boolean {
  return ending === 'EVAQ_IO' || ending === 'EVAQ_NO_SPACE' || ending === 'EVAQ_QUEUE_FULL' || ending === 'EVAQ_CLOSED';
}

/** P16: a record is in one handler at a time, and its attempts count up with its failures. */
function checkHandlers(calls: readonly Call[], isCalm: boolean): void {
  const byRecord = new Map<string, Handed[]>();
  for (const { question } of calls) {
    if (question.call !== 'deliver') continue;
    for (const one of question.handed) {
      const key = `${question.queue}/${one.seen.id}`;
      byRecord.set(key, [...(byRecord.get(key) ?? []), one]);
    }
  }
  for (const [record, all] of byRecord) {
    all.sort((a, b) => a.at[0] - b.at[0]);
    for (const [i, one] of all.entries()) {
      const previous = all[i - 1];
      if (previous === undefined) continue;
      if (previous.endedAt > one.at[0]) throw new Contradiction(`P16: ${record} is in two handlers`);
      if (previous.deed === 'ok' && isCalm && !previous.isStopping)
        throw new Contradiction(`P2: ${record} is handed out though it had arrived`);
      const counted = previous.deed === 'fail' ? 1 : 0;
      const most = previous.attempt + (previous.deed === 'dead' ? 1 : counted);
      const least = previous.isStopping || !isCalm ? 1 : previous.attempt + counted;
      if (one.attempt < least || one.attempt > most)
        throw new Contradiction(
          `P16: ${record} comes at try ${one.attempt}, after try ${previous.attempt}, which was '${previous.deed}'`,
        );
    }
  }
}

/** A push is refused only where there may have been no room, and comes in only where there may have been some. */
function checkRoom({ calls, before }: Chapter, { all: events, places }: Told, limit: number, isCalm: boolean): void {
  const inWal = new Set(places.in('wal').map(({ stay }) => stay));
  const elsewhere = new Set(places.in('dead-letters').map(({ stay }) => stay));
  /** From when on each may be there, and from when on surely. */
  const came = new Map<Stay, { may: number; surely: number }>();
  const leaves = new Map<Stay, { may: number; surely: number }>();
  const note = (map: typeof came, stay: Stay, may: number, surely: number): void => {
    const known = map.get(stay) ?? { may: Infinity, surely: Infinity };
    map.set(stay, { may: Math.min(known.may, may), surely: Math.min(known.surely, surely) });
  };
  for (const { id } of before.get('wal') ?? []) note(came, places.at('wal', id)?.stay ?? 0, 0, 0);
  for (const { effects, from, to, optional, owed } of events) {
    const surely = optional || owed ? Infinity : to;
    for (const { stay, kind, target } of effects) {
      if (kind === 'live' || kind === 'notLive') continue;
      if (kind !== 'appear') note(leaves, stay, from, surely);
      const arrived = kind === 'appear' ? stay : target;
      if (arrived !== undefined && !elsewhere.has(arrived))
        note(came, arrived, from, kind === 'moveIfLive' ? Infinity : surely);
    }
  }
  for (const { question, ending, from, to } of calls) {
    if (question.call !== 'push' || question.queue !== 'wal' || question.message !== undefined) continue;
    const wanted = question.tokens.length;
    let surely = 0;
    let perhaps = 0;
    for (const [stay, one] of came) {
      const left = leaves.get(stay);
      if (inWal.has(stay) && one.surely < from && (left?.may ?? Infinity) > to) surely++;
      if (one.may < to && (left?.surely ?? Infinity) >= from) perhaps++;
    }
    if (ending === 'ok' && surely + wanted > limit)
      throw new Contradiction(`limits: ${wanted} came in beside ${surely}, and ${limit} were allowed`);
    if (ending === 'EVAQ_QUEUE_FULL' && isCalm && perhaps + wanted <= limit)
      throw new Contradiction(`limits: ${wanted} were refused beside ${perhaps} at most, and ${limit} were allowed`);
  }
}
