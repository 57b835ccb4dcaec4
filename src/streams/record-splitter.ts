/**
 * Cuts a stream of bytes into records at a separator byte. The last record needs no separator behind it; an empty one between
 * two separators is a record. Memory is bounded by the longest record that is allowed.
 */
export class RecordSplitter {
  readonly #separator: number;
  readonly #bytesMax: number;
  readonly #tooLong: (bytesMax: number) => Error;
  #rest: Buffer[] = [];
  #restBytes = 0;

  /** `tooLong` makes the error for a record that is longer than `bytesMax`. */
  constructor(separator: number, bytesMax: number, tooLong: (bytesMax: number) => Error) {
    this.#separator = separator;
    this.#bytesMax = bytesMax;
    this.#tooLong = tooLong;
  }

  /** The records that end in `chunk`; views of it where they lie in it whole. Throws what `tooLong` makes. */
  *split(chunk: Buffer): Generator<Buffer> {
    let from = 0;
    for (let end = chunk.indexOf(this.#separator); end >= 0; end = chunk.indexOf(this.#separator, from)) {
      const part = chunk.subarray(from, end);
      from = end + 1;
      yield this.#rest.length === 0 ? part : this.#join(part);
    }
    if (from < chunk.length) this.#keep(chunk.subarray(from));
  }

  /** What is left at the end of the stream. */
  rest(): Buffer | undefined {
    return this.#rest.length === 0 ? undefined : this.#join(Buffer.alloc(0));
  }

  #join(part: Buffer): Buffer {
    const record = Buffer.concat([...this.#rest, part]);
    this.#rest = [];
    this.#restBytes = 0;
    return record;
  }

  #keep(part: Buffer): void {
    this.#restBytes += part.length;
    if (this.#restBytes > this.#bytesMax) throw this.#tooLong(this.#bytesMax);
    // Who wrote the chunk may use its memory again.
    this.#rest.push(Buffer.from(part));
  }
}
