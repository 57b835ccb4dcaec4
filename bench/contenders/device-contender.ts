/**
 * The device: the same payload bytes and nothing else, by `write` (and `fdatasync`), through libuv's thread pool as all asynchronous
 * file access of Node. It is the bound that any log that uses these calls has; it keeps no IDs, no checksums and no order.
 */
import * as fs from 'node:fs';
import { join } from 'node:path';
import type { PayloadBatch } from '../harness/payloads.js';
import type { OpenContender, QueueDriver } from './contender.js';

const READ_BYTES = 1024 * 1024;

export const openDevice: OpenContender = async ({ dir, mode }) =>
  new DeviceDriver(join(dir, 'device'), mode === 'sync');

class DeviceDriver implements QueueDriver {
  readonly callersShareWrites = true;
  readonly #fd: number;
  readonly #sync: boolean;
  #end = 0;

  constructor(path: string, sync: boolean) {
    this.#fd = fs.openSync(path, 'w+');
    this.#sync = sync;
  }

  push(payload: Buffer): Promise<void> {
    return this.#append(payload);
  }

  pushMany({ bytes }: PayloadBatch): Promise<void> {
    return this.#append(bytes);
  }

  pushEach({ bytes }: PayloadBatch): Promise<void> {
    return this.#append(bytes);
  }

  turn({ bytes }: PayloadBatch): Promise<void> {
    return this.#append(bytes);
  }

  async remove(): Promise<void> {
    throw new Error('the device removes nothing');
  }

  async readAll(): Promise<{ records: number; bytes: number }> {
    // A new buffer for each read, as for anyone who hands the bytes on.
    for (let at = 0; ; ) {
      const read = await readAt(this.#fd, Buffer.allocUnsafeSlow(READ_BYTES), at);
      at += read;
      if (read === 0) return { records: 0, bytes: at };
    }
  }

  async close(): Promise<void> {
    fs.closeSync(this.#fd);
  }

  #append(bytes: Buffer): Promise<void> {
    const at = this.#end;
    this.#end += bytes.length;
    return new Promise((resolve, reject) => {
      fs.write(this.#fd, bytes, 0, bytes.length, at, (error, written) => {
        if (error !== null) return reject(error);
        if (written !== bytes.length) return reject(new Error('a short write'));
        if (!this.#sync) return resolve();
        fs.fdatasync(this.#fd, (failure) => (failure ? reject(failure) : resolve()));
      });
    });
  }
}

export function readAt(fd: number, target: Buffer, at: number): Promise<number> {
  return new Promise((resolve, reject) => {
    fs.read(fd, target, 0, target.length, at, (error, read) => (error ? reject(error) : resolve(read)));
  });
}
