/**
 * Carries a script out: the engine on the simulated disk on one side, the model on the other. The disk is crashed when the script says so, under
 * whatever is under way; every crash is also looked at in a few other states, opened twice each, with a copy of the model.
 */
import { EvaqError } from '../../../src/errors.js';
import { Evaq } from '../../../src/evaq.js';
import type { Queue } from '../../../src/queue/queue.js';
import { ReadOnlyEvaq, type ReadOnlyQueue } from '../../../src/raw.js';
import { formatCall, type SimCallName } from '../../../src/sim/sim-call.js';
import { SimDisk } from '../../../src/sim/sim-disk.js';
import type { Vfs } from '../../../src/vfs/vfs.js';
import { requireNothingOpen } from './closed-store.js';
import { PromiseTally } from './promise-tally.js';
import { BrokenPromise, payloadOf, QUEUES, type QueueName, type Seen, StoreModel, type Token } from './store-model.js';
import { describeLoss, describeOp, type Loss, type Op, type Script } from './store-script.js';

export const STORE = '/srv/app/store';
const SEGMENT_BYTES = 64 * 1024;
/** Of real time, for one script: only to end one that hangs, and to say so. */
const HANG_MS = 60_000;
/** Of the states beside a power cut: equal ones are drawn again, so often at most. */
const DRAWS_A_BRANCH = 4;
/** A page of a full read: small enough that reads resume. */
const PAGE = { maxBytes: 30_000 };

export interface RunOptions {
  /** Further states of each power cut that are opened and looked at. Default 2. */
  readonly branches?: number;
  /** Whether a reader looks at each state before it is recovered. Default true. */
  readonly readers?: boolean;
  /** Between the engine and the disk, for planting bugs. */
  readonly wrap?: (vfs: Vfs, disk: SimDisk) => Vfs;
}

/** What a run came to. */
export interface RunStats {
  states: number;
  opens: number;
  cuts: number;
  kills: number;
  acknowledged: number;
  faults: number;
  /** By GC, in handles that served commands. */
  droppedSegments: number;
  rewrittenSegments: number;
  damageReports: number;
  /** Faults that calls ran into, by what they hit and how. */
  readonly hits: Map<string, number>;
  readonly tally: PromiseTally;
}

export function newRunStats(): RunStats {
  return {
    states: 0,
    opens: 0,
    cuts: 0,
    kills: 0,
    acknowledged: 0,
    faults: 0,
    droppedSegments: 0,
    rewrittenSegments: 0,
    damageReports: 0,
    hits: new Map(),
    tally: new PromiseTally(),
  };
}

type Outcome<T> =
  | { readonly kind: 'value'; readonly value: T }
  | { readonly kind: 'error'; readonly error: unknown }
  | { readonly kind: 'died' };

/** Codes that trouble on the disk may give. */
const TROUBLE: ReadonlySet<string> = new Set(['EVAQ_IO', 'EVAQ_NO_SPACE', 'EVAQ_FAILED']);

export function codeOf(error: unknown): string {
  return error instanceof EvaqError ? error.code : '';
}

/** A disk after a death, and what had happened to the process before. */
interface Left {
  readonly hash: string;
  /** GC had removed or rewritten segments, or was at it. */
  readonly collected: boolean;
  /** A sync had failed. */
  readonly failed: boolean;
  /** It died while it was opening the store, or it is opened for the second time. */
  readonly again: boolean;
}

/** Outcomes of calls that only a fault or a full disk gives. */
const TROUBLES: ReadonlyMap<string, string> = new Map([
  ['EIO', 'EIO'],
  ['ENOSPC', 'ENOSPC'],
  ['EFBIG', 'EFBIG'],
  ['EMFILE', 'EMFILE'],
  // Node has no name for it.
  ['Unknown system error -122', 'EDQUOT'],
]);

/** What whoever only reads never asks for. */
const WRITING: ReadonlySet<SimCallName> = new Set([
  'makeDir',
  'create',
  'rename',
  'remove',
  'syncDir',
  'lock',
  'write',
  'extend',
  'sync',
  'truncate',
  'writeAndSyncBlocking',
  'writeBlocking',
]);

class StoreRun {
  readonly #script: Script;
  readonly #options: RunOptions;
  readonly stats: RunStats;
  readonly transcript: string[] = [];
  disk: SimDisk;
  model: StoreModel;
  #evaq: Evaq | undefined;
  #extra: Queue | undefined;
  #died: Promise<void> | undefined;
  #cutAt = Infinity;
  #loss: Loss = { keep: 'everything' };
  #cancels: (() => void)[] = [];
  /** What the disk was left as by the death that came last, until an open has shown it. */
  #left: Left | undefined;
  #compacting = 0;
  #closing = false;
  /** How many calls were after a record so far. */
  readonly #entered = new WeakMap<Token, number>();
  /** Faults or a full disk were in force since the last open. */
  #trouble = false;
  #pending: Promise<void>[] = [];
  #broken: unknown;
  #timer: NodeJS.Timeout | undefined;
  readonly #hung: BrokenPromise = new BrokenPromise('P9', 'something never ended');
  readonly #hang: Promise<never>;

  constructor(script: Script, options: RunOptions, stats: RunStats) {
    this.#script = script;
    this.#options = options;
    this.stats = stats;
    const { seed, sectorBytes, names, timing } = script.settings;
    this.model = new StoreModel(stats.tally);
    this.disk = new SimDisk({ seed, sectorBytes, names, timing });
    this.#hang = new Promise((_, reject) => {
      this.#timer = setTimeout(() => reject(this.#hung), HANG_MS);
    });
    this.#hang.catch(() => undefined);
  }

  async run(): Promise<void> {
    try {
      const [first] = this.#script.ops;
      // A cut that comes first may come while the store is being made.
      if (first?.op !== 'powerCut') await this.#openUntilOpen();
      for (const op of this.#script.ops) {
        this.transcript.push(describeOp(op));
        await this.#perform(op);
        if (this.#evaq === undefined) await this.#openUntilOpen();
        if (this.#broken !== undefined) throw this.#broken;
      }
      await this.#finish();
      if (this.#broken !== undefined) throw this.#broken;
    } catch (error) {
      if (error === this.#hung)
        this.transcript.push(...this.disk.calls.slice(-12).map((call) => `  ${formatCall(call)}`));
      throw error;
    } finally {
      clearTimeout(this.#timer);
      this.#countHits();
      this.disk.kill();
    }
  }

  /** All is well again: everything must be there, go on working, survive a clean close and a power cut that loses all it may. */
  async #finish(): Promise<void> {
    this.transcript.push('(end: no more trouble)');
    this.#endTrouble();
    await this.#await(Promise.all(this.#pending));
    if (this.#evaq === undefined) await this.#openUntilOpen();
    if (!this.model.failed) await this.#perform({ op: 'push', queue: 'wal', bytes: 100, wait: true });
    await this.#perform({ op: 'reopen' });
    await this.#perform({ op: 'read' });
    await this.#perform({ op: 'push', queue: 'wal', bytes: 5000, wait: true });
    await this.#perform({ op: 'powerCut', steps: 0, loss: { keep: 'nothing' } });
    await this.#perform({ op: 'read' });
    if (this.#broken === undefined && this.disk.violations.length > 0)
      throw new BrokenPromise('port', this.disk.violations[0] ?? '');
  }

  #endTrouble(): void {
    for (const cancel of this.#cancels) cancel();
    this.#cancels = [];
    this.disk.limits.capacityBytes = Infinity;
  }

  /** The result, unless the power goes first. */
  async #await<T>(promise: Promise<T>): Promise<Outcome<T>> {
    const result: Promise<Outcome<T>> = promise.then(
      (value) => ({ kind: 'value', value }),
      (error: unknown) => ({ kind: 'error', error }),
    );
    const died = this.#died?.then((): Outcome<T> => ({ kind: 'died' }));
    return Promise.race(died === undefined ? [result, this.#hang] : [result, died, this.#hang]);
  }

  async #perform(op: Op): Promise<void> {
    switch (op.op) {
      case 'push':
        return this.#launch(op.wait, op.queue, (queue) => this.#push(queue, op.queue, [op.bytes], false));
      case 'pushMany':
        return this.#launch(op.wait, op.queue, (queue) => this.#push(queue, op.queue, op.sizes, true));
      case 'pushSync':
        return this.#launch(true, op.queue, (queue) => this.#pushSync(queue, op.queue, op.bytes));
      case 'remove':
        return this.#launch(op.wait, op.queue, (queue) => this.#remove(queue, op.queue, op.pick));
      case 'pop':
        return this.#launch(op.wait, op.queue, (queue) => this.#pop(queue, op.queue, op.pick));
      case 'removeMany':
        return this.#launch(op.wait, op.queue, (queue) => this.#removeMany(queue, op.queue, op.picks));
      case 'removeThrough':
        return this.#launch(op.wait, op.queue, (queue) => this.#removeThrough(queue, op.queue, op.pick));
      case 'deadLetter':
        return this.#launch(op.wait, 'wal', () => this.#deadLetter(op.pick));
      case 'redrive':
        return this.#launch(op.wait, 'dead-letters', () => this.#redrive(op.picks));
      case 'get':
        return this.#launch(true, op.queue, (queue) => this.#get(queue, op.queue, op.pick));
      case 'compact':
        return this.#launch(op.wait, op.queue, async (queue) => {
          this.#compacting++;
          await queue.compact().catch((error: unknown) => {
            // A close gives it up at its next step.
            if (!this.#closing || codeOf(error) !== 'EVAQ_CLOSED') this.#expectTrouble(error, 'compact');
          });
          this.#compacting--;
        });
      case 'read':
        return this.#launch(true, 'wal', async () => {
          const before = this.model.certain();
          const all = await this.#readAll(this.#evaq, this.#extra).catch((error: unknown) =>
            this.#expectTrouble(error, 'read'),
          );
          if (all !== undefined) this.model.view(all, 'live', before);
        });
      case 'idle': {
        const { host } = this.disk;
        return this.#launch(true, 'wal', () => new Promise<void>((resolve) => host.after(op.ms, resolve)));
      }
      case 'reopen':
        return this.#reopen();
      case 'kill':
        return this.#afterDeath(undefined);
      case 'powerCut': {
        // A cut that was due before has its way first.
        if (this.#died !== undefined && this.disk.steps >= this.#cutAt) {
          await this.#died;
          await this.#afterDeath(this.#loss);
        }
        this.#loss = op.loss;
        if (op.steps === 0) {
          return this.#afterDeath(op.loss);
        }
        this.#cutAt = this.disk.steps + op.steps;
        this.#died = this.disk.cutAfter(this.#cutAt);
        return;
      }
      case 'full':
        this.#trouble = true;
        this.disk.limits.capacityBytes = this.disk.usedBytes + op.roomBytes;
        this.disk.limits.full = op.answer ?? 'ENOSPC';
        return;
      case 'freed':
        this.disk.limits.capacityBytes = Infinity;
        return;
      case 'evict':
        this.disk.evict();
        return;
      case 'fault': {
        const { op: _, path, ...drawn } = op;
        // A lock that was got is never reported as not got: what follows it in that call has no errors of its own.
        const rule = { ...drawn, alsoDone: op.alsoDone && op.on !== 'lock' };
        this.#trouble = true;
        this.stats.faults++;
        this.#cancels.push(this.disk.fault(path === '' ? rule : { ...rule, path }));
        return;
      }
    }
  }

  /** Starts a call, and waits for it unless it is to go on beside the next. */
  async #launch(wait: boolean, name: QueueName, body: (queue: Queue) => Promise<unknown>): Promise<void> {
    const evaq = this.#evaq;
    if (evaq === undefined) return;
    if (name === 'extra' && this.#extra === undefined) {
      const made = await this.#await(evaq.queue('extra'));
      if (made.kind === 'died') return this.#afterDeath(this.#loss);
      if (made.kind === 'error') return this.#expectTrouble(made.error, 'queue');
      this.#extra = made.value;
    }
    const queue = name === 'wal' ? evaq.wal : name === 'dead-letters' ? evaq.deadLetters : this.#extra;
    if (queue === undefined) return;
    const call = body(queue).then(
      () => undefined,
      (error: unknown) => {
        // What a dead process hears does not count: it never returned.
        if (isDead(error)) return new Promise<undefined>(() => undefined);
        this.#broken ??= error;
        return undefined;
      },
    );
    if (!wait) {
      this.#pending.push(call);
      return;
    }
    const outcome = await this.#await(call);
    if (outcome.kind === 'error') throw outcome.error;
    if (outcome.kind === 'died') return this.#afterDeath(this.#loss);
  }

  /** An error is right only where there was a reason for it. */
  #expectTrouble(error: unknown, doing: string): undefined {
    const code = codeOf(error);
    if (!TROUBLE.has(code)) throw unexpected(error, doing);
    if (!this.#trouble) throw unexpected(error, `${doing}, with no fault in force,`);
    if (code === 'EVAQ_FAILED') {
      // Once it has failed, every call that is rejected is one that was not acknowledged.
      if (this.model.failed) this.stats.tally.check('P7');
      this.model.failed = true;
    }
    return undefined;
  }

  async #push(queue: Queue, name: QueueName, sizes: readonly number[], many: boolean): Promise<void> {
    const tokens = this.model.push(name, sizes);
    const payloads = tokens.map((token) => payloadOf(token.number, token.bytes));
    try {
      if (many) {
        const promise = queue.pushMany(payloads);
        // The engine has copied them: what becomes of the buffers now must not matter.
        for (const payload of payloads) payload.fill(0xee);
        const { firstId, lastId } = await promise;
        if (lastId - firstId + 1 !== tokens.length)
          throw new BrokenPromise('P3', `pushMany of ${tokens.length} got IDs ${firstId} to ${lastId}`);
        for (const [i, token] of tokens.entries()) this.model.arrived(token, name, firstId + i, 'pushMany');
      } else {
        const [token] = tokens;
        const [payload] = payloads;
        if (token === undefined || payload === undefined) return;
        const promise = queue.push(payload);
        payload.fill(0xee);
        this.model.arrived(token, name, await promise, 'push');
      }
      this.stats.acknowledged += tokens.length;
    } catch (error) {
      this.#notPushed(tokens, error);
    }
  }

  #notPushed(tokens: readonly Token[], error: unknown): void {
    if (error instanceof BrokenPromise) throw error;
    this.#expectTrouble(error, 'push');
    const code = codeOf(error);
    for (const token of tokens) {
      token.last = `push rejected with ${code}`;
      if (code !== 'EVAQ_FAILED') token.pushed = 'no';
    }
  }

  async #pushSync(queue: Queue, name: QueueName, bytes: number): Promise<void> {
    const tokens = this.model.push(name, [bytes]);
    const [token] = tokens;
    if (token === undefined) return;
    try {
      const payload = payloadOf(token.number, token.bytes);
      const id = queue.pushSync(payload);
      payload.fill(0xee);
      this.model.arrived(token, name, id, 'pushSync');
      this.stats.acknowledged++;
    } catch (error) {
      // The process died within the call: it never returned.
      if (isDead(error)) return new Promise(() => undefined);
      this.#notPushed(tokens, error);
    }
    // What it committed on the way hears of it before anything else is asked for.
    await new Promise((resolve) => setImmediate(resolve));
  }

  #pick(name: QueueName, pick: number): { readonly token: Token; readonly id: number } | undefined {
    const all = this.model.candidates(name);
    return all[pick % Math.max(1, all.length)];
  }

  /**
   * Marks tokens as being removed; the result says which of them were settled before. A removal waits for the moves and pops that the others are in,
   * and removes what those give back.
   */
  #begin(tokens: readonly Token[]): Token[] {
    const free = tokens.filter((token) => token.busy === 0);
    for (const token of tokens) {
      this.#enter(token);
      if (token.removed !== 'no') continue;
      if (token.busy === 1) token.last = 'removal asked for';
      token.removed = 'maybe';
    }
    return free;
  }

  /** One more call is after this record. */
  #enter(token: Token): void {
    token.busy++;
    this.#entered.set(token, this.#enteredBy(token) + 1);
  }

  #enteredBy(token: Token): number {
    return this.#entered.get(token) ?? 0;
  }

  #end(tokens: readonly Token[]): void {
    for (const token of tokens) token.busy = Math.max(0, token.busy - 1);
  }

  #removed(tokens: readonly Token[], what: string): void {
    if (tokens.length > 0) this.model.mustNotHaveFailed(what);
    for (const token of tokens) {
      token.removed = 'yes';
      token.last = `${what} acknowledged`;
    }
    this.stats.acknowledged += tokens.length;
  }

  async #remove(queue: Queue, name: QueueName, pick: number): Promise<void> {
    const found = this.#pick(name, pick);
    if (found === undefined) return;
    const { token, id } = found;
    const certain = this.model.isCertain(token) && token.busy === 0;
    const before = token.removed;
    const free = this.#begin([token]);
    try {
      const removed = await queue.remove(id);
      // It was moved, or somebody else removed it.
      if (!removed && free.length === 0 && token.removed === 'maybe') token.removed = before;
      // Of a record that was being moved, too: then the move was given up, and it was removed from where it was.
      if (removed) this.#removed([token], 'remove');
      if (!removed && certain) throw new BrokenPromise('P1', `remove(${id}) found nothing: token ${token.number}`);
    } catch (error) {
      if (error instanceof BrokenPromise) throw error;
      this.#expectTrouble(error, 'remove');
    } finally {
      this.#end([token]);
    }
  }

  async #pop(queue: Queue, name: QueueName, pick: number): Promise<void> {
    const found = this.#pick(name, pick);
    if (found === undefined) return;
    const { token, id } = found;
    const certain = this.model.isCertain(token) && token.busy === 0;
    const before = token.removed;
    const free = this.#begin([token]);
    try {
      const record = await queue.pop(id);
      if (!Buffer.from(record.payload).equals(payloadOf(token.number, token.bytes)) || record.id !== id) {
        throw new BrokenPromise(
          'P3',
          `pop(${id}) gave record ${record.id} with other bytes than token ${token.number}`,
        );
      }
      this.#removed([token], 'pop');
    } catch (error) {
      if (error instanceof BrokenPromise) throw error;
      if (codeOf(error) !== 'EVAQ_RECORD_NOT_FOUND') this.#expectTrouble(error, 'pop');
      else if (certain) throw new BrokenPromise('P1', `pop(${id}) found nothing: token ${token.number}`);
      // It was moved, or somebody else removed it.
      else if (free.length === 0 && token.removed === 'maybe') token.removed = before;
    } finally {
      this.#end([token]);
    }
  }

  async #removeMany(queue: Queue, name: QueueName, picks: readonly number[]): Promise<void> {
    const chosen = new Map<number, Token>();
    for (const pick of picks) {
      const found = this.#pick(name, pick);
      if (found !== undefined) chosen.set(found.id, found.token);
    }
    const tokens = [...chosen.values()];
    await this.#removeAll(name, tokens, 'removeMany', () => queue.removeMany([...chosen.keys()]));
  }

  async #removeThrough(queue: Queue, name: QueueName, pick: number): Promise<void> {
    const found = this.#pick(name, pick);
    if (found === undefined) return;
    const below = this.model.candidates(name).filter(({ id }) => id <= found.id);
    // What may be there under an ID that nobody was told may go, too.
    const unknown = this.model.unknownBelow(name, found.id);
    for (const token of unknown) token.removed = 'maybe';
    await this.#removeAll(
      name,
      below.map(({ token }) => token),
      'removeThrough',
      () => queue.removeThrough(found.id),
      unknown.length,
    );
  }

  async #removeAll(
    name: QueueName,
    tokens: readonly Token[],
    what: string,
    remove: () => Promise<number>,
    unknown: number = 0,
  ): Promise<void> {
    const certain = tokens.filter((token) => this.model.isCertain(token) && token.busy === 0);
    const free = this.#begin(tokens);
    const before = new Map(certain.map((token) => [token, this.#enteredBy(token)]));
    try {
      const count = await remove();
      // It may have waited for a claim, and who came later have been first to take another of its records.
      const sure = certain.filter((token) => this.#enteredBy(token) === before.get(token)).length;
      const most = tokens.length + unknown;
      if (count < sure || count > most) {
        throw new BrokenPromise('P2', `${what} removed ${count} of ${sure} records (and ${most - sure} in doubt)`);
      }
      const known = free.filter(({ homes }) => homes.length === 1);
      this.#removed(known, what);
      // One that may have moved before is gone from here; whether it is live elsewhere is open.
      for (const token of free) {
        if (!known.includes(token)) token.homes = token.homes.filter(({ queue }) => queue !== name);
      }
    } catch (error) {
      if (error instanceof BrokenPromise) throw error;
      this.#expectTrouble(error, what);
    } finally {
      this.#end(tokens);
    }
  }

  async #deadLetter(pick: number): Promise<void> {
    const found = this.#pick('wal', pick);
    const evaq = this.#evaq;
    if (found === undefined || evaq === undefined) return;
    await this.#move(found.token, 'dead-letters', () => evaq.deadLetter(found.id, { reason: 'test' }), 'deadLetter');
  }

  async #redrive(picks: readonly number[]): Promise<void> {
    const evaq = this.#evaq;
    if (evaq === undefined) return;
    const chosen = new Map<number, Token>();
    for (const pick of picks) {
      const found = this.#pick('dead-letters', pick);
      if (found !== undefined && found.token.busy === 0 && this.model.isCertain(found.token))
        chosen.set(found.id, found.token);
    }
    const tokens = [...chosen.values()];
    const before = tokens.map((token) => token.homes);
    for (const token of tokens) {
      this.#enter(token);
      token.moved = true;
      token.homes = [...token.homes, { queue: 'wal', id: undefined, above: this.model.highest('wal') }];
      token.last = 'redrive asked for';
    }
    try {
      const ids = await evaq.redrive([...chosen.keys()]);
      if (ids.length !== tokens.length)
        throw new BrokenPromise('P10', `redrive of ${tokens.length} moved ${ids.length}`);
      for (const [i, token] of tokens.entries()) this.model.arrived(token, 'wal', ids[i] ?? 0, 'redrive');
      this.stats.acknowledged += ids.length;
    } catch (error) {
      if (error instanceof BrokenPromise) throw error;
      this.#expectTrouble(error, 'redrive');
      // Some may have moved, each of them once.
      assertSame(before.length, tokens.length);
    } finally {
      this.#end(tokens);
    }
  }

  async #move(token: Token, to: QueueName, move: () => Promise<number>, what: string): Promise<void> {
    const certain = this.model.isCertain(token) && token.busy === 0;
    const alone = token.busy === 0;
    const before = token.homes;
    this.#enter(token);
    token.moved = true;
    if (alone) {
      token.homes = [...before, { queue: to, id: undefined, above: this.model.highest(to) }];
      token.last = `${what} asked for`;
    }
    try {
      const id = await move();
      this.model.arrived(token, to, id, what);
      // It was live when it moved, whatever a removal that was rejected before had asked for.
      this.stats.acknowledged++;
    } catch (error) {
      if (error instanceof BrokenPromise) throw error;
      const notFound = codeOf(error) === 'EVAQ_RECORD_NOT_FOUND';
      if (!notFound) this.#expectTrouble(error, what);
      else if (certain) throw new BrokenPromise('P1', `${what} found nothing: token ${token.number}`);
      // Whoever waited for this move to be given up may be moving it by now.
      if (alone && token.busy === 1 && codeOf(error) !== 'EVAQ_FAILED') token.homes = before;
      token.last = `${what} rejected with ${codeOf(error)}`;
    } finally {
      this.#end([token]);
    }
  }

  async #get(queue: Queue, name: QueueName, pick: number): Promise<void> {
    const found = this.#pick(name, pick);
    if (found === undefined) return;
    const { token, id } = found;
    const certain = this.model.isCertain(token) && token.busy === 0;
    try {
      const record = await queue.get(id);
      if (record !== undefined) {
        const seen = this.model.recognize({ queue: name, id: record.id, payload: record.payload });
        if (seen !== token)
          throw new BrokenPromise('P3', `get(${id}) gave token ${seen.number} and not ${token.number}`);
      } else if (certain && token.busy === 0) {
        throw new BrokenPromise('P1', `get(${id}) found nothing: token ${token.number}`);
      }
    } catch (error) {
      if (error instanceof BrokenPromise) throw error;
      this.#expectTrouble(error, 'get');
    }
  }

  async #readAll(evaq: Evaq | undefined, extra: Queue | undefined): Promise<Map<QueueName, Seen[]>> {
    const all = new Map<QueueName, Seen[]>();
    if (evaq === undefined) return all;
    for (const name of QUEUES) {
      const queue = name === 'wal' ? evaq.wal : name === 'dead-letters' ? evaq.deadLetters : extra;
      if (queue !== undefined) all.set(name, await readQueue(queue, name));
    }
    return all;
  }

  async #reopen(): Promise<void> {
    const evaq = this.#evaq;
    if (evaq === undefined) return;
    this.#closing = true;
    const closed = await this.#await(evaq.close());
    this.#closing = false;
    if (closed.kind === 'died') return this.#afterDeath(this.#loss);
    if (closed.kind === 'error') this.#expectTrouble(closed.error, 'close');
    const settled = await this.#await(Promise.all(this.#pending));
    if (settled.kind === 'died') return this.#afterDeath(this.#loss);
    requireNothingOpen(this.disk);
    this.#forget();
    await this.#openUntilOpen();
  }

  #forget(): void {
    for (const queue of [this.#evaq?.wal, this.#evaq?.deadLetters]) {
      if (queue === undefined) continue;
      const { gc, damage } = queue.stats();
      this.stats.droppedSegments += gc.droppedSegments;
      this.stats.rewrittenSegments += gc.rewrittenSegments;
      this.stats.damageReports += damage.length;
      // Nothing in these runs damages what is at rest.
      const [first] = damage;
      if (first !== undefined)
        throw new BrokenPromise('P9', `reported as damaged: ${first.file} at ${first.offset}: ${first.what}`);
    }
    this.#evaq = undefined;
    this.#extra = undefined;
    this.#pending = [];
    this.model.reopened();
  }

  /** No process runs. With a loss the power went, too. */
  async #afterDeath(loss: Loss | undefined): Promise<void> {
    this.disk.kill();
    // What was acknowledged before is heard of.
    await new Promise((resolve) => setImmediate(resolve));
    if (this.#broken !== undefined) throw this.#broken;
    this.#left = this.#leave();
    this.#forget();
    if (loss === undefined || ('keep' in loss && loss.keep === 'cache')) {
      this.stats.kills++;
      this.stats.states++;
      // Where the power was to go later, it still is.
      if (this.disk.steps >= this.#cutAt) this.#died = undefined;
    } else {
      await this.#cut(loss);
    }
    await this.#openUntilOpen();
  }

  /** Of the process that has just died. */
  #leave(): Left {
    const collected = [this.#evaq?.wal, this.#evaq?.deadLetters].some((queue) => {
      const gc = queue?.stats().gc;
      return gc !== undefined && gc.droppedSegments + gc.rewrittenSegments > 0;
    });
    return {
      hash: this.disk.hash(),
      collected: collected || (this.#evaq !== undefined && this.#compacting > 0) || this.#left?.collected === true,
      failed: this.model.failed || this.#left?.failed === true,
      again: this.#evaq === undefined,
    };
  }

  /** The calls that failed, of a disk that is not gone on with. */
  #countHits(): void {
    const { hits } = this.stats;
    for (const { name, outcome } of this.disk.calls) {
      const error = TROUBLES.get(outcome);
      if (error === undefined) continue;
      const hit = `${name} ${error}`;
      hits.set(hit, (hits.get(hit) ?? 0) + 1);
    }
  }

  async #cut(loss: Loss): Promise<void> {
    this.stats.cuts++;
    this.#countHits();
    const { branches = 2 } = this.#options;
    const { disk } = this;
    const draw = 'draw' in loss ? loss.draw : 0;
    // Where little is open many choices leave the same disk: once is enough.
    const looked = new Set<string>();
    for (let i = 0; looked.size < branches && i < DRAWS_A_BRANCH * branches; i++) {
      const choice = i === 0 ? disk.nothingSurvives() : disk.drawCrash(draw + 7919 * i);
      const beside = disk.crash(choice, this.#script.settings.seed + i);
      const hash = beside.hash();
      if (looked.has(hash)) continue;
      looked.add(hash);
      await this.#look(beside, `state ${i} beside`);
    }
    const choice =
      'choice' in loss
        ? loss.choice
        : 'draw' in loss
          ? disk.drawCrash(loss.draw)
          : loss.keep === 'nothing'
            ? disk.nothingSurvives()
            : [];
    this.transcript.push(`  (power cut after ${disk.steps} steps, ${describeLoss(loss)})`);
    this.#died = undefined;
    this.disk = disk.crash(choice);
    this.disk.limits.capacityBytes = Infinity;
    this.#cancels = [];
    this.#trouble = false;
    this.stats.states++;
    if (this.#left !== undefined) this.#left = { ...this.#left, hash: this.disk.hash() };
  }

  /** Opens a state that is not gone on with, cuts the power again losing all it may, and opens it again: the same must be there. */
  async #look(disk: SimDisk, what: string): Promise<void> {
    this.stats.states += 2;
    disk.limits.capacityBytes = Infinity;
    const model = this.model.clone();
    const { collected = false, failed = false, again: cutBefore = false } = this.#left ?? {};
    try {
      if (this.#options.readers !== false) await this.#readOnly(disk);
      const first = await this.#lookOnce(disk, model, { hash: disk.hash(), collected, failed, again: cutBefore });
      disk.kill();
      const again = disk.crash(disk.nothingSurvives());
      await this.#lookOnce(again, model, { hash: again.hash(), collected, failed, again: true }, first);
      again.kill();
    } catch (error) {
      this.transcript.push(`  (${what} the power cut after ${this.disk.steps} steps)`);
      throw error;
    }
  }

  /** P11: who only reads finds what was acknowledged before anything is recovered, and asks the disk for no change. */
  async #readOnly(disk: SimDisk): Promise<void> {
    const { stats } = this;
    const copy = disk.fork();
    const before = copy.hash();
    const model = this.model.clone();
    const certain = model.certain();
    const code = await Promise.race([this.#readAllOnly(copy, model, certain), this.#hang]);
    if (code === 'EVAQ_NOT_A_STORE' && certain.size === 0) return;
    if (code !== undefined) throw new BrokenPromise('P11', `a reader is turned away with ${code}`);
    stats.tally.check('P11');
    const [missing] = certain;
    if (missing !== undefined) throw new BrokenPromise('P11', `a reader does not find token ${missing.number}`);
    const wrote = copy.calls.find(({ name }) => WRITING.has(name));
    if (wrote !== undefined) throw new BrokenPromise('P11', `a reader asked for ${formatCall(wrote)}`);
    if (copy.hash() !== before) throw new BrokenPromise('P11', 'a reader changed the disk');
    copy.kill();
    stats.tally.states.P11.add(before);
    stats.tally.all.add(before);
  }

  /** Takes what it finds out of `certain`. Resolves with the code of what went wrong. */
  async #readAllOnly(disk: SimDisk, model: StoreModel, certain: Set<Token>): Promise<string | undefined> {
    try {
      const evaq = await ReadOnlyEvaq.open(STORE, { ports: { vfs: disk.vfs, host: disk.host } });
      const names = await evaq.queueNames();
      for (const name of QUEUES) {
        if (!names.includes(name)) continue;
        const queue = await evaq.queue(name);
        for (const seen of await readQueue(queue, name)) {
          try {
            certain.delete(model.recognize(seen));
          } catch (error) {
            // A move of which the tombstone is owed is completed by the next open; a reader shows both ends until then.
            if (!(error instanceof BrokenPromise) || error.promise !== 'P10') throw error;
          }
        }
      }
      await evaq.close();
      return undefined;
    } catch (error) {
      if (codeOf(error) === '') throw error;
      return codeOf(error);
    }
  }

  async #lookOnce(
    disk: SimDisk,
    model: StoreModel,
    left: Left,
    shown?: ReadonlyMap<QueueName, readonly Seen[]>,
  ): Promise<ReadonlyMap<QueueName, readonly Seen[]>> {
    const opening = Promise.race([this.#openOn(disk), this.#hang]);
    const { evaq, extra } = await opening.catch((error: unknown) => {
      throw unexpected(error, 'open after a power cut');
    });
    const all = await Promise.race([this.#readAll(evaq, extra), this.#hang]);
    this.#checkAfterOpen(evaq, extra, model, all, left, shown);
    return all;
  }

  /** All that must hold when a store was opened after a death, or after a close (`left` is undefined). */
  #checkAfterOpen(
    evaq: Evaq,
    extra: Queue | undefined,
    model: StoreModel,
    all: ReadonlyMap<QueueName, readonly Seen[]>,
    left: Left | undefined,
    shown?: ReadonlyMap<QueueName, readonly Seen[]>,
  ): void {
    const { tally } = this.stats;
    tally.begin();
    if (shown !== undefined && !sameView(shown, all))
      throw new BrokenPromise('P5', 'a second recovery shows something else than the first');
    model.view(all, 'open');
    checkAfterOpen(evaq, extra, model, all, tally);
    if (left === undefined) return;
    if (!evaq.recovery.clean) tally.check('P9');
    if (left.again) tally.check('P5');
    if (left.collected && (tally.has('P1') || tally.has('P2'))) tally.check('P6');
    if (left.failed) tally.check('P7');
    tally.end(left.hash);
  }

  async #openOn(disk: SimDisk): Promise<{ evaq: Evaq; extra: Queue | undefined }> {
    this.stats.opens++;
    const { recycleSegments, indexIntervalBytes } = this.#script.settings;
    const vfs = this.#options.wrap === undefined ? disk.vfs : this.#options.wrap(disk.vfs, disk);
    const evaq = await Evaq.open(STORE, {
      ports: { vfs, host: disk.host },
      segmentBytes: SEGMENT_BYTES,
      recycleSegments,
      indexIntervalBytes,
    });
    try {
      const extra = evaq.queueNames().includes('extra') ? await evaq.queue('extra') : undefined;
      return { evaq, extra };
    } catch (error) {
      await evaq.close().catch(() => undefined);
      throw error;
    }
  }

  /** Opens; where the power goes meanwhile, cuts and tries again; where faults are in force, takes them back and tries again. */
  async #openUntilOpen(): Promise<void> {
    for (let tries = 0; ; tries++) {
      const opened = await this.#await(this.#openOn(this.disk));
      if (opened.kind === 'died') return this.#afterDeath(this.#loss);
      if (opened.kind === 'error') {
        const code = codeOf(opened.error);
        if (!TROUBLE.has(code) || !this.#trouble || tries > 0)
          throw unexpected(opened.error, tries > 0 ? 'open again after the faults' : 'open');
        this.transcript.push(`  (open failed with ${code}; faults taken back)`);
        this.#endTrouble();
        // Whatever the failed open left under way dies with its process, now and then.
        if (this.#script.settings.seed % 2 === 0) this.disk.kill();
        continue;
      }
      const { evaq, extra } = opened.value;
      const read = await this.#await(this.#readAll(evaq, extra));
      if (read.kind === 'died') return this.#afterDeath(this.#loss);
      if (read.kind === 'error') {
        if (!this.#trouble || tries > 0) throw unexpected(read.error, 'read after open');
        this.#expectTrouble(read.error, 'read after open');
        this.#endTrouble();
        this.disk.kill();
        continue;
      }
      this.#checkAfterOpen(evaq, extra, this.model, read.value, this.#left);
      this.#left = undefined;
      this.#compacting = 0;
      this.#evaq = evaq;
      this.#extra = extra;
      // Faults that are left over go on; with none left, errors have no excuse any more.
      this.#trouble = this.#cancels.length > 0 || this.disk.limits.capacityBytes !== Infinity;
      return;
    }
  }
}

function checkAfterOpen(
  evaq: Evaq,
  extra: Queue | undefined,
  model: StoreModel,
  all: ReadonlyMap<QueueName, readonly Seen[]>,
  tally: PromiseTally,
): void {
  const [damage] = evaq.recovery.damage;
  if (damage !== undefined)
    throw new BrokenPromise('P9', `a crash was taken for damage: ${damage.file} at ${damage.offset}: ${damage.what}`);
  for (const name of QUEUES) {
    const queue = name === 'wal' ? evaq.wal : name === 'dead-letters' ? evaq.deadLetters : extra;
    if (queue === undefined) continue;
    const read = all.get(name)?.length ?? 0;
    if (queue.size !== read)
      throw new BrokenPromise('P3', `${name} counts ${queue.size} live records, and ${read} can be read`);
    const { nextId } = queue.stats();
    if (model.highest(name) > 0) tally.check('P8');
    if (nextId <= model.highest(name))
      throw new BrokenPromise('P8', `${name} would give out ${nextId}; ${model.highest(name)} was given out`);
  }
}

function sameView(a: ReadonlyMap<QueueName, readonly Seen[]>, b: ReadonlyMap<QueueName, readonly Seen[]>): boolean {
  return QUEUES.every((name) => {
    const [mine = [], others = []] = [a.get(name), b.get(name)];
    return (
      mine.length === others.length &&
      mine.every(({ id, payload }, i) => {
        const other = others[i];
        return other !== undefined && other.id === id && Buffer.from(payload).equals(other.payload);
      })
    );
  });
}

export async function readQueue(queue: Pick<Queue | ReadOnlyQueue, 'read'>, name: QueueName): Promise<Seen[]> {
  const seen: Seen[] = [];
  for (let from = 0; ; ) {
    const records = await queue.read({ from, ...PAGE });
    const last = records.at(-1);
    if (last === undefined) return seen;
    for (const { id, payload } of records) seen.push({ queue: name, id, payload });
    from = last.id + 1;
  }
}

function unexpected(error: unknown, doing: string): BrokenPromise {
  const text = error instanceof Error ? `${codeOf(error)} ${error.message}` : String(error);
  const broken = new BrokenPromise(codeOf(error) === 'EVAQ_CORRUPT' ? 'P9' : 'contract', `${doing} rejected: ${text}`);
  broken.cause = error;
  return broken;
}

function isDead(error: unknown): boolean {
  for (let at = error; at instanceof Error; at = at.cause) if (at.message.includes('process is dead')) return true;
  return false;
}

function assertSame(a: number, b: number): void {
  if (a !== b) throw new Error(`${a} !== ${b}`);
}

/** Runs a script; throws what it finds, with the transcript in the message. */
export async function runScript(
  script: Script,
  options: RunOptions = {},
  stats: RunStats = newRunStats(),
): Promise<RunStats> {
  const run = new StoreRun(script, options, stats);
  try {
    await run.run();
  } catch (error) {
    if (error instanceof Error) error.message += `\n${run.transcript.slice(-60).join('\n')}`;
    throw error;
  }
  return stats;
}
