/**
 * Enters queues into the register of an open store, one at a time. A queue is entered when its log of removals and its first segment are durable, and
 * before anybody can use it: from then on it is missed where it is not there.
 */
import { type FailStop, SyncFailure, syncFile } from '../fail-stop.js';
import { fileSeed } from '../frame/file-header.js';
import { FIRST_RECORD_ID } from '../ids.js';
import { encodeRegistration, type QueueRegister, twinBytes } from '../layout/queue-register.js';
import { STORE_FILE, type StoreIdentity } from '../layout/store-file.js';
import { idFloor } from '../log/queue-evidence.js';
import { type Host, timeOf } from '../vfs/host.js';
import type { Vfs } from '../vfs/vfs.js';

export interface QueueRegistrarOptions {
  readonly vfs: Vfs;
  readonly host: Host;
  readonly path: string;
  readonly failStop: FailStop;
  readonly identity: StoreIdentity;
}

export class QueueRegistrar {
  readonly #options: QueueRegistrarOptions;
  readonly #names: Set<string>;
  #torn: QueueRegister['torn'];
  #end: number;
  #entering: Promise<void> = Promise.resolve();

  constructor(options: QueueRegistrarOptions) {
    this.#options = options;
    this.#names = new Set(options.identity.register.names);
    this.#torn = options.identity.register.torn;
    this.#end = options.identity.register.end;
  }

  /** The lowest ID that a queue which is made now may give out: it may be one that has been there, and of which nothing is known any more (P8). */
  get idFloor(): number {
    const { host, identity } = this.#options;
    return identity.register.hasForgotten ? idFloor(identity.createdMs, timeOf(host)) : FIRST_RECORD_ID;
  }

  has(name: string): boolean {
    return this.#names.has(name);
  }

  /**
   * Resolves when the entry is durable; does nothing if it is there. Rejects with a system error, and it may be tried again; where a sync failed the
   * store has stopped.
   */
  enter(name: string): Promise<void> {
    if (this.has(name)) return Promise.resolve();
    return this.#inTurn(() => this.#enter(name));
  }

  /** Writes the second twin of the last entry, where a crash has kept it from the file. Resolves and rejects as `enter` does. */
  complete(): Promise<void> {
    return this.#inTurn(() => this.#complete());
  }

  #inTurn(write: () => Promise<void>): Promise<void> {
    const entering = this.#entering.then(write);
    this.#entering = entering.catch(() => undefined);
    return entering;
  }

  async #enter(name: string): Promise<void> {
    const at = this.#end;
    // Where this fails the next one goes to the same place.
    await this.#write(name, at, 0);
    this.#end += 2 * twinBytes(name);
    this.#names.add(name);
  }

  async #complete(): Promise<void> {
    const torn = this.#torn;
    if (torn === undefined) return;
    await this.#write(torn.name, torn.at, twinBytes(torn.name));
    this.#torn = undefined;
  }

  /** Each twin is durable before the next one is begun. */
  async #write(name: string, at: number, from: number): Promise<void> {
    const { vfs, host, path, failStop, identity } = this.#options;
    const bytes = encodeRegistration(name, fileSeed(identity.header), at, timeOf(host));
    const file = await vfs.open(`${path}/${STORE_FILE}`, 'write');
    try {
      for (let begin = from; begin < bytes.length; ) {
        const end = begin === 0 ? twinBytes(name) : bytes.length;
        await file.writeAt(bytes, begin, end - begin, at + begin);
        await syncFile(file);
        begin = end;
      }
    } catch (error) {
      if (error instanceof SyncFailure) throw failStop.fail(error, 'entering a queue into the register', error.path);
      throw error;
    } finally {
      await file.close().catch(() => undefined);
    }
  }
}
