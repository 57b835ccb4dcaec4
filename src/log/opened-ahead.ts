/**
 * Files that are read one after the other are opened a few ahead, each with its first and last KiB in hand already: opening a store then waits
 * for the slowest file and not for the sum of all. A small file, as there are many where there are many queues, is read in one go. Where the
 * thread may block for as long (`blocking-looks.ts`) the ends are read at once, and the file is opened only if there is more to read.
 */
import type { HoldingSource } from '../vfs/held-bytes.js';
import type { VfsEnds, VfsFile } from '../vfs/vfs.js';

/** What the header and link of a segment, and most footers, fit into. */
const END_BYTES = 4096;
/** Where there are less, that is all there is: nobody has to ask how long the file is. */
const FRONT_BYTES: number = 2 * END_BYTES;
const AHEAD_MAX = 8;
const NOTHING = Buffer.alloc(0);

/** How the ends of files are read in the calling thread; see `BlockingLooks`. */
export interface EndsLook {
  /** At the moment. */
  readonly mayLook: boolean;
  /** Undefined: it has to be opened. */
  ends(path: string, head: Uint8Array, tail: Uint8Array): VfsEnds | undefined;
  /** Lets the event loop turn if it is time. */
  turn(): Promise<void>;
}

/** The part of a file that loading needs. */
export interface LoadedFile extends Pick<VfsFile, 'size'>, HoldingSource {}

/** The file was there when its ends were read, and is not any more. */
export class FileVanished extends Error {}

type Opener = () => Promise<VfsFile | undefined>;

/** Valid until the next file is asked for. */
class FileWithEnds implements LoadedFile {
  readonly #ends: VfsEnds;
  readonly #head: Buffer;
  readonly #tail: Buffer;
  readonly #open: Opener;
  #file: Promise<VfsFile | undefined> | undefined;

  /** `open` is called when more is asked for than the ends. */
  constructor(ends: VfsEnds, head: Buffer, tail: Buffer, open: Opener) {
    this.#ends = ends;
    this.#head = head;
    this.#tail = tail;
    this.#open = open;
  }

  /** Closes the file where it fails. */
  static async read(file: VfsFile): Promise<FileWithEnds> {
    const head = Buffer.allocUnsafe(FRONT_BYTES);
    const ends = { size: 0, head: 0, tail: 0 };
    let tail = NOTHING;
    try {
      ends.head = await file.readAt(head, 0, FRONT_BYTES, 0);
      ends.size = ends.head < FRONT_BYTES ? ends.head : await file.size();
      if (ends.head === FRONT_BYTES) {
        tail = Buffer.allocUnsafe(END_BYTES);
        ends.tail = await file.readAt(tail, 0, END_BYTES, tailAt(ends.size));
      }
    } catch (error) {
      await closeQuietly(file);
      throw error;
    }
    const loaded = new FileWithEnds(ends, head, tail, () => Promise.resolve(file));
    loaded.#file = loaded.#open();
    return loaded;
  }

  size(): Promise<number> {
    return Promise.resolve(this.#ends.size);
  }

  held(position: number, length: number): Buffer | undefined {
    const end = position + length;
    const { size, head, tail } = this.#ends;
    if (end <= head) return this.#head.subarray(position, end);
    const tailFrom = tailAt(size);
    // Who writes may have cut it meanwhile.
    if (position >= tailFrom && end <= tailFrom + tail) return this.#tail.subarray(position - tailFrom, end - tailFrom);
    return undefined;
  }

  async readAt(target: Uint8Array, offset: number, length: number, position: number): Promise<number> {
    const held = this.held(position, length);
    if (held !== undefined) {
      target.set(held, offset);
      return length;
    }
    this.#file ??= this.#open();
    const file = await this.#file;
    if (file === undefined) throw new FileVanished('a file is gone whose ends have been read');
    return file.readAt(target, offset, length, position);
  }

  async close(): Promise<void> {
    const file = await this.#file?.catch(() => undefined);
    if (file !== undefined) await closeQuietly(file);
  }
}

function tailAt(size: number): number {
  return Math.max(0, size - END_BYTES);
}

/**
 * The files at `paths` in turn, opened by `open`; `undefined` where that resolves with nothing. Each is closed when the next is asked for. A
 * failure shows in its file's turn, and one that is gone only when more of it is read than its ends with FileVanished. The first is read alone:
 * beside a writer it may speak of what the others hold by then. `look`: how ends are read in the calling thread; without it none are.
 */
export async function* openedAhead(
  paths: readonly string[],
  open: (path: string) => Promise<VfsFile | undefined>,
  look?: EndsLook,
): AsyncGenerator<LoadedFile | undefined, void, undefined> {
  const openings: Promise<FileWithEnds | undefined>[] = [];
  const closings: Promise<void>[] = [];
  // Used again for each: thousands of them would be collected as garbage.
  const head = look === undefined ? NOTHING : Buffer.allocUnsafe(FRONT_BYTES);
  const tail = look === undefined ? NOTHING : Buffer.allocUnsafe(END_BYTES);
  let looked: FileWithEnds | undefined;
  let started = 0;
  try {
    for (let i = 0; i < paths.length; i++) {
      const path = paths[i] ?? '';
      if (openings.length === 0 && look?.mayLook === true) {
        const ends = look.ends(path, head, tail);
        if (ends !== undefined) {
          started = i + 1;
          looked = new FileWithEnds(ends, head, tail, () => open(path));
          yield looked;
          await looked.close();
          looked = undefined;
          await look.turn();
          continue;
        }
      }
      const wanted = i === 0 ? 1 : Math.min(paths.length, i + AHEAD_MAX);
      for (; started < wanted && (started === i || look?.mayLook !== true); started++) {
        const opening = openOne(paths[started] ?? '', open);
        // It is awaited in its turn, or never.
        opening.catch(() => undefined);
        openings.push(opening);
      }
      const opening = await openings[0];
      yield opening;
      void openings.shift();
      if (opening !== undefined) closings.push(opening.close());
    }
  } finally {
    if (looked !== undefined) closings.push(looked.close());
    for (const opening of openings) {
      const left = await opening.catch(() => undefined);
      if (left !== undefined) closings.push(left.close());
    }
    await Promise.all(closings);
  }
}

async function openOne(
  path: string,
  open: (path: string) => Promise<VfsFile | undefined>,
): Promise<FileWithEnds | undefined> {
  const file = await open(path);
  return file === undefined ? undefined : FileWithEnds.read(file);
}

/** A descriptor that was only read from has nothing to report at its close. */
async function closeQuietly(file: VfsFile): Promise<void> {
  await file.close().catch(() => undefined);
}
