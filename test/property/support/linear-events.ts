/**
 * What the calls of a history mean: the contract of each call, as events of the sequential model. Between two looks at everything (the one after
 * an open, and the one after the next open) a history is explained on its own.
 */
import type { Call, Iteration, QueueName, Seen } from './history.js';
import type { Effect, HistoryEvent, Stay } from './linear-search.js';

/** How the history ended: a clean close, the death of the process, or of the power. */
export type End = 'close' | 'kill' | 'power';

/** Everything that was live, by queue. */
export type View = ReadonlyMap<QueueName, readonly Seen[]>;

export interface Chapter {
  readonly calls: readonly Call[];
  readonly before: View;
  readonly after: View;
  readonly end: End;
  readonly mode: 'sync' | 'interval' | 'os';
}

export interface Told {
  readonly events: readonly HistoryEvent[];
  readonly before: ReadonlyMap<number, Stay>;
  readonly after: ReadonlyMap<number, Stay>;
}

/** What no order of events can explain: an ID of two records, a record in two places, an ID out of order. */
export class Contradiction extends Error {
  override readonly name = 'Contradiction';
}

/** Errors that say that nothing happened, or for a removal that it is hidden and owed. */
const PASSING: ReadonlySet<string> = new Set(['EVAQ_IO', 'EVAQ_NO_SPACE']);

/** Names for stays, and who they belong to. */
class Places {
  readonly #known: Map<string, { readonly stay: Stay; readonly token: number }> = new Map();
  readonly #byQueue: Map<QueueName, { readonly id: number; readonly token: number; readonly stay: Stay }[]> = new Map();
  #stays = 0;

  learn(queue: QueueName, id: number, token: number): Stay {
    const key = `${queue}/${id}`;
    const known = this.#known.get(key);
    if (known !== undefined) {
      if (known.token !== token) throw new Contradiction(`P8: ${key} is <${known.token}> and <${token}>`);
      return known.stay;
    }
    const stay = this.nameless();
    this.#known.set(key, { stay, token });
    const all = this.#byQueue.get(queue) ?? [];
    all.push({ id, token, stay });
    this.#byQueue.set(queue, all);
    return stay;
  }

  nameless(): Stay {
    return ++this.#stays;
  }

  at(queue: QueueName, id: number): { readonly stay: Stay; readonly token: number } | undefined {
    return this.#known.get(`${queue}/${id}`);
  }

  in(queue: QueueName): readonly { readonly id: number; readonly token: number; readonly stay: Stay }[] {
    return this.#byQueue.get(queue) ?? [];
  }

  /** A stay of this token in this queue that was learnt and is not among `taken`. */
  another(queue: QueueName, token: number, taken: ReadonlySet<Stay>): Stay | undefined {
    return this.in(queue).find((one) => one.token === token && !taken.has(one.stay))?.stay;
  }
}

export function eventsOf(chapter: Chapter): Told {
  const { calls, before, after, end, mode } = chapter;
  const places = new Places();
  learnAll(places, chapter);
  checkOrder(calls, before, places);
  const starts = stays(places, before);
  const ends = stays(places, after);
  const arrivals = new Set<Stay>(starts.values());
  const events: HistoryEvent[] = [];
  /** Pushes and moves whose ID nobody ever heard: they may have been counted. */
  const nameless = new Map<QueueName, number>();
  const highest = new Map<QueueName, number>();
  for (const [queue, seen] of after) highest.set(queue, seen.at(-1)?.id ?? 0);

  /** The last moment at which everything that was settled before it became durable, by queue: a `flush` or a `pushSync`. */
  const flushed = new Map<QueueName, number>();
  for (const { question, ending, from } of calls) {
    if (ending !== 'ok') continue;
    if (question.call === 'flush' || (question.call === 'push' && question.form === 'pushSync'))
      flushed.set(question.queue, Math.max(flushed.get(question.queue) ?? 0, from));
  }
  const isAcknowledged = (queue: QueueName, call: Call): boolean => {
    const { question, ending, to } = call;
    if (to < (flushed.get(queue) ?? 0)) return true;
    if (ending !== 'ok' && ending !== 'EVAQ_RECORD_NOT_FOUND') return false;
    return end !== 'power' || mode === 'sync' || (question.call === 'push' && question.form === 'pushSync');
  };
  const add = (
    call: Call,
    index: number,
    queue: QueueName,
    effects: Effect[],
    more: Partial<HistoryEvent> = {},
  ): void => {
    events.push({
      call: index,
      from: call.from,
      to: call.to,
      optional: false,
      effects,
      acknowledged: isAcknowledged(queue, call),
      owed: false,
      trustsOwed: false,
      ...more,
    });
  };
  /** After a stop nobody knows, and what hides a record is no word that it is gone. */
  const unknownOf = (call: Call): Partial<HistoryEvent> => {
    return { optional: true, to: Infinity, acknowledged: false, owed: call.ending === 'EVAQ_FAILED' };
  };
  /** Where a push or move of `token` may have come to, when its caller does not know. */
  const arrival = (queue: QueueName, token: number): Stay => {
    const learnt = places.another(queue, token, arrivals);
    if (learnt !== undefined) {
      arrivals.add(learnt);
      return learnt;
    }
    nameless.set(queue, (nameless.get(queue) ?? 0) + 1);
    return places.nameless();
  };
  // Those that know their IDs come first: what is left belongs to the others.
  for (const { question, ending } of calls) {
    if (ending !== 'ok') continue;
    if (question.call === 'push') {
      for (const [i] of question.tokens.entries()) {
        const at = places.at(question.queue, (question.firstId ?? 0) + i);
        if (at !== undefined) arrivals.add(at.stay);
      }
    } else if (question.call === 'deadLetter' && question.newId !== undefined) {
      const at = places.at('dead-letters', question.newId);
      if (at !== undefined) arrivals.add(at.stay);
    } else if (question.call === 'redrive') {
      for (const id of question.newIds ?? []) {
        const at = places.at('wal', id);
        if (at !== undefined) arrivals.add(at.stay);
      }
    }
  }
  const failed = (call: Call): boolean => call.ending === 'under way' || call.ending === 'EVAQ_FAILED';

  for (const [index, call] of calls.entries()) {
    const { question, ending } = call;
    switch (question.call) {
      case 'push': {
        const { queue, tokens, firstId } = question;
        if (ending === 'ok' && firstId !== undefined) {
          const effects = tokens.map((token, i): Effect => {
            return { token, kind: 'appear', stay: places.learn(queue, firstId + i, token) };
          });
          // In every mode order is kept: what is below a record that is there is there, too.
          const isBelow = firstId + tokens.length - 1 < (highest.get(queue) ?? 0);
          add(call, index, queue, effects, isBelow ? { acknowledged: true } : {});
        } else if (failed(call)) {
          const effects = tokens.map((token): Effect => {
            return { token, kind: 'appear', stay: arrival(queue, token) };
          });
          add(call, index, queue, effects, unknownOf(call));
        }
        break;
      }
      case 'get':
      case 'pop': {
        const { queue, id, seen } = question;
        const at = places.at(queue, id);
        if (at === undefined) break;
        const { token, stay } = at;
        if (ending === 'ok' && seen === undefined) add(call, index, queue, [{ token, stay, kind: 'notLive' }]);
        else if (ending === 'ok') {
          add(call, index, queue, [{ token, stay, kind: question.call === 'get' ? 'live' : 'leave' }]);
        } else if (ending === 'EVAQ_RECORD_NOT_FOUND') add(call, index, queue, [{ token, stay, kind: 'notLive' }]);
        else if (question.call === 'pop' && failed(call))
          add(call, index, queue, [{ token, stay, kind: 'leave' }], unknownOf(call));
        break;
      }
      case 'read': {
        const { queue, from, seen } = question;
        if (ending !== 'ok' || seen === undefined) break;
        const last = seen.at(-1)?.id ?? Infinity;
        const shown = new Set(seen.map(({ id }) => id));
        const effects = places
          .in(queue)
          .filter(({ id }) => from <= id && id <= last)
          .map(({ id, token, stay }): Effect => ({ token, stay, kind: shown.has(id) ? 'live' : 'notLive' }));
        // That a record is not among those read is no word that it is gone for good.
        add(call, index, queue, effects, { acknowledged: false });
        break;
      }
      case 'next': {
        const { iteration, seen } = question;
        if (ending !== 'ok' || seen === undefined) break;
        const { stay, token } = places.at(iteration.queue, seen.id) ?? { stay: 0, token: seen.token };
        add(call, index, iteration.queue, [{ token, stay, kind: 'live' }], { acknowledged: false });
        break;
      }
      case 'remove': {
        const { queue, ids, removed } = question;
        for (const { token, stay } of known(places, queue, ids)) {
          if (ending === 'ok') {
            const kind = removed === true ? 'leave' : 'notLive';
            add(call, index, queue, [{ token, stay, kind }], { trustsOwed: true });
          } else if (PASSING.has(ending))
            add(call, index, queue, [{ token, stay, kind: 'leaveIfLive' }], { owed: true });
          else if (failed(call)) add(call, index, queue, [{ token, stay, kind: 'leaveIfLive' }], unknownOf(call));
        }
        break;
      }
      case 'removeMany':
      case 'removeThrough': {
        const { queue, count } = question;
        const isThrough = question.call === 'removeThrough';
        const found = isThrough
          ? places.in(queue).filter(({ id }) => id <= question.through)
          : known(places, queue, new Set(question.ids));
        const effects = found.map(({ token, stay }): Effect => ({ token, stay, kind: 'leaveIfLive' }));
        if (ending === 'ok' && count !== undefined) {
          // Some may have had IDs of records that nobody ever saw.
          const named = isThrough ? found.length : new Set(question.ids).size;
          const wild = isThrough ? (nameless.get(queue) ?? 0) + unseen(calls, places, queue) : named - found.length;
          const none = effects.map((effect): Effect => ({ ...effect, kind: 'notLive' }));
          if (count === 0) add(call, index, queue, none, { trustsOwed: true });
          else add(call, index, queue, effects, { trustsOwed: true, count: [count - wild, count] });
        } else if (PASSING.has(ending)) add(call, index, queue, effects, { owed: true });
        else if (failed(call)) add(call, index, queue, effects, unknownOf(call));
        break;
      }
      case 'deadLetter': {
        const at = places.at('wal', question.id);
        if (at === undefined) break;
        const { token, stay } = at;
        if (ending === 'ok' && question.newId !== undefined) {
          const target = places.learn('dead-letters', question.newId, token);
          // Durable where it arrives before it is removed where it was, in every mode.
          add(call, index, 'wal', [{ token, stay, kind: 'move', target }], { acknowledged: true });
        } else if (ending === 'EVAQ_RECORD_NOT_FOUND') add(call, index, 'wal', [{ token, stay, kind: 'notLive' }]);
        else if (failed(call)) {
          add(
            call,
            index,
            'wal',
            [{ token, stay, kind: 'move', target: arrival('dead-letters', token) }],
            unknownOf(call),
          );
        }
        break;
      }
      case 'redrive': {
        const { newIds = [], ids } = question;
        const isAnswered = ending === 'ok';
        const lost = newIds.some((id) => places.at('wal', id) === undefined);
        const found = known(places, 'dead-letters', new Set(ids));
        for (const { token, stay } of found) {
          const mine = newIds.map((id) => places.at('wal', id)).find((at) => at?.token === token);
          if (mine !== undefined && isAnswered) {
            // It may have had several of these IDs, one after the other.
            const isOnly = found.filter((one) => one.token === token).length === 1;
            const effects: Effect[] = [{ token, stay, kind: isOnly ? 'move' : 'moveIfLive', target: mine.stay }];
            add(call, index, 'dead-letters', effects, { acknowledged: true });
          } else if (isAnswered && !lost)
            add(call, index, 'dead-letters', [{ token, stay, kind: 'notLive' }], { acknowledged: false });
          else {
            const effects: Effect[] = [{ token, stay, kind: 'move', target: arrival('wal', token) }];
            add(
              call,
              index,
              'dead-letters',
              effects,
              failed(call) ? unknownOf(call) : { optional: true, acknowledged: false },
            );
          }
        }
        break;
      }
      default:
        break;
    }
  }
  passedOver(chapter, places, events);
  return { events, before: starts, after: ends };
}

/** How many redriven records were never seen under their new IDs. */
function unseen(calls: readonly Call[], places: Places, queue: QueueName): number {
  let count = 0;
  for (const { question } of calls) {
    if (question.call !== 'redrive' || queue !== 'wal') continue;
    for (const id of question.newIds ?? []) if (places.at('wal', id) === undefined) count++;
  }
  return count;
}

function known(places: Places, queue: QueueName, ids: Iterable<number>): { token: number; stay: Stay }[] {
  const found: { token: number; stay: Stay }[] = [];
  for (const id of ids) {
    const at = places.at(queue, id);
    if (at !== undefined) found.push(at);
  }
  return found;
}

function stays(places: Places, view: View): Map<number, Stay> {
  const result = new Map<number, Stay>();
  for (const [queue, records] of view) {
    for (const { id, token } of records) {
      if (result.has(token)) throw new Contradiction(`P10: <${token}> is live twice, once as ${queue}/${id}`);
      result.set(token, places.learn(queue, id, token));
    }
  }
  return result;
}

/** All pairs of IDs and tokens that anybody heard of. */
function learnAll(places: Places, { calls, before, after }: Chapter): void {
  for (const view of [before, after]) {
    for (const [queue, seen] of view) for (const { id, token } of seen) places.learn(queue, id, token);
  }
  for (const { question } of calls) {
    if (question.call === 'push' && question.firstId !== undefined) {
      for (const [i, token] of question.tokens.entries()) places.learn(question.queue, question.firstId + i, token);
    } else if (question.call === 'read') {
      let previous = -1;
      for (const { id, token } of question.seen ?? []) {
        if (id <= previous) throw new Contradiction(`P3: a read of ${question.queue} has ${id} after ${previous}`);
        previous = id;
        places.learn(question.queue, id, token);
      }
    } else if ((question.call === 'get' || question.call === 'pop') && question.seen !== undefined) {
      if (question.seen.id !== question.id)
        throw new Contradiction(`P3: asked for ${question.id}, got ${question.seen.id}`);
      places.learn(question.queue, question.seen.id, question.seen.token);
    } else if (question.call === 'next' && question.seen !== undefined) {
      places.learn(question.iteration.queue, question.seen.id, question.seen.token);
    } else if (question.call === 'redrive') {
      for (const { id, token } of question.shown) places.learn('dead-letters', id, token);
    }
  }
  for (const { question } of calls) {
    if (question.call === 'deadLetter' && question.newId !== undefined) {
      const at = places.at('wal', question.id);
      if (at !== undefined) places.learn('dead-letters', question.newId, at.token);
    } else if (question.call === 'redrive' && question.newIds?.length === question.ids.length) {
      for (const [i, newId] of question.newIds.entries()) {
        const at = places.at('dead-letters', question.ids[i] ?? -1);
        if (at !== undefined) places.learn('wal', newId, at.token);
      }
    }
  }
}

/** P8: who was told an ID before another asked has the lower one. */
function checkOrder(calls: readonly Call[], before: View, places: Places): void {
  const told: { queue: QueueName; first: number; last: number; from: number; to: number }[] = [];
  for (const [queue, seen] of before) {
    const last = seen.at(-1)?.id;
    if (last !== undefined) told.push({ queue, first: last, last, from: 0, to: 0 });
  }
  for (const { question, from, to } of calls) {
    if (question.call === 'push' && question.firstId !== undefined) {
      const last = question.firstId + question.tokens.length - 1;
      told.push({ queue: question.queue, first: question.firstId, last, from, to });
    } else if (question.call === 'deadLetter' && question.newId !== undefined) {
      told.push({ queue: 'dead-letters', first: question.newId, last: question.newId, from, to });
    } else if (question.call === 'redrive') {
      for (const id of question.newIds ?? []) told.push({ queue: 'wal', first: id, last: id, from, to });
    }
  }
  const heirs = new Set<string>();
  for (const { queue, first, last } of told) {
    for (let id = first; id <= last; id++) {
      const key = `${queue}/${id}`;
      if (heirs.has(key) && places.at(queue, id) === undefined) throw new Contradiction(`P8: ${key} was told twice`);
      heirs.add(key);
    }
  }
  for (const one of told) {
    const late = told.find(({ queue, first, from }) => queue === one.queue && one.to < from && first <= one.last);
    if (late !== undefined)
      throw new Contradiction(`P8: ${one.queue}/${late.first} was given out when ${one.last} was known already`);
  }
}

/** No iterator passes over a record that is there all the time: of each that it did not show there was a moment when it was not live. */
function passedOver({ calls }: Chapter, places: Places, events: HistoryEvent[]): void {
  const plain = { optional: false, acknowledged: false, owed: false, trustsOwed: false } as const;
  const absent = (call: number, from: number, to: number, token: number, stay: Stay): void => {
    events.push({ ...plain, call, from, to, effects: [{ token, stay, kind: 'notLive' }] });
  };
  const at = new Map<Iteration, number>();
  for (const [index, { question, ending, to }] of calls.entries()) {
    if (question.call === 'redrive' && question.form === 'filter' && ending === 'ok') {
      const shown = new Set(question.shown.map(({ id }) => id));
      for (const { id, token, stay } of places.in('dead-letters')) {
        const call = calls[index];
        if (!shown.has(id) && call !== undefined) absent(index, call.from, to, token, stay);
      }
    }
    if (question.call !== 'next' || ending !== 'ok') continue;
    const { iteration, seen, done } = question;
    if (iteration.form === 'records') {
      const previous = at.get(iteration) ?? -1;
      const next = seen?.id ?? Infinity;
      at.set(iteration, next);
      if (seen !== undefined && seen.id <= previous)
        throw new Contradiction(`P3: records() of ${iteration.queue} has ${seen.id} after ${previous}`);
      for (const { id, token, stay } of places.in(iteration.queue)) {
        if (previous < id && id < next) absent(index, iteration.startedAt, to, token, stay);
      }
    } else if (done === true && iteration.drainedAt !== undefined) {
      const shown = new Set(iteration.yielded.map(({ id }) => id));
      for (const { id, token, stay } of places.in(iteration.queue)) {
        if (!shown.has(id)) absent(index, iteration.drainedAt, to, token, stay);
      }
    }
  }
}
