/**
 * What the calls of a history mean: the contract of each call, as events of the sequential model. Between two looks at everything (the one after
 * an open, and the one after the next open) a history is explained on its own.
 */
import type { Call, Chapter, Iteration, QueueName } from './history.js';
import { Contradiction, checkOrder, known, type Places, placesOf, stays } from './linear-places.js';
import type { Effect, HistoryEvent, Stay } from './linear-search.js';

export interface Told {
  readonly events: readonly HistoryEvent[];
  /** Those of records that nobody can trace, too. */
  readonly all: readonly HistoryEvent[];
  readonly before: ReadonlyMap<number, Stay>;
  readonly after: ReadonlyMap<number, Stay>;
  readonly places: Places;
}

/** Errors that say that nothing happened, or for a removal that it is hidden and owed. */
const PASSING: ReadonlySet<string> = new Set(['EVAQ_IO', 'EVAQ_NO_SPACE']);

export function eventsOf(chapter: Chapter): Told {
  const { calls, before, after, end, mode } = chapter;
  const places = placesOf(chapter);
  checkOrder(calls, before, places);
  const starts = stays(places, before);
  const ends = stays(places, after);
  const arrivals = new Set<Stay>(starts.values());
  const events: HistoryEvent[] = [];
  /** Where pushes and moves went whose ID nobody ever heard: others may have counted and removed them. */
  const nameless: { readonly queue: QueueName; readonly token: number; readonly stay: Stay }[] = [];
  const highest = new Map<QueueName, number>();
  for (const [queue, seen] of after) highest.set(queue, seen.at(-1)?.id ?? 0);

  /** The last moment at which everything that was settled before it became durable, by queue: a `flush` or a `pushSync`. */
  const flushed = new Map<QueueName, number>();
  /** Of these, the last one that makes durable what is owed, too: a blocking push does not. */
  const paid = new Map<QueueName, number>();
  for (const { question, ending, from } of calls) {
    if (ending !== 'ok') continue;
    if (question.call === 'flush' || (question.call === 'push' && question.form === 'pushSync'))
      flushed.set(question.queue, Math.max(flushed.get(question.queue) ?? 0, from));
    if (question.call === 'flush') paid.set(question.queue, Math.max(paid.get(question.queue) ?? 0, from));
  }
  const isAcknowledged = (queue: QueueName, call: Call): boolean => {
    const { question, ending, to } = call;
    if (to < ((PASSING.has(ending) ? paid : flushed).get(queue) ?? 0)) return true;
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
    const stay = places.nameless();
    nameless.push({ queue, token, stay });
    return stay;
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
  /** It has moved as a whole or not at all. After a stop it may be shown in neither queue, until the next open. */
  const moveUnknown = (call: Call, index: number, from: QueueName, to: QueueName, token: number, stay: Stay): void => {
    const target = arrival(to, token);
    if (call.ending !== 'EVAQ_FAILED') {
      add(call, index, from, [{ token, stay, kind: 'move', target }], unknownOf(call));
      return;
    }
    const between = places.nameless();
    add(call, index, from, [{ token, stay, kind: 'move', target: between }], unknownOf(call));
    add(call, index, from, [{ token, stay: between, kind: 'move', target }], unknownOf(call));
  };
  const failed = (call: Call): boolean => call.ending === 'under way' || call.ending === 'EVAQ_FAILED';

  for (const [index, call] of calls.entries()) {
    const { question, ending } = call;
    switch (question.call) {
      case 'push': {
        const { queue, tokens, firstId, message } = question;
        if (message !== undefined) break;
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
          const wild = isThrough ? ofUnknown(calls, queue) + unseen(calls, places, queue) : named - found.length;
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
          moveUnknown(call, index, 'wal', 'dead-letters', token, stay);
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
          else if (failed(call)) moveUnknown(call, index, 'dead-letters', 'wal', token, stay);
          else {
            const effects: Effect[] = [{ token, stay, kind: 'move', target: arrival('wal', token) }];
            add(call, index, 'dead-letters', effects, { optional: true, acknowledged: false });
          }
        }
        break;
      }
      case 'deliver': {
        const { queue, handed, mayFail } = question;
        for (const { seen, deed, at, endedAt } of handed) {
          const { token, stay } = places.at(queue, seen.id) ?? { token: seen.token, stay: 0 };
          const [from, to] = at;
          add(call, index, queue, [{ token, stay, kind: 'live' }], { from, to, acknowledged: false });
          if (endedAt === Infinity) continue;
          const unsure = mayFail || ending !== 'ok';
          const late = unsure ? { ...unknownOf(call), from: endedAt } : { from: endedAt };
          if (deed === 'ok') {
            const effects: Effect[] = [{ token, stay, kind: 'leaveIfLive' }];
            add(call, index, queue, effects, unsure ? { ...late, owed: true } : late);
          } else if (deed === 'dead' && queue === 'wal') {
            // Nobody was told where it went: anywhere that it was seen, or where nobody saw it.
            const seenThere = places.in('dead-letters').filter((one) => one.token === token && !arrivals.has(one.stay));
            const unseenThere = places.nameless();
            nameless.push({ queue: 'dead-letters', token, stay: unseenThere });
            for (const target of [...seenThere.map((one) => one.stay), unseenThere]) {
              // Asked to stop it may be as if it had not been tried.
              const effects: Effect[] = [{ token, stay, kind: 'moveIfLive', target }];
              add(call, index, queue, effects, { ...late, optional: true, acknowledged: !unsure });
              if (!unsure) continue;
              const between = places.nameless();
              add(call, index, queue, [{ token, stay, kind: 'moveIfLive', target: between }], { ...late, owed: true });
              add(call, index, queue, [{ token, stay: between, kind: 'moveIfLive', target }], late);
            }
          }
        }
        break;
      }
      default:
        break;
    }
  }
  messages(chapter, places, arrival, (index, queue, effects, more) => {
    const call = calls[index];
    if (call !== undefined) add(call, index, queue, effects, more);
  });
  besideHandlers(calls, places, events);
  for (const [index, call] of calls.entries()) {
    if (call.question.call !== 'removeThrough') continue;
    const { queue } = call.question;
    for (const one of nameless) {
      if (one.queue !== queue) continue;
      add(call, index, queue, [{ token: one.token, stay: one.stay, kind: 'leaveIfLive' }], { optional: true });
    }
  }
  passedOver(chapter, places, events);
  return without(untraceable(calls, places), { events, all: events, before: starts, after: ends, places });
}

/**
 * Records that were redriven, nobody knows under which of the new IDs: some of those asked for were gone, and what came of the others was removed
 * before anybody saw it.
 */
function untraceable(calls: readonly Call[], places: Places): ReadonlySet<number> {
  const tokens = new Set<number>();
  for (const { question, ending } of calls) {
    if (question.call !== 'redrive' || ending !== 'ok') continue;
    const found = (question.newIds ?? []).map((id) => places.at('wal', id)?.token);
    if (!found.includes(undefined)) continue;
    for (const { token } of known(places, 'dead-letters', question.ids)) if (!found.includes(token)) tokens.add(token);
  }
  return tokens;
}

/** Leaves these records out, but that they may have been counted. */
function without(tokens: ReadonlySet<number>, told: Told): Told {
  if (tokens.size === 0) return told;
  const { events, before, after } = told;
  const kept = (view: ReadonlyMap<number, Stay>): Map<number, Stay> =>
    new Map([...view].filter(([token]) => !tokens.has(token)));
  const rest: HistoryEvent[] = [];
  for (const event of events) {
    const effects = event.effects.filter(({ token }) => !tokens.has(token));
    if (effects.length === 0) continue;
    const { count } = event;
    const left = event.effects.length - effects.length;
    rest.push(count === undefined ? { ...event, effects } : { ...event, effects, count: [count[0] - left, count[1]] });
  }
  return { ...told, events: rest, before: kept(before), after: kept(after) };
}

/** How many records may have come to a queue without a word to whoever brought them. */
function ofUnknown(calls: readonly Call[], queue: QueueName): number {
  let count = 0;
  for (const { question, ending } of calls) {
    if (question.call === 'deliver' && queue === 'dead-letters')
      count += question.handed.filter(({ deed }) => deed === 'dead').length;
    if (ending === 'ok') continue;
    if (question.call === 'push' && question.queue === queue) count += question.tokens.length;
    else if (question.call === 'deadLetter' && queue === 'dead-letters') count++;
    else if (question.call === 'redrive' && queue === 'wal') count += question.ids.length;
  }
  return count;
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
    } else if (done === true && iteration.drainedAt !== undefined && iteration.drainedAt < to) {
      const shown = new Set(iteration.yielded.map(({ id }) => id));
      for (const { id, token, stay } of places.in(iteration.queue)) {
        if (!shown.has(id)) absent(index, iteration.drainedAt, to, token, stay);
      }
    }
  }
}

/** A message comes in once, by whichever of its pushes; the others hear of it. */
function messages(
  { calls }: Chapter,
  places: Places,
  arrival: (queue: QueueName, token: number) => Stay,
  add: (call: number, queue: QueueName, effects: Effect[], more: Partial<HistoryEvent>) => void,
): void {
  const byName = new Map<string, number[]>();
  for (const [index, { question }] of calls.entries()) {
    if (question.call !== 'push' || question.message?.knownId !== undefined || question.message === undefined) continue;
    byName.set(question.message.name, [...(byName.get(question.message.name) ?? []), index]);
  }
  for (const indices of byName.values()) {
    const asked = indices.flatMap((index) => calls[index] ?? []);
    const question = asked[0]?.question;
    if (question?.call !== 'push') continue;
    const [token = 0] = question.tokens;
    const from = Math.min(...asked.map((call) => call.from));
    const answered = indices.filter((index) => calls[index]?.ending === 'ok');
    const [first] = answered.sort((a, b) => (calls[a]?.to ?? 0) - (calls[b]?.to ?? 0));
    const told = first === undefined ? undefined : calls[first]?.question;
    if (first !== undefined && told?.call === 'push' && told.firstId !== undefined) {
      const stay = places.learn(question.queue, told.firstId, token);
      add(first, question.queue, [{ token, stay, kind: 'appear' }], { from });
      continue;
    }
    const unsure = indices.find((index) => {
      const ending = calls[index]?.ending;
      return ending === 'under way' || ending === 'EVAQ_FAILED';
    });
    if (unsure === undefined) continue;
    const effects: Effect[] = [{ token, kind: 'appear', stay: arrival(question.queue, token) }];
    add(unsure, question.queue, effects, { from, to: Infinity, optional: true, acknowledged: false });
  }
}

/** P16: nobody pops or moves a record while a handler has it. So what did was before it, or after. */
function besideHandlers(calls: readonly Call[], places: Places, events: HistoryEvent[]): void {
  const had = new Map<Stay, { readonly at: number; readonly endedAt: number }[]>();
  for (const { question } of calls) {
    if (question.call !== 'deliver') continue;
    for (const { seen, at, endedAt } of question.handed) {
      const stay = places.at(question.queue, seen.id)?.stay ?? 0;
      had.set(stay, [...(had.get(stay) ?? []), { at: at[0], endedAt }]);
    }
  }
  for (const [i, event] of events.entries()) {
    const [effect] = event.effects;
    const question = calls[event.call]?.question;
    if (effect === undefined || event.effects.length > 1 || question === undefined) continue;
    if (question.call !== 'pop' && question.call !== 'deadLetter' && question.call !== 'redrive') continue;
    if (event.optional || (effect.kind !== 'leave' && effect.kind !== 'move')) continue;
    let { from, to } = event;
    for (const { at, endedAt } of had.get(effect.stay) ?? []) {
      if (from >= at) from = Math.max(from, endedAt);
      if (to <= endedAt) to = Math.min(to, at + 1);
    }
    if (from >= to) throw new Contradiction(`P16: <${effect.token}> was taken while a handler had it`);
    events[i] = { ...event, from, to };
  }
}
