/** `evaq doctor`: whether this machine, and this place, can keep a store. */
import { existsSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { styleText } from 'node:util';
import { Command } from 'commander';
import { EvaqError, messageOf } from '../errors.js';
import { STORE_FILE } from '../layout/store-file.js';
import { lookAtFileSystem } from './doctor/file-system.js';
import type { Finding } from './doctor/finding.js';
import { lookAtMachine } from './doctor/machine.js';
import { probeSyncs } from './doctor/sync-probe.js';
import { EXIT_ERROR } from './exit-code.js';
import { gatherStore, type StoreInfo } from './info/store-info.js';
import { Output } from './output.js';
import { formatCount } from './record-format.js';

interface DoctorFlags {
  readonly write: boolean;
  readonly json: boolean;
}

export function doctorCommand(): Command {
  return new Command('doctor')
    .argument('[dir]', 'the store, or where one is to be; default: the current folder')
    .option('--no-write', 'do not measure how long a sync takes, which writes a file beside the store and removes it')
    .option('--json', 'as JSON', false)
    .addHelpText(
      'after',
      '\nTakes no lock. Exit codes: 0 a store can be kept here, though there may be warnings; 1 not, or not be relied on.\n\nExamples:\n  evaq doctor\n  evaq doctor /var/lib/orders --no-write',
    )
    .action(async (dir: string | undefined, { write, json }: DoctorFlags) => {
      const findings = await examine(resolve(dir ?? '.'), dir !== undefined, write);
      const out = new Output();
      await out.line(json ? JSON.stringify({ v: 1, findings }, null, 2) : findings.map(render).join('\n'));
      await out.flush();
      if (findings.some(({ verdict }) => verdict === 'fails')) process.exitCode = EXIT_ERROR;
    });
}

async function examine(dir: string, isNamed: boolean, writes: boolean): Promise<Finding[]> {
  const findings = lookAtMachine();
  let place = dir;
  while (!existsSync(place)) place = dirname(place);
  findings.push(...lookAtFileSystem(place));
  // Beside the store and not in it: what is in a store's folder is the store's.
  const isMeant = isNamed || existsSync(join(dir, STORE_FILE));
  const beside = isMeant && place === dir && dirname(dir) !== dir ? dirname(dir) : place;
  if (writes) findings.push(probeSyncs(isSameDisk(beside, place) ? beside : place));
  if (isMeant) findings.push(await lookAtStore(dir));
  return findings;
}

function isSameDisk(a: string, b: string): boolean {
  return statSync(a).dev === statSync(b).dev;
}

async function lookAtStore(dir: string): Promise<Finding> {
  const subject = 'store';
  let info: StoreInfo;
  try {
    info = await gatherStore(dir);
  } catch (error) {
    if (error instanceof EvaqError && error.code === 'EVAQ_NOT_A_STORE') {
      const isEmpty = /there is no store/.test(error.message);
      return isEmpty
        ? { subject, verdict: 'ok', says: 'there is none yet; one can be made' }
        : { subject, verdict: 'fails', says: error.message };
    }
    return { subject, verdict: 'fails', says: messageOf(error) };
  }
  return storeFinding(info);
}

function storeFinding({ state, queues, path }: StoreInfo): Finding {
  const subject = 'store';
  if (state.kind === 'broken') return { subject, verdict: 'fails', says: state.what, hint: `evaq repair ${path}` };
  const places = queues.reduce((sum, { damage }) => sum + damage.length, 0);
  const holder = state.kind === 'open' ? state.holder : undefined;
  const who =
    holder === undefined
      ? 'nobody has it open'
      : `open for writing by ${holder.pid === undefined ? 'another process' : `pid ${holder.pid}`}`;
  const says = `${formatCount(queues.length, 'queue')}, ${who}`;
  if (places > 0) {
    return {
      subject,
      verdict: 'fails',
      says: `${says}, damaged in ${formatCount(places, 'place')}`,
      hint: `evaq verify ${path}`,
    };
  }
  if (state.kind === 'unclean') {
    return { subject, verdict: 'ok', says: `${says}; its writer died, and the next one recovers it` };
  }
  return { subject, verdict: 'ok', says };
}

const MARKS = { ok: ['ok', 'green'], warns: ['warning', 'yellow'], fails: ['bad', 'red'] } as const;

function render({ subject, verdict, says, hint }: Finding): string {
  const [word, colour] = MARKS[verdict];
  const mark = styleText(colour, word.padEnd(9), { stream: process.stdout });
  const line = `${mark}${subject.padEnd(13)}${says}`;
  return hint === undefined ? line : `${line}\n${' '.repeat(22)}${hint}`;
}
