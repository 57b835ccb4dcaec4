// The options of a script: each says what it is, and what it is where it is not given. What is none of them ends the process with 2, and the usage.
import { parseArgs } from 'node:util';

/** A whole number above 0. */
export const count = (byDefault) => number(byDefault, (value) => Number.isSafeInteger(value) && value > 0);
/** A whole number. */
export const whole = (byDefault) => number(byDefault, Number.isSafeInteger);
/** Any number above 0. */
export const positive = (byDefault) => number(byDefault, (value) => value > 0);
/** A whole number from 0 up. */
export const wholeFromZero = (byDefault) => number(byDefault, (value) => Number.isSafeInteger(value) && value >= 0);
export const text = (byDefault) => ({ type: 'string', byDefault, take: (given) => given });
/** There or not. */
export const flag = () => ({ type: 'boolean', byDefault: false, take: (given) => given });

function number(byDefault, isOne) {
  const take = (given, name) => {
    const value = given.trim() === '' ? Number.NaN : Number(given);
    if (!isOne(value)) throw new RangeError(`--${name} cannot be '${given}'`);
    return value;
  };
  return { type: 'string', byDefault, take };
}

/** `usage`: what stands behind `npm run`. With `positionals` the result has those that are given, too. */
export function scriptOptions(usage, options, { positionals = false } = {}) {
  try {
    const given = parseArgs({
      allowPositionals: positionals,
      options: Object.fromEntries(Object.entries(options).map(([name, { type }]) => [name, { type }])),
    });
    const taken = Object.entries(options).map(([name, { byDefault, take }]) => {
      const value = given.values[name];
      return [name, value === undefined ? byDefault : take(value, name)];
    });
    return { ...Object.fromEntries(taken), ...(positionals ? { positionals: given.positionals } : {}) };
  } catch (error) {
    console.error(`${error.message}\nusage: npm run ${usage}`);
    process.exit(2);
  }
}
