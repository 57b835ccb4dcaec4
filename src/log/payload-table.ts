/**
 * How large the payloads of records are, by ID. Pages of neighbours whose payloads are all of one size take one number; others four bytes a record.
 *
 * Invariant: what was noted is known until its page is forgotten.
 */
const PAGE_IDS = 256;

export class PayloadTable {
  /** A number: all of the page are of that size. */
  readonly #pages = new Map<number, number | Uint32Array>();

  /** Pages that are kept, for tests of what they take. */
  get pages(): number {
    return this.#pages.size;
  }

  of(id: number): number {
    const number = Math.floor(id / PAGE_IDS);
    const page = this.#pages.get(number);
    if (page === undefined) return 0;
    return typeof page === 'number' ? page : (page[id - number * PAGE_IDS] ?? 0);
  }

  note(id: number, size: number): void {
    const number = Math.floor(id / PAGE_IDS);
    const page = this.#pages.get(number);
    if (page === undefined) {
      this.#pages.set(number, size);
    } else if (typeof page !== 'number') {
      page[id - number * PAGE_IDS] = size;
    } else if (page !== size) {
      const sizes = new Uint32Array(PAGE_IDS).fill(page);
      sizes[id - number * PAGE_IDS] = size;
      this.#pages.set(number, sizes);
    }
  }

  /** The sum of those from `first` to `last`. */
  sum(first: number, last: number): number {
    let sum = 0;
    for (let id = first; id <= last; ) {
      const number = Math.floor(id / PAGE_IDS);
      const end = Math.min(last, number * PAGE_IDS + PAGE_IDS - 1);
      const page = this.#pages.get(number);
      if (typeof page === 'number') sum += page * (end - id + 1);
      else if (page !== undefined) for (let at = id; at <= end; at++) sum += page[at - number * PAGE_IDS] ?? 0;
      id = end + 1;
    }
    return sum;
  }

  /** Forgets the pages from `first` to `last` of which `isNeeded` says no, asked with the first and the last ID of each. */
  forget(first: number, last: number, isNeeded: (first: number, last: number) => boolean): void {
    for (let number = Math.floor(first / PAGE_IDS); number * PAGE_IDS <= last; number++) {
      const from = number * PAGE_IDS;
      if (this.#pages.has(number) && !isNeeded(from, from + PAGE_IDS - 1)) this.#pages.delete(number);
    }
  }
}
