/**
 * Histories of dead letters of several queues: records die by hand and in handlers, are listed, counted, sent back, moved and purged, by the store itself or over a
 * link to it; the process and the power go in the middle of it. Between two steps each record is where the model says, with the history that it says, and so are
 * the answers of calls. What was under way at a death has happened to each record wholly or not at all (P10).
 */
import {
  type DeadLetter,
  DeadLetterError,
  Evaq,
  type LinkedEvaq,
  type LinkedQueue,
  type Queue,
  type QueueRecord,
} from '../../../src/evaq.js';
import { SimDisk } from '../../../src/sim/sim-disk.js';
import { chance } from './chance.js';
import { BrokenPromise } from './store-model.js';

const STORE = '/store';
const STEPS = 24;
const LIVE = ['wal', 'a', 'b'] as const;
const DEAD: Readonly<Record<string, string>> = { wal: 'dead-letters', a: 'a.dead', b: 'b.dead' };
const QUEUES = [...LIVE, ...Object.values(DEAD)];
const REASONS = ['refused', 'late', 'odd'] as const;
const CODES = ['E_SCHEMA', 'E_GONE', undefined] as const;
/** More, in ms, than anything takes. */
const WAIT_MS = 5000;

/** A record as it must be, wherever it is. */
interface Card {
  readonly at: string;
  readonly cameFrom: string | undefined;
  readonly attempts: number;
  readonly redrives: number;
  readonly reason: string | undefined;
  readonly code: string | undefined;
}

interface Token {
  readonly number: number;
  readonly home: string;
  readonly header: string;
  readonly firstId: number;
  /** Where it was seen last. */
  id: number;
  /** One, or two where a death left it open. `undefined`: it is gone. */
  cards: readonly (Card | undefined)[];
}

export interface LettersTally {
  steps: number;
  deaths: number;
  redriven: number;
  refused: number;
  purged: number;
  listed: number;
  halves: number;
}

export function newLettersTally(): LettersTally {
  return { steps: 0, deaths: 0, redriven: 0, refused: 0, purged: 0, listed: 0, halves: 0 };
}

const NO_TOKEN: Token = { number: -1, home: '', header: '', firstId: 0, id: 0, cards: [] };

type Letters = Queue['deadLetters'];

class LettersRun {
  readonly #seed: number;
  readonly #tally: LettersTally;
  readonly #below: (n: number) => number;
  readonly #script: string[] = [];
  readonly #tokens: Token[] = [];
  #disk: SimDisk;
  #evaq: Evaq | undefined;
  #link: LinkedEvaq | undefined;

  constructor(seed: number, tally: LettersTally) {
    this.#seed = seed;
    this.#tally = tally;
    this.#below = chance(seed);
    this.#disk = new SimDisk({ seed, timing: seed % 2 === 0 ? 'wild' : 'steady', fill: 'zeros' });
  }

  async run(): Promise<void> {
    try {
      await this.#open();
      for (let i = 0; i < STEPS; i++) {
        await this.#step();
        await this.#observe();
        this.#tally.steps++;
      }
      await this.#link?.close();
      await this.#within(this.#store.close(), 'close');
    } catch (error) {
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
      const promise = error instanceof BrokenPromise ? error.promise : 'letters';
      const [first, ...rest] = text.replace(/^BrokenPromise: [^:]*: /, '').split('\n');
      throw new BrokenPromise(promise, `${first}\nseed ${this.#seed}: ${this.#script.join(' ')}\n${rest.join('\n')}`);
    } finally {
      this.#disk.kill();
    }
  }

  get #store(): Evaq {
    if (this.#evaq === undefined) throw new Error('the store is open');
    return this.#evaq;
  }

  async #open(): Promise<void> {
    const { vfs, host } = this.#disk;
    this.#evaq = await Evaq.open(STORE, { segmentBytes: 64 * 1024, ports: { vfs, host } });
    this.#link = undefined;
  }

  /** The queue of that name, and now and then as another thread sees it. */
  async #queue(name: string): Promise<Queue | LinkedQueue> {
    if (this.#below(2) === 0) return this.#here(name);
    this.#link ??= await Evaq.attach(this.#store.connect());
    return name === 'wal' ? this.#link.wal : this.#link.queue(name);
  }

  async #here(name: string): Promise<Queue> {
    return name === 'wal' ? this.#store.wal : this.#store.queue(name);
  }

  /** Whoever asks, the answers are the same. */
  async #letters(name: string): Promise<Letters> {
    const queue = await this.#queue(this.#below(3) === 0 ? (DEAD[name] ?? name) : name);
    return queue.deadLetters as Letters;
  }

  #draw<T>(of: readonly T[]): T {
    return of[this.#below(of.length)] as T;
  }

  #in(queue: string): Token[] {
    return this.#tokens.filter(({ cards: [card] }) => card?.at === queue).sort((a, b) => a.id - b.id);
  }

  async #step(): Promise<void> {
    // Few, so that letters die again.
    const name = this.#below(3) === 0 ? this.#draw(LIVE) : (LIVE[this.#seed % LIVE.length] ?? 'wal');
    const drawn = this.#below(15);
    if (drawn < 2) return this.#push(name);
    if (drawn < 5) return this.#deadLetter(name);
    if (drawn < 6) return this.#handle(name);
    if (drawn < 8) return this.#move(name);
    if (drawn < 11) return this.#redrive(name);
    if (drawn < 12) return this.#purge(name);
    if (drawn < 13) return this.#look(name);
    if (drawn < 14) return this.#die(name);
    this.#script.push('Reopen');
    await this.#link?.close();
    await this.#within(this.#store.close(), 'close');
    return this.#open();
  }

  async #push(name: string): Promise<void> {
    const count = 1 + this.#below(4);
    this.#script.push(`Push(${name}, ${count})`);
    const queue = await this.#queue(name);
    for (let i = 0; i < count; i++) {
      const number = this.#tokens.length;
      const header = `h${this.#below(9)}`;
      const id = await this.#within(queue.push(`${number}`, { headers: { header } }), 'a push');
      const card: Card = {
        at: name,
        cameFrom: undefined,
        attempts: 0,
        redrives: 0,
        reason: undefined,
        code: undefined,
      };
      this.#tokens.push({ number, home: name, header, firstId: id, id, cards: [card] });
    }
  }

  async #deadLetter(name: string): Promise<void> {
    const [reason, code] = [this.#draw(REASONS), this.#draw(CODES)];
    const error = Object.assign(new Error('no'), code === undefined ? {} : { code });
    const queue = await this.#queue(name);
    for (const token of this.#in(name).slice(0, 1 + this.#below(3))) {
      this.#script.push(`DeadLetter(${name} ${token.id}, ${reason} ${code})`);
      token.id = await this.#within(queue.deadLetter(token.id, { reason, error }), 'deadLetter');
      token.cards = [this.#died(token, name, reason, code)];
    }
  }

  #died({ cards: [card] }: Token, from: string, reason: string, code: string | undefined): Card {
    return {
      at: DEAD[from] ?? '',
      cameFrom: from,
      attempts: (card?.attempts ?? 0) + 1,
      redrives: card?.redrives ?? 0,
      reason,
      code,
    };
  }

  /** All of a queue go through a handler, which refuses some. */
  async #handle(name: string): Promise<void> {
    const there = this.#in(name);
    const refused = new Map(
      there.filter(() => this.#below(2) === 0).map((token) => [token.number, this.#draw(REASONS)]),
    );
    this.#script.push(`Handle(${name}, refuses ${[...refused.keys()].join()})`);
    const queue = await this.#queue(name);
    let wrong: string | undefined;
    const delivery = queue.process(
      (record, { attempt }) => {
        const number = Number(record.payload);
        const before = this.#tokens[number]?.cards[0]?.attempts ?? 0;
        if (attempt !== before + 1) wrong = `<${number}> is tried as number ${attempt}, after ${before}`;
        const reason = refused.get(number);
        if (reason !== undefined) throw new DeadLetterError(reason);
      },
      { timeoutMs: 0, concurrency: 1 },
    );
    await this.#within(delivery.drained(), 'a delivery');
    await this.#within(delivery.stop(), 'a stop');
    if (wrong !== undefined) throw new BrokenPromise('P16', wrong);
    for (const token of there) {
      const reason = refused.get(token.number);
      // Where it is now shows.
      token.cards = [reason === undefined ? undefined : this.#died(token, name, reason, undefined)];
    }
    await this.#observe();
  }

  /** From anywhere to anywhere. */
  async #move(name: string): Promise<void> {
    const here = this.#below(2) === 0 ? name : (DEAD[name] ?? '');
    const there = this.#draw(QUEUES.filter((queue) => queue !== here && this.#in(queue).length > 0).concat(QUEUES));
    const letters = [this.#draw(Object.values(DEAD)), DEAD[name] ?? ''] as const;
    const [from, to] = [[there, here] as const, [here, there] as const, letters][this.#below(3)] ?? letters;
    const chosen = this.#in(from).slice(0, 1 + this.#below(3));
    if (from === to || chosen.length === 0) return;
    this.#script.push(`Move(${from} ${chosen.map(({ id }) => id).join()} to ${to})`);
    const ids = chosen.map(({ id }) => id);
    const { moved } = await this.#within(this.#store.move(await this.#here(from), ids, await this.#here(to)), 'a move');
    if (moved !== ids.length) throw new BrokenPromise('P10', `${moved} of ${ids.length} have moved`);
    for (const token of chosen) token.cards = [{ ...cardOf(token), at: to, cameFrom: from }];
  }

  /** Where a letter goes that is in `queue`: to where it came from, else to where it was pushed first, else to the queue whose letters these are. */
  #homeOf({ home, cards: [card] }: Token, queue: string): string {
    for (const one of [card?.cameFrom, home]) if (one !== undefined && isLive(one)) return one;
    return LIVE.find((live) => DEAD[live] === queue) ?? '';
  }

  #redriven(token: Token, queue: string): Card {
    const card = cardOf(token);
    const to = this.#homeOf(token, queue);
    return { ...card, at: to, cameFrom: queue, redrives: card.redrives + 1, reason: undefined, code: undefined };
  }

  /** A selection, as it is said and as it is meant. */
  #select(queue: string): {
    readonly said: Parameters<Letters['purge']>[0];
    readonly meant: Token[];
    readonly text: string;
  } {
    const all = this.#in(queue);
    const [reason, code] = [this.#draw(REASONS), this.#draw(CODES)];
    const middle = all[all.length >> 1]?.id ?? 1;
    const with_ = (accepts: (token: Token) => boolean): Token[] => all.filter(accepts);
    switch (this.#below(6)) {
      case 0:
        return { said: 'all', meant: all, text: 'all' };
      case 1:
        return {
          said: { reason },
          meant: with_((token) => cardOf(token).reason === reason),
          text: reason,
        };
      case 2: {
        const to = this.#below(2) === 0 ? middle : undefined;
        return {
          said: to === undefined ? { from: middle } : { to },
          meant: with_(({ id }) => (to === undefined ? id >= middle : id <= middle)),
          text: to === undefined ? `from ${middle}` : `to ${middle}`,
        };
      }
      case 3:
        return {
          said: (letter) => letter.code === code && letter.redrives === 0,
          meant: with_((token) => cardOf(token).code === code && cardOf(token).redrives === 0),
          text: `those with ${code}, not redriven`,
        };
      case 4:
        return {
          said: (letter: DeadLetter) => Promise.resolve(Number(letter.payload) % 2 === 0),
          meant: with_(({ number }) => number % 2 === 0),
          text: 'even ones',
        };
      default: {
        const meant = with_(() => this.#below(2) === 0).reverse();
        return { said: meant.map(({ id }) => id), meant, text: `IDs ${meant.map(({ id }) => id).join()}` };
      }
    }
  }

  async #redrive(name: string): Promise<void> {
    const queue = DEAD[name] ?? '';
    const all = this.#in(queue);
    const { said, meant, text } =
      this.#below(2) === 0 ? { said: 'all' as const, meant: all, text: 'all' } : this.#select(queue);
    const [dryRun, force] = [this.#below(5) === 0, this.#below(4) === 0];
    const limit = this.#below(3) === 0 ? 1 + this.#below(2) : Infinity;
    const most = 1 + this.#below(2);
    this.#script.push(`Redrive(${queue}, ${text}${dryRun ? ', dry' : ''}${force ? ', force' : ''}, ${limit} at most)`);
    const letters = await this.#letters(name);
    const told: number[] = [];
    const result = await this.#within(
      letters.redrive(said, {
        dryRun,
        force,
        maxRedrives: most,
        ...(limit === Infinity ? {} : { limit }),
        onProgress: ({ batch }) => {
          for (const { id, queue: to, newId } of batch) {
            told.push(id);
            if (newId < 1 || to === '') throw new Error('it says nothing');
          }
        },
      }),
      'a redrive',
    );
    const mayGo = (token: Token): boolean => force || cardOf(token).redrives < most;
    const goes = meant.filter(mayGo).slice(0, limit);
    // Of those behind the last one that goes nobody asks.
    const asked = goes.length < limit ? meant : meant.slice(0, meant.indexOf(goes.at(-1) ?? NO_TOKEN) + 1);
    const refused = asked.filter((token) => !mayGo(token)).map(({ id }) => id);
    if (!dryRun) this.#tally.redriven += goes.length;
    this.#tally.refused += refused.length;
    const queues: Record<string, number> = {};
    for (const token of goes) {
      const to = this.#homeOf(token, queue);
      queues[to] = (queues[to] ?? 0) + 1;
    }
    same(
      { ...result, queues: sorted(result.queues) },
      { moved: goes.length, queues: sorted(queues), gone: 0, refused: refused.length, refusedIds: refused },
      'redrive says',
    );
    if (dryRun) return;
    same(
      told,
      goes.map(({ id }) => id),
      'progress told',
    );
    for (const token of goes) token.cards = [this.#redriven(token, queue)];
  }

  async #purge(name: string): Promise<void> {
    const queue = DEAD[name] ?? '';
    const { said, meant, text } = this.#select(queue);
    const dryRun = this.#below(4) === 0;
    this.#script.push(`Purge(${queue}, ${text}${dryRun ? ', dry' : ''})`);
    const letters = await this.#letters(name);
    const result = await this.#within(letters.purge(said, { dryRun }), 'a purge');
    same(result, { purged: meant.length, gone: 0 }, 'purge says');
    if (dryRun) return;
    this.#tally.purged += meant.length;
    for (const token of meant) token.cards = [undefined];
  }

  async #look(name: string): Promise<void> {
    const queue = DEAD[name] ?? '';
    this.#script.push(`Look(${queue})`);
    const letters = await this.#letters(name);
    const limit = this.#below(2) === 0 ? 1 + this.#below(3) : Infinity;
    const list = async (): Promise<DeadLetter[]> => {
      const listed: DeadLetter[] = [];
      for await (const letter of letters.list(limit === Infinity ? {} : { limit })) listed.push(letter);
      return listed;
    };
    const listed = await this.#within(list(), 'a list');
    this.#tally.listed += listed.length;
    const there = this.#in(queue);
    same(
      listed.map((letter) => this.#shown(letter)),
      there.slice(0, limit).map((token) => {
        const { attempts, redrives, reason, code } = cardOf(token);
        const deliveryId = `${this.#store.storeId}:${token.home}:${token.firstId}`;
        const { id, number, header } = token;
        return { id, number, header, attempts, redrives, reason, code, queue: this.#homeOf(token, queue), deliveryId };
      }),
      'list shows',
    );
    const { total, groups } = await this.#within(letters.summary(), 'a summary');
    const kinds = new Map<string, number>();
    for (const token of there) {
      const { reason, code } = cardOf(token);
      kinds.set(`${reason} ${code}`, (kinds.get(`${reason} ${code}`) ?? 0) + 1);
    }
    same(
      { total, groups: groups.map(({ reason, code, count }) => `${reason} ${code}: ${count}`).sort() },
      { total: there.length, groups: [...kinds].map(([kind, count]) => `${kind}: ${count}`).sort() },
      'summary counts',
    );
  }

  #shown({ id, payload, headers, attempts, redrives, reason, code, queue, deliveryId }: DeadLetter): object {
    return {
      id,
      number: Number(payload),
      header: headers?.['header'],
      attempts,
      redrives,
      reason,
      code,
      queue,
      deliveryId,
    };
  }

  /** In the middle of a redrive, or with nothing under way. */
  async #die(name: string): Promise<void> {
    const queue = DEAD[name] ?? '';
    const isPower = this.#below(2) === 0;
    const isBusy = this.#below(3) > 0;
    const { said, meant, text } = this.#select(queue);
    this.#script.push(`${isPower ? 'PowerCut' : 'Kill'}(${isBusy ? `redriving ${queue}, ${text}` : 'idle'})`);
    this.#tally.deaths++;
    if (isBusy) {
      void (await this.#here(name)).deadLetters.redrive(said, { force: true }).catch(() => undefined);
      for (let steps = this.#below(25); steps > 0; steps--)
        await new Promise<void>((resolve) => this.#disk.host.soon(resolve));
      if (this.#below(2) === 0) await this.#pass(this.#below(4));
      for (const token of meant) token.cards = [...token.cards, this.#redriven(token, queue)];
    }
    const after = isPower ? this.#disk.crash(this.#disk.drawCrash(this.#below(1000))) : this.#disk.fork();
    this.#disk.kill();
    this.#disk = after;
    await this.#open();
    await this.#observe();
    // What was under way may have come to some of them.
    this.#tally.halves += isBusy ? 1 : 0;
  }

  /** Everything is where it must be. */
  async #observe(): Promise<void> {
    const seen = new Map<number, { readonly queue: string; readonly record: QueueRecord }>();
    for (const name of QUEUES) {
      if (name !== 'wal' && !this.#store.queueNames().includes(name)) continue;
      const queue = await this.#here(name);
      const read = async (): Promise<QueueRecord[]> => {
        const records: QueueRecord[] = [];
        for await (const record of queue.records()) records.push(record);
        return records;
      };
      for (const record of await this.#within(read(), 'reading')) {
        const number = Number(record.payload);
        const other = seen.get(number);
        if (other !== undefined) throw new BrokenPromise('P10', `<${number}> is in ${other.queue} and in ${name}`);
        seen.set(number, { queue: name, record });
      }
    }
    for (const token of this.#tokens) {
      const found = seen.get(token.number);
      const card = token.cards.find((one) => one?.at === found?.queue);
      if (found === undefined) {
        if (!token.cards.includes(undefined)) throw new BrokenPromise('P1', `<${token.number}> is lost`);
        token.cards = [undefined];
        continue;
      }
      if (card === undefined) {
        const meant = token.cards.map((one) => one?.at ?? 'nowhere').join(' or ');
        throw new BrokenPromise('P10', `<${token.number}> is in ${found.queue}, and should be in ${meant}`);
      }
      const { record } = found;
      token.id = record.id;
      token.cards = [card];
      const is = {
        attempts: record.attempts ?? 0,
        redrives: record.redrives ?? 0,
        reason: record.reason,
        code: record.error?.code,
        cameFrom: record.origin?.queue,
        header: record.headers?.['header'],
      };
      const { attempts, redrives, reason, code, cameFrom } = card;
      same(
        is,
        { attempts, redrives, reason, code, cameFrom, header: token.header },
        `<${token.number}> in ${card.at} has`,
      );
    }
  }

  #pass(ms: number): Promise<void> {
    return new Promise((resolve) => this.#disk.host.after(ms, resolve));
  }

  /** P14, with messages that come and go. */
  async #within<T>(call: Promise<T>, what: string): Promise<T> {
    let isOver = false;
    const ended = call.finally(() => {
      isOver = true;
    });
    ended.catch(() => undefined);
    for (let ms = 0; ms < WAIT_MS && !isOver; ms++) {
      await new Promise((resolve) => setImmediate(resolve));
      if (!isOver) await this.#pass(1);
    }
    if (!isOver) throw new BrokenPromise('P14', `${what} does not come to an end`);
    return ended;
  }
}

function isLive(queue: string): boolean {
  return LIVE.some((one) => one === queue);
}

function cardOf({ number, cards: [card] }: Token): Card {
  if (card === undefined) throw new Error(`<${number}> is gone`);
  return card;
}

function sorted(counts: Readonly<Record<string, number>>): string {
  return Object.entries(counts)
    .map(([queue, count]) => `${queue} ${count}`)
    .sort()
    .join();
}

function same(is: unknown, must: unknown, what: string): void {
  const [found, wanted] = [JSON.stringify(is), JSON.stringify(must)];
  if (found !== wanted) throw new BrokenPromise('letters', `${what} ${found}, not ${wanted}`);
}

/** Throws a `BrokenPromise` where one is. */
export async function runLetters(seed: number, tally: LettersTally = newLettersTally()): Promise<void> {
  await new LettersRun(seed, tally).run();
}
