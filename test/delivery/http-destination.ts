/**
 * A destination that fails in the ways that destinations do: it refuses, hangs, answers when nobody waits any more, hangs up, and is not there for a
 * while. What it took it remembers, also where the sender cannot know that.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import type { Prng } from '../../src/sim/sim-prng.js';

export interface Taken {
  readonly payload: string;
  readonly deliveryId: string;
  readonly attempt: number;
}

export class HttpDestination {
  /** In the order in which it took them, doubles too. */
  readonly taken: Taken[] = [];
  /** How often it did what. */
  readonly did = { took: 0, refused: 0, hung: 0, late: 0, 'hung up': 0, restarted: 0 };
  /** False: it takes everything. */
  fails = true;
  readonly #random: Prng;
  #server: Server | undefined;
  #port = 0;

  constructor(random: Prng) {
    this.#random = random;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}/`;
  }

  /** The second time at the port of the first. */
  async start(): Promise<void> {
    const server = createServer((request, response) => {
      this.#serve(request, response).catch(() => response.destroy());
    });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(this.#port, '127.0.0.1', resolve);
    });
    const address: AddressInfo | string | null = server.address();
    if (address === null || typeof address === 'string') throw new Error('no port');
    this.#port = address.port;
    this.#server = server;
  }

  /** Whoever is connected is cut off. */
  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (server === undefined) return;
    const closed = new Promise((resolve) => server.close(resolve));
    server.closeAllConnections();
    await closed;
  }

  async restart(): Promise<void> {
    this.did.restarted++;
    await this.stop();
    await this.start();
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const payload = await text(request);
    const { 'idempotency-key': deliveryId, 'x-attempt': attempt } = request.headers;
    const take = (): void => {
      this.taken.push({ payload, deliveryId: String(deliveryId), attempt: Number(attempt) });
    };
    const draw = this.fails ? this.#random.below(100) : 100;
    if (draw < 8) {
      this.did.refused++;
      response.writeHead(draw < 4 ? 500 : 503).end();
    } else if (draw < 10) {
      // Until the other side gives up.
      this.did.hung++;
    } else if (draw < 12) {
      // It took it, and says so when nobody waits any more.
      this.did.late++;
      take();
      request.socket.once('close', () => response.end());
    } else if (draw < 15) {
      this.did['hung up']++;
      if (draw < 14) take();
      request.socket.destroy();
    } else {
      this.did.took++;
      take();
      response.end();
    }
  }
}
