/** Reading from a file of which a part may be in hand already: then nothing is copied. */
import type { VfsFile } from './vfs.js';

export interface HoldingSource extends Pick<VfsFile, 'readAt'> {
  /** Those bytes where they are in hand; they stay what they are until the source is done with. */
  held?(position: number, length: number): Buffer | undefined;
}

/** The `length` bytes at `position`, fewer at the end of the file. Not to be written to. */
export async function bytesAt(source: HoldingSource, position: number, length: number): Promise<Buffer> {
  const held = source.held?.(position, length);
  if (held !== undefined) return held;
  const bytes = Buffer.allocUnsafe(length);
  return bytes.subarray(0, await source.readAt(bytes, 0, length, position));
}
