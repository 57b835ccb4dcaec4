/**
 * Arguments as callers give them: what is no options object where options go, what no option is called, what comes after the last parameter. All of it
 * is a TypeError, before anything has been done: what would be dropped in silence was meant.
 */
import { describe } from './ids.js';

/** Names of options, in the order in which a message lists them. */
export type OptionNames = ReadonlySet<string>;

export function optionNames(...names: readonly string[]): OptionNames {
  return new Set(names);
}

/** Longest names that are compared letter by letter. */
const NAME_LENGTH_MAX = 40;

/**
 * Throws a TypeError unless `options` is undefined or an object that holds nothing but `known` options. `where` names the call or the option that it
 * belongs to. An object of a class may carry options if it has one of them itself.
 */
export function requireOptions(options: unknown, where: string, known: OptionNames): void {
  if (options === undefined) return;
  if (typeof options !== 'object' || options === null || Array.isArray(options) || ArrayBuffer.isView(options)) {
    throw new TypeError(`${where}: options must be an object, got ${describe(options)}`);
  }
  if (!isPlain(options) && ![...known].some((name) => Object.hasOwn(options, name))) {
    throw new TypeError(`${where}: options must be a plain object, got ${describe(options)}`);
  }
  for (const name of Object.keys(options)) {
    if (!known.has(name)) throw new TypeError(unknownOption(name, where, known));
  }
}

/** Throws a TypeError where there are more arguments than a call takes. */
export function requireNoMore(given: number, taken: number, where: string): void {
  if (given > taken) throw noMoreError(given, taken, where);
}

export function noMoreError(given: number, taken: number, where: string): TypeError {
  const most = taken === 0 ? 'no arguments' : taken === 1 ? 'at most 1 argument' : `at most ${taken} arguments`;
  return new TypeError(`${where} takes ${most}, got ${given}`);
}

/** Throws a TypeError unless `signal` is undefined or an AbortSignal, of whatever realm. */
export function requireSignal(signal: unknown, where: string): asserts signal is AbortSignal | undefined {
  if (signal === undefined) return;
  if (
    typeof signal === 'object' &&
    signal !== null &&
    'aborted' in signal &&
    typeof signal.aborted === 'boolean' &&
    'addEventListener' in signal &&
    typeof signal.addEventListener === 'function'
  ) {
    return;
  }
  const hint = typeof signal === 'object' && signal !== null && 'signal' in signal ? ' (its signal is meant)' : '';
  throw new TypeError(`${where}: signal must be an AbortSignal, got ${describe(signal)}${hint}`);
}

/** Throws a TypeError for a function that is none. */
export function requireFunction(value: unknown, name: string): void {
  if (value !== undefined && typeof value !== 'function') {
    throw new TypeError(`${name} must be a function, got ${describe(value)}`);
  }
}

/** Throws a TypeError unless both ports are there, as objects. What else the machine has is its own affair. */
export function requirePorts(ports: unknown): void {
  if (ports === undefined) return;
  if (typeof ports !== 'object' || ports === null)
    throw new TypeError(`ports must be an object, got ${describe(ports)}`);
  for (const [name, methods] of [
    ['vfs', VFS_METHODS],
    ['host', HOST_METHODS],
  ] as const) {
    const port: unknown = Reflect.get(ports, name);
    if (typeof port !== 'object' || port === null) {
      throw new TypeError(`ports.${name} must be an object, got ${describe(port)}`);
    }
    requireMethods(port, `ports.${name}`, methods);
  }
}

/** Throws a TypeError unless `vfs` is undefined or a file system. */
export function requireVfs(vfs: unknown): void {
  if (vfs === undefined) return;
  if (typeof vfs !== 'object' || vfs === null) throw new TypeError(`vfs must be an object, got ${describe(vfs)}`);
  requireMethods(vfs, 'vfs', VFS_METHODS);
}

const VFS_METHODS = ['list', 'stat', 'open'] as const;
const HOST_METHODS = ['now', 'elapsed', 'after', 'soon', 'yield', 'random'] as const;

/** Something else in the place of a port (a path, the other port) is told here, and not at the first call that it does not have. */
function requireMethods(port: object, name: string, methods: readonly string[]): void {
  for (const method of methods) {
    if (typeof Reflect.get(port, method) !== 'function') {
      throw new TypeError(`${name} must have a function ${method}, got ${describe(port)}`);
    }
  }
}

/** A lone surrogate: half of a character, which UTF-8 has no bytes for. */
const LONE_SURROGATE = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/;

/** Throws a TypeError for a text that would come back as another one. */
export function requireWellFormed(text: string, name: string): void {
  const found = LONE_SURROGATE.exec(text);
  if (found === null) return;
  throw new TypeError(
    `${name} holds half of a surrogate pair at index ${found.index}, which UTF-8 cannot say: pass bytes, or text.toWellFormed()`,
  );
}

/** Something to go through; a string is not meant. */
export function isIterable(value: unknown): value is Iterable<unknown> {
  return (
    typeof value === 'object' &&
    value !== null &&
    Symbol.iterator in value &&
    typeof value[Symbol.iterator] === 'function'
  );
}

/** Of any realm: its prototype is nothing, or the end of a chain. */
export function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || (typeof prototype === 'object' && Object.getPrototypeOf(prototype) === null);
}

function unknownOption(name: string, where: string, known: OptionNames): string {
  const shown = name.length > NAME_LENGTH_MAX ? `${name.slice(0, NAME_LENGTH_MAX)}…` : name;
  const nearest = nearestOf(name, known);
  const all = [...known].join(', ');
  if (known.size === 0) return `${where}: there is no option '${shown}'`;
  return `${where}: there is no option '${shown}'${nearest === undefined ? '' : `; did you mean '${nearest}'?`} (options: ${all})`;
}

/** The known name that differs in the fewest letters, if these are few. */
function nearestOf(name: string, known: OptionNames): string | undefined {
  if (name.length > NAME_LENGTH_MAX) return undefined;
  let nearest: string | undefined;
  let least = Math.max(2, Math.floor(name.length / 3)) + 1;
  for (const one of known) {
    const distance = distanceOf(name.toLowerCase(), one.toLowerCase());
    if (distance >= least) continue;
    least = distance;
    nearest = one;
  }
  return nearest;
}

/** Levenshtein distance. */
function distanceOf(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1;
      next.push(Math.min((next[j - 1] ?? 0) + 1, (row[j] ?? 0) + 1, (row[j - 1] ?? 0) + same));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
