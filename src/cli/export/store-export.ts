/**
 * The records of several queues, each once, though others move them between these queues meanwhile. Queues are read one after the other. What is moved
 * from one that is still to be read into one that was read already would be in neither; so when all are read, what has come to each since is looked at
 * again, and what came from another place is written, unless it was written there; until nothing of the kind has come. What was pushed after it had
 * begun is not written.
 */
import type { QueueRecord } from '../../log/queue-record.js';
import type { ReadOnlyEvaq, ReadOnlyQueue } from '../../raw.js';
import { say } from '../exit-code.js';
import type { Output } from '../output.js';
import { formatCount, recordToJson } from '../record-format.js';
import { selectedRecords } from '../selection/selected-records.js';
import type { Selection } from '../selection/selection.js';

/** How often it looks again: who moves records about without an end has to be stopped by somebody else. */
const LOOKS_MAX = 100;
/** In the time of one look a record may go from a queue that was not looked at yet to one that was. */
const QUIET_LOOKS = 2;

export class StoreExport {
  readonly #store: ReadOnlyEvaq;
  readonly #selection: Selection;
  readonly #out: Output;
  readonly #signal: AbortSignal;
  /** By queue, of records that were pushed there: those that were written. */
  readonly #written = new Map<string, AscendingIds>();
  /** Of records that came from elsewhere: what they are known by. */
  readonly #known = new Set<string>();
  /** By queue: the last ID that it had given out when the export began. */
  readonly #ends = new Map<string, number>();
  /** By queue: up to which ID it was looked at. */
  readonly #seen = new Map<string, number>();
  records = 0;

  constructor(store: ReadOnlyEvaq, selection: Selection, out: Output, signal: AbortSignal) {
    this.#store = store;
    this.#selection = selection;
    this.#out = out;
    this.#signal = signal;
  }

  /** At most as many as the selection says, of all of them together. Asked to end it says how far it has come. @throws the reason of the signal */
  async write(names: readonly string[]): Promise<void> {
    // Of all queues before any is read: what comes then is looked at again.
    for (const name of names) this.#ends.set(name, (await (await this.#store.queue(name)).stats()).nextId - 1);
    for (const [name, end] of this.#ends) this.#seen.set(name, end);
    for (const name of names) await this.#read(await this.#store.queue(name));
    let quiet = 0;
    for (let looks = 0; looks < LOOKS_MAX && quiet < QUIET_LOOKS; looks++) {
      let arrived = 0;
      for (const name of names) arrived += await this.#readArrived(await this.#store.queue(name));
      quiet = arrived === 0 ? quiet + 1 : 0;
    }
  }

  async #read(queue: ReadOnlyQueue): Promise<void> {
    const last = this.#ends.get(queue.name) ?? 0;
    if (this.#isFull) return;
    for await (const record of selectedRecords(queue, this.#selection)) {
      if (record.id > last) return;
      await this.#write(queue.name, record);
      if (this.#isFull) return;
    }
  }

  /** Resolves with how many have come from elsewhere since the last look, written or not. */
  async #readArrived(queue: ReadOnlyQueue): Promise<number> {
    const first = (this.#seen.get(queue.name) ?? 0) + 1;
    const last = (await queue.stats()).nextId - 1;
    this.#seen.set(queue.name, last);
    if (last < first || this.#isFull) return 0;
    let arrived = 0;
    for await (const record of selectedRecords(queue, behind(this.#selection, first))) {
      if (record.id > last) break;
      const { identity } = record;
      if (identity === undefined) continue;
      arrived++;
      // Pushed after it had begun, and moved then.
      if (identity.id > (this.#ends.get(identity.queue) ?? Infinity)) continue;
      await this.#write(queue.name, record);
      if (this.#isFull) break;
    }
    return arrived;
  }

  get #isFull(): boolean {
    return this.records >= this.#selection.count;
  }

  async #write(queue: string, record: QueueRecord): Promise<void> {
    if (this.#signal.aborted) {
      await this.#out.flush();
      say(`stopped in front of ID ${record.id} of queue '${queue}', ${formatCount(this.records, 'record')} exported`);
      throw this.#signal.reason;
    }
    if (!this.#isNew(queue, record)) return;
    this.records++;
    const full = this.#out.line(recordToJson({ record, queue }));
    if (full !== undefined) await full;
  }

  /** Notes that it is written. False: it was. */
  #isNew(queue: string, { id, identity }: QueueRecord): boolean {
    if (identity === undefined) {
      const written = this.#written.get(queue) ?? new AscendingIds();
      this.#written.set(queue, written);
      written.add(id);
      return true;
    }
    const name = `${identity.queue} ${identity.id}`;
    if (this.#known.has(name) || this.#written.get(identity.queue)?.has(identity.id) === true) return false;
    this.#known.add(name);
    return true;
  }
}

/** The same selection, of records from `first` on. */
function behind(selection: Selection, first: number): Selection {
  const { from } = selection;
  return Object.assign({}, selection, { from: { kind: 'id', id: Math.max(first, from.kind === 'id' ? from.id : 0) } });
}

/** IDs that are added in their order: a run of them costs two numbers. */
class AscendingIds {
  readonly #firsts: number[] = [];
  readonly #lasts: number[] = [];

  add(id: number): void {
    const end = this.#lasts.length - 1;
    if (this.#lasts[end] === id - 1) {
      this.#lasts[end] = id;
      return;
    }
    this.#firsts.push(id);
    this.#lasts.push(id);
  }

  has(id: number): boolean {
    let low = 0;
    let high = this.#lasts.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#lasts[middle] ?? 0) < id) low = middle + 1;
      else high = middle;
    }
    return id >= (this.#firsts[low] ?? Infinity);
  }
}
