/**
 * The search for an explanation of a history: an order of its events in which a sequential store gives every answer that was given, each
 * event at a moment between its call and its answer. After Wing and Gong (1993), with the memory of Lowe (2017) and of Porcupine: what was
 * seen to lead nowhere (the events done, and the state they made) is not tried again.
 *
 * The state is kept by token, as the places where it has been and by whose doing it left them; so a crash may take back, from the newest on,
 * what was not acknowledged. Events that change nothing are done as soon as they are true: that costs no explanation, since later they would be
 * no truer.
 */

/** A stay of a record in a queue. The same record has another after each move. */
export type Stay = number;

export interface Effect {
  readonly token: number;
  readonly stay: Stay;
  /**
   * 'live': it is there. 'notLive': it is not. 'appear': it comes there, from nowhere. 'leave': it was there, and goes. 'leaveIfLive': it goes if it
   * is there, and counts. 'move': it goes from there to `target`. 'moveIfLive': the same, if it is there.
   */
  readonly kind: 'live' | 'notLive' | 'appear' | 'leave' | 'leaveIfLive' | 'move' | 'moveIfLive';
  readonly target?: Stay;
}

export interface HistoryEvent {
  /** For messages: the index of the call. */
  readonly call: number;
  /** It happened after this moment, and before `to`. */
  readonly from: number;
  readonly to: number;
  /** It may also never have happened. */
  readonly optional: boolean;
  readonly effects: readonly Effect[];
  /** What it did, and what it found done, is there after the crash that ends the history. */
  readonly acknowledged: boolean;
  /** A removal that was rejected: it hides, and is owed. */
  readonly owed: boolean;
  /** Whoever finds a record gone by a removal that is owed has no word that it is durable (of reads); else it has. */
  readonly trustsOwed: boolean;
  /** How many records 'leaveIfLive' must have found, at least and at most. */
  readonly count?: readonly [number, number];
}

/** What one token went through: `steps[i]` is the event that brought it to `places[i]`; undefined is nowhere. */
interface Trail {
  readonly events: readonly number[];
  readonly places: readonly (Stay | undefined)[];
  /** So many of the steps are acknowledged. */
  readonly kept: number;
}

export interface SearchInput {
  readonly events: readonly HistoryEvent[];
  /** Where tokens were at the beginning, and at the look after the end. */
  readonly before: ReadonlyMap<number, Stay>;
  readonly after: ReadonlyMap<number, Stay>;
  /** Given up after so many nodes. */
  readonly nodesMax: number;
}

export type Verdict = 'explained' | 'not explained' | 'given up';

type State = ReadonlyMap<number, Trail>;
const NOWHERE: Trail = { events: [], places: [undefined], kept: 0 };

export function search({ events, before, after, nodesMax }: SearchInput): Verdict {
  const start = new Map<number, Trail>();
  for (const [token, stay] of before) start.set(token, { events: [], places: [stay], kept: 0 });
  const required = events.filter(({ optional }) => !optional).length;
  const done = events.map(() => false);
  const dead = new Set<string>();
  let nodes = 0;

  /** Events that may come next: none that is still due was answered before they were called. */
  const candidates = (): number[] => {
    let bound = Infinity;
    for (const [i, event] of events.entries())
      if (done[i] === false && !event.optional) bound = Math.min(bound, event.to);
    const found: number[] = [];
    for (const [i, event] of events.entries()) if (done[i] === false && event.from < bound) found.push(i);
    return found;
  };

  const explore = (state: State, left: number): boolean => {
    if (++nodes > nodesMax) return false;
    const taken: number[] = [];
    let now = state;
    let due = left;
    // All that is true already and changes nothing.
    for (let again = true; again; ) {
      again = false;
      for (const i of candidates()) {
        const event = events[i];
        if (event === undefined || !event.effects.every(({ kind }) => kind === 'live' || kind === 'notLive')) continue;
        const next = apply(now, event, i, events);
        if (next === undefined) continue;
        now = next;
        done[i] = true;
        taken.push(i);
        if (!event.optional) due--;
        again = true;
      }
    }
    let explained = false;
    const key = keyOf(done, now);
    if (!dead.has(key)) {
      explained = due === 0 && survives(now, events, after);
      if (!explained) {
        for (const i of candidates()) {
          const event = events[i];
          if (event === undefined) continue;
          const next = apply(now, event, i, events);
          if (next === undefined) continue;
          done[i] = true;
          explained = explore(next, event.optional ? due : due - 1);
          done[i] = false;
          if (explained || nodes > nodesMax) break;
        }
      }
      if (!explained) dead.add(key);
    }
    for (const i of taken) done[i] = false;
    return explained;
  };

  if (explore(start, required)) return 'explained';
  return nodes > nodesMax ? 'given up' : 'not explained';
}

function apply(state: State, event: HistoryEvent, index: number, events: readonly HistoryEvent[]): State | undefined {
  const next = new Map(state);
  let count = 0;
  for (const { token, stay, kind, target } of event.effects) {
    const trail = next.get(token) ?? NOWHERE;
    const isThere = trail.places.at(-1) === stay;
    const step = (place: Stay | undefined): void => {
      const made = { events: [...trail.events, index], places: [...trail.places, place], kept: trail.kept };
      next.set(token, event.acknowledged ? { ...made, kept: made.events.length } : made);
    };
    const findGone = (): void => {
      const left = trail.places.indexOf(stay);
      if (left < 0 || !event.acknowledged) return;
      const by = trail.events[left];
      const owed = by !== undefined && events[by]?.owed === true;
      if (owed && !event.trustsOwed) return;
      if (left + 1 > trail.kept) next.set(token, { ...trail, kept: left + 1 });
    };
    const wasOwed = (): boolean => {
      const by = trail.events[trail.places.indexOf(stay)];
      return by !== undefined && events[by]?.owed === true;
    };
    switch (kind) {
      case 'live':
        if (!isThere) return undefined;
        break;
      case 'notLive':
        if (isThere) return undefined;
        findGone();
        break;
      case 'appear':
        if (trail.events.length > 0 || trail.places[0] !== undefined) return undefined;
        step(stay);
        break;
      case 'leave':
        // One more call for what is owed is the one that removes it.
        if (!isThere && !wasOwed()) return undefined;
        if (isThere) step(undefined);
        else findGone();
        break;
      case 'leaveIfLive':
        if (isThere) {
          step(undefined);
          count++;
        } else findGone();
        break;
      case 'move':
        if (!isThere) return undefined;
        step(target);
        break;
      case 'moveIfLive':
        if (isThere) step(target);
        break;
    }
  }
  if (event.count !== undefined && (count < event.count[0] || count > event.count[1])) return undefined;
  return next;
}

/** Whether a crash may leave what was found: of each trail a beginning that holds what is acknowledged, and of each event all or nothing. */
function survives(state: State, events: readonly HistoryEvent[], after: ReadonlyMap<number, Stay>): boolean {
  for (const token of after.keys()) if (!state.has(token)) return false;
  const tokens = [...state];
  const fates = new Map<number, boolean>();
  const choose = (at: number): boolean => {
    const entry = tokens[at];
    if (entry === undefined) return true;
    const [token, trail] = entry;
    const found = after.get(token);
    for (let length = trail.events.length; length >= trail.kept; length--) {
      if (trail.places[length] !== found) continue;
      const decided: number[] = [];
      let agrees = true;
      // What came after the first that is lost had nothing of this token to do.
      for (const [i, event] of trail.events.slice(0, length + 1).entries()) {
        const kept = i < length;
        const fate = fates.get(event);
        if (fate === undefined) {
          fates.set(event, kept);
          decided.push(event);
          if (!kept && events[event]?.acknowledged === true) agrees = false;
        } else if (fate !== kept) agrees = false;
        if (!agrees) break;
      }
      if (agrees && choose(at + 1)) return true;
      for (const event of decided) fates.delete(event);
    }
    return false;
  };
  return choose(0);
}

function keyOf(done: readonly boolean[], state: State): string {
  let key = '';
  for (const one of done) key += one ? '1' : '0';
  for (const [token, { events, kept }] of [...state].sort(([a], [b]) => a - b))
    key += `|${token}:${events.join(',')}:${kept}`;
  return key;
}
