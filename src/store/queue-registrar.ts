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
   * Resolves when the entry is durable; does nothing if it is there, be it in one of its twins, as a fault has left it. Rejects with a system error, and
   * it may be tried again; where a sync failed the store has stopped.
   */
  enter(name: string): Promise<void> {
    if (this.has(name)) return Promise.resolve();
    return this.#inTurn(() => this.#enter(name));
  }

  /** Writes the second twin of the last entry, where a crash or a fault has kept it from the file. Resolves and rejects as `enter` does. */
  complete(): Promise<void> {
    return this.#inTurn(() => this.#complete());
  }

  #inTurn(write: () => Promise<void>): Promise<void> {
    const entering = this.#entering.then(write);
    this.#entering = entering.catch(() => undefined);
    return entering;
  }

  async #enter(name: string): Promise<void> {
    // Of the one before: it is an entry, and what is left of it behind another would pass for entries that are lost.
    await this.#complete();
    if (this.has(name)) return;
    const at = this.#end;
    const bytes = this.#encode(name, at);
    const firstBytes = twinBytes(name);
    // Where this fails the next one goes to the same place.
    await this.#write(bytes.subarray(0, firstBytes), at);
    this.#end += 2 * firstBytes;
    this.#names.add(name);
    this.#torn = { name, at };
    await this.#complete();
  }

  async #complete(): Promise<void> {
    const torn = this.#torn;
    if (torn === undefined) return;
    const { name, at } = torn;
    const firstBytes = twinBytes(name);
    await this.#write(this.#encode(name, at).subarray(firstBytes), at + firstBytes);
    this.#torn = undefined;
  }

  #encode(name: string, at: number): Buffer {
    const { host, identity } = this.#options;
    return encodeRegistration(name, fileSeed(identity.header), at, timeOf(host));
  }

  /** Durably: each twin is before the next one is begun. */
  async #write(bytes: Buffer, at: number): Promise<void> {
    const { vfs, path, failStop } = this.#options;
    const file = await vfs.open(`${path}/${STORE_FILE}`, 'write');
    try {
      await file.writeAt(bytes, 0, bytes.length, at);
      await syncFile(file);
    } catch (error) {
      if (error instanceof SyncFailure) throw failStop.fail(error, 'entering a queue into the register', error.path);
      throw error;
    } finally {
      await file.close().catch(() => undefined);
    }
  }
}
