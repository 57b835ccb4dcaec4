/**
 * Cuts a stream of bytes into records at a separator byte. The last record needs no separator behind it; an empty one between
 * two separators is a record. Memory is bounded by the longest record that is allowed.
 */
import { EvaqError } from '../errors.js';

export class RecordSplitter {
  readonly #separator: number;
  readonly #bytesMax: number;
  #rest: Buffer[] = [];
  #restBytes = 0;

  constructor(separator: number, bytesMax: number) {
    this.#separator = separator;
    this.#bytesMax = bytesMax;
  }

  /** The records that end in `chunk`; views of it where they lie in it whole. Throws EVAQ_RECORD_TOO_LARGE. */
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
    if (this.#restBytes > this.#bytesMax) {
      throw new EvaqError('EVAQ_RECORD_TOO_LARGE', `a record of more than ${this.#bytesMax} bytes on standard input`, {
        details: { limit: this.#bytesMax },
        hint: 'Records end at a newline, or with --null at a NUL byte.',
      });
    }
    this.#rest.push(part);
  }
}
