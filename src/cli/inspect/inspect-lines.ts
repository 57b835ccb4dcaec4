/**
 * The lines of `inspect`: for people one column under the other, for programs a line of JSON each.
 *
 *     offset  bytes  kind  check  and what it says
 */
import type { FileHeader, RawBad } from '../../raw.js';
import { describeRanges } from '../id-ranges-text.js';
import type { Output } from '../output.js';
import { isoTime } from '../record-format.js';

export interface InspectOptions {
  readonly json: boolean;
  /** Leaves out what is within commits: frames, ranges, and the entries of the index. */
  readonly commitsOnly: boolean;
  readonly signal: AbortSignal;
}

/** Something with a place in the file. */
export interface Place {
  readonly offset: number;
  readonly bytes: number;
}

type Told = Readonly<Record<string, unknown>>;

export class InspectLines {
  readonly #out: Output;
  readonly #json: boolean;

  constructor(out: Output, { json }: InspectOptions) {
    this.#out = out;
    this.#json = json;
  }

  /** What the file is. To be awaited where it returns something, as all of them. */
  file(path: string, bytes: number, what: string): Promise<void> | undefined {
    if (this.#json) return this.#out.line(JSON.stringify({ v: 1, kind: 'file', path, bytes, what }));
    return this.#out.line(`${path}: ${what}, ${bytes} bytes\n  offset     bytes  kind      check`);
  }

  header(
    { flags, storeUuid, fileId, baseId, idHighWater, createdMs, queueMark }: FileHeader,
    damaged: boolean,
  ): Promise<void> | undefined {
    const store = storeUuid.toString('hex');
    const created = isoTime(createdMs);
    const told = { fileId, baseId, idHighWater, flags, queueMark, store, created };
    return this.place({ offset: 0, bytes: 128 }, 'header', damaged ? 'one copy bad' : 'ok', told);
  }

  /** `check`: whether the checksum holds. */
  place({ offset, bytes }: Place, kind: string, check: string, told: Told, indent = 0): Promise<void> | undefined {
    if (this.#json) return this.#out.line(JSON.stringify({ kind, offset, bytes, check, ...told }));
    const head = `${String(offset).padStart(8)} ${String(bytes).padStart(9)}  ${' '.repeat(indent)}${kind.padEnd(9 - indent)} ${check.padEnd(5)}`;
    const texts = Object.entries(told).flatMap(([name, value]) =>
      value === undefined ? [] : [`${name} ${textOf(value)}`],
    );
    return this.#out.line(`${head} ${texts.join(', ')}`.trimEnd());
  }

  bad(bad: RawBad, isTail: boolean): Promise<void> | undefined {
    const { headerIntact, firstId, count, allZero } = bad;
    const what = allZero
      ? 'zeros'
      : headerIntact
        ? 'the body of a commit'
        : isTail
          ? 'torn, or leftovers'
          : 'no frames';
    return this.place(bad, isTail ? 'end' : 'bad', isTail ? '-' : 'BAD', { what, firstId, count });
  }
}

function textOf(value: unknown): string {
  if (Array.isArray(value)) return value.length === 0 ? 'none' : describeRanges(value);
  return typeof value === 'string' ? value : JSON.stringify(value);
}
