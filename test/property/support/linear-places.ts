/**
 * Who has which ID: all pairs of IDs and tokens that anybody heard of in a history, as stays of records in queues; and what is wrong with those
 * pairs alone, whatever the order of events.
 */
import type { Call, Chapter, QueueName, View } from './history.js';
import type { Stay } from './linear-search.js';

/** What no order of events can explain: an ID of two records, a record in two places, an ID out of order. */
export class Contradiction extends Error {
  override readonly name = 'Contradiction';
}

/** Names for stays, and who they belong to. */
export class Places {
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

export function known(places: Places, queue: QueueName, ids: Iterable<number>): { token: number; stay: Stay }[] {
  const found: { token: number; stay: Stay }[] = [];
  for (const id of ids) {
    const at = places.at(queue, id);
    if (at !== undefined) found.push(at);
  }
  return found;
}

export function stays(places: Places, view: View): Map<number, Stay> {
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
export function placesOf({ calls, before, after }: Chapter): Places {
  const places = new Places();
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
    } else if (question.call === 'deliver') {
      for (const { seen } of question.handed) places.learn(question.queue, seen.id, seen.token);
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
  return places;
}

/** P8: who was told an ID before another asked has the lower one. */
export function checkOrder(calls: readonly Call[], before: View, places: Places): void {
  const told: { queue: QueueName; first: number; last: number; from: number; to: number }[] = [];
  for (const [queue, seen] of before) {
    const last = seen.at(-1)?.id;
    if (last !== undefined) told.push({ queue, first: last, last, from: 0, to: 0 });
  }
  for (const { question, from, to } of calls) {
    // A message that is known has the ID of the first time.
    if (question.call === 'push' && question.message !== undefined) continue;
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
