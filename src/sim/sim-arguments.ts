/**
 * What callers give a simulated disk, looked at before anything is done: a rule with a misspelt field would hit nothing, and a test that it was written
 * for would pass.
 */
import { optionNames, requireFunction, requireOptions } from '../arguments.js';
import { describe, requireCount } from '../ids.js';
import type { SimCallName } from './sim-call.js';
import type { CrashChoice } from './sim-crash.js';
import type { Damage } from './sim-damage.js';
import { isSimErrorName } from './sim-error.js';

/** Those of `SimDisk` that are not its seed. */
export const DISK_OPTION_NAMES = [
  'sectorBytes',
  'names',
  'fill',
  'overwrite',
  'timing',
  'capacityBytes',
  'epochMs',
] as const;

const DISK_NAMES = optionNames('seed', ...DISK_OPTION_NAMES);
const STATES_NAMES = optionNames('exhaustiveMax', 'draws', 'seed');
const FAULT_NAMES = optionNames('on', 'path', 'nth', 'times', 'error', 'afterBytes', 'alsoDone', 'flip');

const CALLS: Readonly<Record<SimCallName, true>> = {
  list: true,
  stat: true,
  identity: true,
  makeDir: true,
  create: true,
  open: true,
  rename: true,
  remove: true,
  syncDir: true,
  freeBytes: true,
  lock: true,
  release: true,
  size: true,
  read: true,
  write: true,
  extend: true,
  sync: true,
  truncate: true,
  writeAndSyncBlocking: true,
  writeBlocking: true,
  truncateBlocking: true,
  close: true,
};

/** Which fields each kind of damage has beside the path. */
const DAMAGES: Readonly<Record<Damage['kind'], readonly string[]>> = {
  flip: ['offset', 'bit'],
  zero: ['offset', 'length'],
  noise: ['offset', 'length'],
  unreadable: ['offset', 'length'],
  stale: ['offset', 'length'],
  misdirect: ['offset', 'length', 'toOffset', 'toPath'],
  truncate: ['size'],
  extend: ['size', 'fill'],
  remove: [],
  empty: [],
  swap: ['with'],
};

function requireObject(value: unknown, where: string): asserts value is object {
  if (typeof value !== 'object' || value === null) {
    throw new TypeError(`${where}: options must be an object, got ${describe(value)}`);
  }
}

export function requireDiskOptions(options: unknown): void {
  requireObject(options, 'SimDisk');
  requireOptions(options, 'SimDisk', DISK_NAMES);
  requireSeed(Reflect.get(options, 'seed'));
  requireOneOf(options, 'names', ['ordered', 'adversarial']);
  requireOneOf(options, 'fill', ['zeros', 'noise', 'stale', 'any']);
  requireOneOf(options, 'overwrite', ['safe', 'noise']);
  requireOneOf(options, 'timing', ['wild', 'steady']);
  requireNumber(options, 'sectorBytes');
  requireNumber(options, 'epochMs');
  requireAmount(options, 'capacityBytes', 0);
}

export function requireStatesOptions(options: unknown, where: string): void {
  requireOptions(options, where, STATES_NAMES);
  if (options === undefined) return;
  requireObject(options, where);
  requireAmount(options, 'exhaustiveMax', 0);
  requireAmount(options, 'draws', 0);
  const seed: unknown = Reflect.get(options, 'seed');
  if (seed !== undefined) requireSeed(seed);
}

export function requireFault(rule: unknown): void {
  requireObject(rule, 'fault');
  requireOptions(rule, 'fault', FAULT_NAMES);
  const on: unknown = Reflect.get(rule, 'on');
  const calls: readonly unknown[] = Array.isArray(on) ? on : [on];
  if (calls.length === 0) throw new TypeError('on must name at least one call');
  for (const call of calls) {
    if (typeof call === 'string' && Object.hasOwn(CALLS, call)) continue;
    throw new TypeError(`on must name calls (${Object.keys(CALLS).join(', ')}), got ${describe(call)}`);
  }
  const path: unknown = Reflect.get(rule, 'path');
  if (path !== undefined && typeof path !== 'string' && !isExpression(path)) {
    throw new TypeError(`path must be a text or a regular expression, got ${describe(path)}`);
  }
  const error: unknown = Reflect.get(rule, 'error');
  if (error !== undefined && !isSimErrorName(error)) {
    throw new TypeError(`error must be the name of an error such as 'EIO', got ${describe(error)}`);
  }
  requireAmount(rule, 'nth', 1);
  requireAmount(rule, 'times', 1);
  requireAmount(rule, 'afterBytes', 0);
  for (const name of ['alsoDone', 'flip']) {
    const value: unknown = Reflect.get(rule, name);
    if (value !== undefined && typeof value !== 'boolean') {
      throw new TypeError(`${name} must be a boolean, got ${describe(value)}`);
    }
  }
}

export function requireDamage(damage: unknown): void {
  requireObject(damage, 'damage');
  const kind: unknown = Reflect.get(damage, 'kind');
  if (typeof kind !== 'string' || !isDamageKind(kind)) {
    throw new TypeError(`kind must be one of ${Object.keys(DAMAGES).join(', ')}, got ${describe(kind)}`);
  }
  requireOptions(damage, `damage '${kind}'`, optionNames('kind', 'path', ...DAMAGES[kind]));
  for (const name of ['path', ...(kind === 'swap' ? ['with'] : [])]) requirePath(Reflect.get(damage, name), name);
  for (const name of ['offset', 'length', 'toOffset', 'size']) {
    if (DAMAGES[kind].includes(name)) requireCount(Reflect.get(damage, name), name, 0);
  }
}

export function requireChoice(choice: unknown): asserts choice is CrashChoice {
  if (!Array.isArray(choice)) throw new TypeError(`choice must be an array of numbers, got ${describe(choice)}`);
  for (const one of choice) requireCount(one, 'choice', 0);
}

export function requireSeed(seed: unknown): asserts seed is number {
  if (typeof seed !== 'number') throw new TypeError(`seed must be a number, got ${describe(seed)}`);
  if (!Number.isInteger(seed)) throw new RangeError(`seed must be a whole number, got ${seed}`);
}

export function requirePath(path: unknown, name = 'path'): asserts path is string {
  if (typeof path !== 'string' || path === '') {
    throw new TypeError(`${name} must be a non-empty string, got ${describe(path)}`);
  }
}

export function requireObserver(observer: unknown): void {
  if (observer === undefined) throw new TypeError('observer must be a function, got undefined');
  requireFunction(observer, 'observer');
}

/** A number of things, or no bound. */
export function requireAmount(options: object, name: string, min: number): void {
  const value: unknown = Reflect.get(options, name);
  if (value !== undefined && value !== Infinity) requireCount(value, name, min);
}

function requireNumber(options: object, name: string): void {
  const value: unknown = Reflect.get(options, name);
  if (value !== undefined && typeof value !== 'number') {
    throw new TypeError(`${name} must be a number, got ${describe(value)}`);
  }
}

function requireOneOf(options: object, name: string, allowed: readonly string[]): void {
  const value: unknown = Reflect.get(options, name);
  if (value === undefined || (typeof value === 'string' && allowed.includes(value))) return;
  throw new TypeError(`${name} must be '${allowed.join("' or '")}', got ${describe(value)}`);
}

function isDamageKind(kind: string): kind is Damage['kind'] {
  return Object.hasOwn(DAMAGES, kind);
}

/** Of any realm. */
function isExpression(value: unknown): boolean {
  return Object.prototype.toString.call(value) === '[object RegExp]';
}
