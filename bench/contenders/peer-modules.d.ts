/**
 * As much of the peers' interfaces as is used here, so that the bench is type-checked where they are not installed.
 */
declare module 'lmdb' {
  export interface Database {
    put(key: number, value: Uint8Array): Promise<boolean>;
    remove(key: number): Promise<boolean>;
    batch(action: () => void): Promise<boolean>;
    get(key: number): Buffer | undefined;
    getRange(options: { start?: number; snapshot?: boolean }): Iterable<{ key: number; value: Buffer }>;
    readonly flushed: PromiseLike<unknown>;
    close(): Promise<void>;
  }
  export interface OpenOptions {
    path: string;
    encoding: 'binary';
    keyEncoding: 'uint32';
    noMemInit: boolean;
    noSync: boolean;
    overlappingSync: boolean;
  }
  export function open(options: OpenOptions): Database;
}

declare module 'classic-level' {
  export type Operation = { type: 'put'; key: Uint8Array; value: Uint8Array } | { type: 'del'; key: Uint8Array };
  export interface Iterator {
    nextv(size: number): Promise<[Uint8Array, Uint8Array][]>;
    close(): Promise<void>;
  }
  export class ClassicLevel {
    constructor(
      location: string,
      options: { keyEncoding: 'view'; valueEncoding: 'view'; compression: boolean; writeBufferSize?: number },
    );
    open(): Promise<void>;
    close(): Promise<void>;
    put(key: Uint8Array, value: Uint8Array, options: { sync: boolean }): Promise<void>;
    batch(operations: Operation[], options: { sync: boolean }): Promise<void>;
    iterator(options: { highWaterMarkBytes: number }): Iterator;
  }
}

declare module 'better-sqlite3' {
  export interface Statement {
    run(...parameters: unknown[]): unknown;
    iterate(...parameters: unknown[]): IterableIterator<{ id: number; payload: Buffer }>;
  }
  class Database {
    constructor(path: string);
    pragma(source: string): unknown;
    exec(source: string): unknown;
    prepare(source: string): Statement;
    transaction<A extends unknown[]>(body: (...args: A) => void): (...args: A) => void;
    close(): void;
  }
  export default Database;
}
