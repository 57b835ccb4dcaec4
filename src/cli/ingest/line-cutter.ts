/**
 * Cuts what a file holds into lines. The bytes of a line are taken as they are. Of a line that is longer than a record may be, either pieces of that
 * length are records, or it is skipped; memory is bounded by that length.
 *
 * Invariant: `taken` bytes have been given out, or skipped; `pending` bytes behind them are kept. Begun again with what `inside` says at byte `taken`, a
 * cutter goes on as this one would.
 */

/** Within a line whose beginning was given out, or skipped; 'none': at the beginning of one. */
export type Inside = 'none' | 'split' | 'skip';

export class LineCutter {
  readonly #separator: number;
  readonly #bytesMax: number;
  readonly #long: 'split' | 'skip';
  #parts: Buffer[] = [];
  #pending = 0;
  #taken = 0;
  #inside: Inside;
  #longLines = 0;

  constructor(separator: number, bytesMax: number, long: 'split' | 'skip', inside: Inside = 'none') {
    this.#separator = separator;
    this.#bytesMax = bytesMax;
    this.#long = long;
    this.#inside = inside;
  }

  get taken(): number {
    return this.#taken;
  }

  get pending(): number {
    return this.#pending;
  }

  get inside(): Inside {
    return this.#inside;
  }

  /** Lines that were too long. */
  get longLines(): number {
    return this.#longLines;
  }

  /** The records that end in `chunk`: views of it where they lie in it whole. */
  cut(chunk: Buffer): Buffer[] {
    const records: Buffer[] = [];
    let from = 0;
    for (let end = chunk.indexOf(this.#separator); end >= 0; end = chunk.indexOf(this.#separator, from)) {
      this.#add(chunk.subarray(from, end), records);
      this.#end(records);
      from = end + 1;
    }
    this.#add(chunk.subarray(from), records);
    return records;
  }

  /** What is there of a line that will not be ended any more. */
  rest(): Buffer | undefined {
    const rest = this.#pending === 0 ? undefined : this.#take();
    this.#inside = 'none';
    return rest;
  }

  #add(part: Buffer, records: Buffer[]): void {
    let left = part;
    while (this.#inside === 'skip' || this.#pending + left.length > this.#bytesMax) {
      if (this.#inside === 'none') this.#longLines++;
      if (this.#long === 'skip' || this.#inside === 'skip') {
        this.#taken += this.#pending + left.length;
        this.#parts = [];
        this.#pending = 0;
        this.#inside = 'skip';
        return;
      }
      const room = this.#bytesMax - this.#pending;
      this.#keep(left.subarray(0, room));
      left = left.subarray(room);
      records.push(this.#take());
      this.#inside = 'split';
    }
    this.#keep(left);
  }

  /** At a separator. */
  #end(records: Buffer[]): void {
    // The pieces of a line end where it does.
    if (this.#inside === 'none' || this.#pending > 0) records.push(this.#take());
    this.#inside = 'none';
    this.#taken++;
  }

  #keep(part: Buffer): void {
    if (part.length === 0) return;
    this.#parts.push(part);
    this.#pending += part.length;
  }

  #take(): Buffer {
    const [first = Buffer.alloc(0), ...others] = this.#parts;
    const record = others.length === 0 ? first : Buffer.concat(this.#parts);
    this.#taken += this.#pending;
    this.#parts = [];
    this.#pending = 0;
    return record;
  }
}
