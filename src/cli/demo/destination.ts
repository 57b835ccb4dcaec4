/**
 * The destination of the drill, in a process of its own: a real HTTP server that takes batches of records, and behaves as badly as
 * real ones do. It fails whole requests, refuses single records for a while, is slow, answers when nobody waits any more, and now and
 * then is not there at all.
 */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { Prng } from '../../sim/sim-prng.js';
import { checksumOf } from './drill-input.js';
import { type FromDestination, isToDestination } from './drill-message.js';
import { joinDrill } from './drill-parent.js';

const PROGRESS_MS = 100;
const REPORT_LINES = 4096;
/** In parts of a hundred, of the requests. */
const FAILED_PERCENT = 4;
const SLOW_PERCENT = 3;
const TOO_LATE_PERCENT = 1;
/** Of a thousand lines so many are of customers that are not known yet. */
const UNKNOWN_PERMILLE = 15;
/** How often such a line is refused before the customer is known. */
const UNKNOWN_TIMES = 2;
const RELISTEN_MS = 50;

interface Accepted {
  times: number;
  readonly checksum: number;
}

/** Runs until the drill is gone. */
export async function runDestination(): Promise<void> {
  const say: (message: FromDestination) => void = joinDrill();
  const [start]: unknown[] = await once(process, 'message');
  if (!isToDestination(start) || start.kind !== 'start') throw new Error('the first message must say what to do');
  const destination = new Destination(start.seed, say);
  process.on('message', () => destination.report());
  await destination.run();
}

class Destination {
  readonly #random: Prng;
  readonly #say: (message: FromDestination) => void;
  readonly #accepted = new Map<number, Accepted>();
  /** Lines that were refused, and how often. */
  readonly #refused = new Map<number, number>();
  readonly #seed: number;
  #firstRequest: (() => void) | undefined;

  constructor(seed: number, say: (message: FromDestination) => void) {
    this.#seed = seed;
    this.#random = new Prng(seed);
    this.#say = say;
  }

  async run(): Promise<void> {
    const asked = new Promise<void>((resolve) => {
      this.#firstRequest = resolve;
    });
    let server = await this.#listen(0);
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('the server has no port');
    const { port } = address;
    this.#say({ kind: 'listening', port });
    setInterval(() => this.#say({ kind: 'progress', lines: this.#accepted.size }), PROGRESS_MS);
    await asked;
    for (;;) {
      await sleep(1_200 + this.#random.below(2_000));
      this.#say({ kind: 'down' });
      server.close();
      server.closeAllConnections();
      await sleep(500 + this.#random.below(700));
      server = await this.#listen(port);
      this.#say({ kind: 'up' });
    }
  }

  /** Says what was accepted, in parts. */
  report(): void {
    let entries: number[] = [];
    for (const [line, { times, checksum }] of this.#accepted) {
      entries.push(line, times, checksum);
      if (entries.length < 3 * REPORT_LINES) continue;
      this.#say({ kind: 'accepted', entries, isLast: false });
      entries = [];
    }
    this.#say({ kind: 'accepted', entries, isLast: true });
  }

  /** On that port, which somebody else may have for a moment. */
  async #listen(port: number): Promise<Server> {
    for (;;) {
      const server = createServer((request, response) => {
        this.#firstRequest?.();
        // The other side may go away at any time.
        this.#handle(request, response).catch(() => response.destroy());
      });
      server.listen(port, '127.0.0.1');
      try {
        await once(server, 'listening');
        return server;
      } catch (error) {
        if (port === 0) throw error;
        await sleep(RELISTEN_MS);
      }
    }
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const draw = this.#random.below(100);
    if (draw < FAILED_PERCENT) {
      response.writeHead(503).end('null');
      return;
    }
    const records: unknown = JSON.parse(Buffer.concat(chunks).toString());
    if (!Array.isArray(records)) {
      response.writeHead(400).end('null');
      return;
    }
    const statuses = records.map((record) => this.#take(record));
    if (draw < FAILED_PERCENT + SLOW_PERCENT) await sleep(100 + this.#random.below(200));
    // Accepted, and nobody will ever know: the sender has given up by then.
    else if (draw < FAILED_PERCENT + SLOW_PERCENT + TOO_LATE_PERCENT) await sleep(700);
    else await sleep(2 + this.#random.below(8));
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(statuses));
  }

  /** The status of one record. */
  #take(record: unknown): number {
    if (typeof record !== 'object' || record === null || !('line' in record) || !('text' in record)) return 400;
    const { line, text } = record;
    if (typeof line !== 'number' || typeof text !== 'string') return 400;
    const refused = this.#refused.get(line) ?? 0;
    if (refused < UNKNOWN_TIMES && this.#isOfUnknownCustomer(line)) {
      this.#refused.set(line, refused + 1);
      return 422;
    }
    const checksum = checksumOf(text);
    const accepted = this.#accepted.get(line);
    if (accepted === undefined) this.#accepted.set(line, { times: 1, checksum });
    // One line with two texts: whoever compares shall see it.
    else if (accepted.checksum !== checksum) this.#accepted.set(line, { times: accepted.times + 1, checksum: -1 });
    else accepted.times++;
    return 200;
  }

  #isOfUnknownCustomer(line: number): boolean {
    return new Prng(this.#seed + line).below(1000) < UNKNOWN_PERMILLE;
  }
}
