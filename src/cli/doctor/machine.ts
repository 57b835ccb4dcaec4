/** The machine and the process: what is the same for every store. */
import { readFileSync } from 'node:fs';
import packageJson from '../../../package.json' with { type: 'json' };
import { EvaqError, messageOf } from '../../errors.js';
import { loadNativeLocks } from '../../vfs/native-lock.js';
import type { Finding } from './finding.js';

export function lookAtMachine(): Finding[] {
  return [node(), locks(), descriptors()];
}

function node(): Finding {
  const needed = /\d+\.\d+/.exec(packageJson.engines.node)?.[0] ?? '';
  const says = `${process.version} on ${process.platform}-${process.arch}, evaq ${packageJson.version}`;
  if (isAtLeast(process.versions.node, needed)) return { subject: 'Node.js', verdict: 'ok', says };
  return { subject: 'Node.js', verdict: 'fails', says, hint: `evaq needs ${needed} or later.` };
}

export function isAtLeast(version: string, needed: string): boolean {
  const [have = [], want = []] = [version, needed].map((one) => one.split('.').map(Number));
  for (const [i, number] of want.entries()) {
    const own = have[i] ?? 0;
    if (own !== number) return own > number;
  }
  return true;
}

function locks(): Finding {
  const subject = 'locks';
  try {
    const { own, flock } = loadNativeLocks();
    const names = [own === undefined ? [] : 'fs-native-extensions', flock === undefined ? [] : 'fs-ext'].flat();
    const says = `by ${names.join(' and ')}`;
    if (own === undefined) {
      const hint = 'fs-native-extensions cannot be loaded: no store can be opened in a worker thread.';
      return { subject, verdict: 'warns', says, hint };
    }
    if (flock !== undefined || process.platform !== 'linux') return { subject, verdict: 'ok', says };
    return { subject, verdict: 'ok', says: `${says}; without fs-ext, which only scripts that use flock(1) notice` };
  } catch (error) {
    const hint = error instanceof EvaqError ? error.hint : undefined;
    return { subject, verdict: 'fails', says: messageOf(error), ...(hint === undefined ? {} : { hint }) };
  }
}

/** What evaq may have open, and some for the rest of a program. */
const DESCRIPTORS_WANTED = 512;

function descriptors(): Finding {
  const subject = 'descriptors';
  let text: string;
  try {
    text = readFileSync('/proc/self/limits', 'utf8');
  } catch {
    return { subject, verdict: 'ok', says: 'how many there may be is not told on this system' };
  }
  const soft = /^Max open files\s+(\S+)/m.exec(text)?.[1] ?? 'unlimited';
  const says = `${soft} may be open in a process; evaq takes 256 at most (descriptorsMax)`;
  if (!(Number(soft) < DESCRIPTORS_WANTED)) return { subject, verdict: 'ok', says };
  return { subject, verdict: 'warns', says, hint: 'Raise it (ulimit -n, LimitNOFILE=), or set descriptorsMax lower.' };
}
