/**
 * What stands behind the `?` of a URL of ours, checked: a name that is none of the destination's, or is there twice, is a usage error, and so is a value
 * that cannot be.
 */
import { assert } from '../../assert.js';
import { UsageError } from '../exit-code.js';

export class UrlOptions {
  readonly #flag: string;
  readonly #names: readonly string[];
  readonly #values: URLSearchParams;

  /** `flag` is what the URL was given by, for messages. @throws UsageError for a name that is not among `names` */
  constructor(flag: string, url: URL, names: readonly string[]) {
    this.#flag = flag;
    this.#names = names;
    this.#values = url.searchParams;
    for (const name of this.#values.keys()) {
      if (!names.includes(name)) {
        const known = names.length === 0 ? 'it has none' : `it has ${names.join(', ')}`;
        throw new UsageError(`${flag}: ${url.protocol}// has no option '${name}'; ${known}`);
      }
      if (this.#values.getAll(name).length > 1) throw new UsageError(`${flag}: ${name} is there twice`);
    }
  }

  text(name: string): string | undefined {
    assert(this.#names.includes(name), 'an option that is asked for is one that may be given');
    const value = this.#values.get(name);
    if (value === '') throw new UsageError(`${this.#flag}: ${name} is empty`);
    return value ?? undefined;
  }

  /** Default: the first. */
  choice<Value extends string>(name: string, values: readonly [Value, ...Value[]]): Value {
    const text = this.text(name) ?? values[0];
    const value = values.find((one) => one === text);
    if (value === undefined) {
      throw new UsageError(`${this.#flag}: ${name} must be ${values.join(' or ')}, got '${text}'`);
    }
    return value;
  }

  flag(name: string): boolean {
    return this.choice(name, ['false', 'true']) === 'true';
  }

  /** From 1 on. */
  count(name: string): number | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    const count = Number(text);
    if (!/^\d+$/.test(text) || !Number.isSafeInteger(count) || count === 0) {
      throw new UsageError(`${this.#flag}: ${name} must be a whole number, at least 1, got '${text}'`);
    }
    return count;
  }
}
