/** Rules that make calls fail: which call, which error, how often, and what happened before it. */
import type { SimCall, SimCallName } from './sim-call.js';
import type { SimErrorName } from './sim-error.js';

export interface FaultRule {
  /**
   * The calls it hits. A blocking write matches 'write' for each of its chunks and 'sync' for its sync, and
   * in front of them 'open' where it has a descriptor of its own; a blocking cut matches 'truncate'. After a failed 'sync' the unsynced
   * sectors count as clean: no later sync makes them durable until they are written again.
   */
  readonly on: SimCallName | readonly SimCallName[];
  /** Hits paths that contain this text, or match the expression. Any path if not given. */
  readonly path?: string | RegExp;
  /** The first matching call that is hit, counted from 1 (the default) when the rule is made. */
  readonly nth?: number;
  /** How many matching calls in a row are hit: 1 if not given, Infinity for ever. */
  readonly times?: number;
  /** 'EIO' if not given. */
  readonly error?: SimErrorName;
  /** Of a write: how many bytes are written before it fails; drawn by chance if not given. */
  readonly afterBytes?: number;
  /** The call does what it should, and reports an error all the same. */
  readonly alsoDone?: boolean;
  /** Of a read: no error; one bit of what is read has flipped, for good. */
  readonly flip?: boolean;
}

/** Takes a rule back. */
export type CancelFault = () => void;

export class SimFaults {
  readonly #rules: { readonly rule: FaultRule; seen: number }[] = [];

  add(rule: FaultRule): CancelFault {
    const entry = { rule, seen: 0 };
    this.#rules.push(entry);
    return () => {
      const at = this.#rules.indexOf(entry);
      if (at >= 0) this.#rules.splice(at, 1);
    };
  }

  get isEmpty(): boolean {
    return this.#rules.length === 0;
  }

  /** The rule that `call` runs into. Every rule counts every call that it matches; the first one made wins. */
  hit(name: SimCallName, call: SimCall): FaultRule | undefined {
    let result: FaultRule | undefined;
    for (const entry of this.#rules) {
      const { on, path, nth = 1, times = 1 } = entry.rule;
      if (typeof on === 'string' ? on !== name : !on.includes(name)) continue;
      if (typeof path === 'string' ? !call.path.includes(path) : path !== undefined && !matches(path, call.path))
        continue;
      entry.seen++;
      if (entry.seen >= nth && entry.seen < nth + times) result ??= entry.rule;
    }
    return result;
  }
}

function matches(expression: RegExp, path: string): boolean {
  // `test` of a global expression would go on from the last match.
  return path.search(expression) >= 0;
}
