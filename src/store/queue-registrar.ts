/**
 * Enters queues into the register of an open store, one at a time. A queue is entered when its log of removals and its first segment are durable, and
 * before anybody can use it: from then on it is missed where it is not there.
 */
import { type FailStop, SyncFailure, syncFile } from '../fail-stop.js';
import { fileSeed } from '../frame/file-header.js';
import { encodeRegistration } from '../layout/queue-register.js';
import { STORE_FILE, type StoreIdentity } from '../layout/store-file.js';
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
  #end: number;
  #entering: Promise<void> = Promise.resolve();

  constructor(options: QueueRegistrarOptions) {
    this.#options = options;
    this.#names = new Set(options.identity.register.names);
    this.#end = options.identity.register.end;
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
    const entering = this.#entering.then(() => this.#enter(name));
    this.#entering = entering.catch(() => undefined);
    return entering;
  }

  async #enter(name: string): Promise<void> {
    const { vfs, host, path, failStop, identity } = this.#options;
    const file = await vfs.open(`${path}/${STORE_FILE}`, 'write');
    try {
      const bytes = encodeRegistration(name, fileSeed(identity.header), this.#end, timeOf(host));
      // Where this fails the next one goes to the same place.
      await file.writeAt(bytes, 0, bytes.length, this.#end);
      await syncFile(file);
      this.#end += bytes.length;
      this.#names.add(name);
    } catch (error) {
      if (error instanceof SyncFailure) throw failStop.fail(error, 'entering a queue into the register', error.path);
      throw error;
    } finally {
      await file.close().catch(() => undefined);
    }
  }
}
