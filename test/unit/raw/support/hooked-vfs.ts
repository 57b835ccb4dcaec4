/**
 * The real file system, or another one, with a hook in front of every call of a reader: what a writer does in between happens exactly there.
 */

import type { Host } from '../../../../src/vfs/host.js';
import { nodeHost } from '../../../../src/vfs/node-host.js';
import { nodeVfs } from '../../../../src/vfs/node-vfs.js';
import type { Vfs, VfsFile } from '../../../../src/vfs/vfs.js';

export interface HookedCall {
  readonly name: string;
  readonly path: string;
}

export class Hooks {
  readonly #base: Vfs;
  readonly #host: Host;
  /** Every call so far. */
  readonly calls: HookedCall[] = [];
  #planned: { readonly matches: (call: HookedCall) => boolean; readonly action: () => Promise<unknown> }[] = [];
  /** Called with what was read, which it may change. */
  spoil: ((call: HookedCall & { readonly position: number }, bytes: Uint8Array) => void) | undefined;

  constructor(base: Vfs = nodeVfs, host: Host = nodeHost) {
    this.#base = base;
    this.#host = host;
  }

  /** Runs `action` once, in front of the first call that matches. */
  before(matches: (call: HookedCall) => boolean, action: () => Promise<unknown>): void {
    this.#planned.push({ matches, action });
  }

  /** Nothing planned is left over. */
  get allRan(): boolean {
    return this.#planned.length === 0;
  }

  async pass(name: string, path: string): Promise<void> {
    const call = { name, path };
    this.calls.push(call);
    const due = this.#planned.filter((one) => one.matches(call));
    this.#planned = this.#planned.filter((one) => !due.includes(one));
    for (const { action } of due) await action();
  }

  get ports(): { readonly vfs: Vfs; readonly host: Host } {
    const file = (inner: VfsFile): VfsFile => {
      const { path } = inner;
      const hooked = <T>(name: string, run: () => Promise<T>): Promise<T> => this.pass(name, path).then(run);
      return {
        path,
        size: () => hooked('size', () => inner.size()),
        readAt: async (target, offset, length, position) => {
          const read = await hooked('readAt', () => inner.readAt(target, offset, length, position));
          this.spoil?.({ name: 'readAt', path, position }, target.subarray(offset, offset + read));
          return read;
        },
        writeAt: (...all) => hooked('writeAt', () => inner.writeAt(...all)),
        extend: (length) => hooked('extend', () => inner.extend(length)),
        sync: () => hooked('sync', () => inner.sync()),
        truncate: (size) => hooked('truncate', () => inner.truncate(size)),
        writeBlocking: (...all) => inner.writeBlocking(...all),
        truncateBlocking: (size) => inner.truncateBlocking(size),
        writeAndSyncBlocking: (chunks) => inner.writeAndSyncBlocking(chunks),
        close: () => hooked('close', () => inner.close()),
      };
    };
    const hooked = <T>(name: string, path: string, run: () => Promise<T>): Promise<T> =>
      this.pass(name, path).then(run);
    const base = this.#base;
    const vfs: Vfs = {
      list: (dir) => hooked('list', dir, () => base.list(dir)),
      stat: (path) => hooked('stat', path, () => base.stat(path)),
      makeDir: (dir) => hooked('makeDir', dir, () => base.makeDir(dir)),
      create: (path) => hooked('create', path, () => base.create(path)).then(file),
      open: (path, access) => hooked(`open for ${access}`, path, () => base.open(path, access)).then(file),
      rename: (from, to) => hooked('rename', from, () => base.rename(from, to)),
      remove: (path) => hooked('remove', path, () => base.remove(path)),
      syncDir: (dir) => hooked('syncDir', dir, () => base.syncDir(dir)),
      freeBytes: (path) => hooked('freeBytes', path, () => base.freeBytes(path)),
      lock: (path, note, also) => hooked('lock', path, () => base.lock(path, note, also)),
    };
    return { vfs, host: this.#host };
  }
}
