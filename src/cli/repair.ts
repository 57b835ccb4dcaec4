/** `evaq repair`: says what is damaged and what would be done about it; with --apply it does it. */
import { resolve } from 'node:path';
import { Command } from 'commander';
import { STORE_FILE } from '../layout/store-file.js';
import type { RepairAction, RepairPlan, RepairStep } from '../raw/repair-plan.js';
import { surveyRepair } from '../raw/repair-survey.js';
import { ownLockNote } from '../store/store-lock.js';
import { type RepairReport, repairStore } from '../store/store-repair.js';
import { timeOf } from '../vfs/host.js';
import { nodeVfsFor } from '../vfs/node-access.js';
import { nodeHost } from '../vfs/node-host.js';
import { EXIT_CORRUPT, say } from './exit-code.js';
import { describeRanges } from './id-ranges-text.js';
import { interruptible } from './interrupt.js';
import { Output } from './output.js';
import { formatCount } from './record-format.js';
import { renderAll } from './verify.js';

interface RepairFlags {
  readonly apply: boolean;
  readonly json: boolean;
}

const WORDS: Record<RepairAction, string> = {
  'rebuild-store': 'write it anew, with the UUID that the other files name',
  'mend-header': 'write the damaged copy of the header again',
  'rebuild-header': 'work the header out from the commits behind it, and write it',
  'set-aside': 'nothing in it can be read: move it to quarantine/',
  rewrite: 'write what is intact to a new segment, and move this one to quarantine/ if records are damaged',
  'renew-removals':
    'begin a new one with the removals that are known, and move this one to quarantine/ if it is damaged',
  'renew-intake': 'begin a new one with what can be read, and move this one to quarantine/',
  'by-hand': 'cannot be repaired: move away the file that does not belong there, and look again',
  accept: 'what is missing is not to be had: go on without it',
};

export function repairCommand(): Command {
  return new Command('repair')
    .argument('<dir>', 'the store')
    .option('--apply', 'do it; the files that are changed are copied to .evaq-backup-<time>/ first', false)
    .option('--json', 'as JSON', false)
    .addHelpText(
      'after',
      '\nWithout --apply nothing is changed and no lock is taken.\nExit codes: 0 intact or repaired, 3 damaged and not (wholly) repaired, 5 it is to be mended, and\nopen for writing elsewhere.\n\nExamples:\n  evaq repair ./orders\n  evaq repair ./orders --apply',
    )
    .action((dir: string, flags: RepairFlags) => interruptible((signal) => repair(dir, flags, signal)));
}

async function repair(dir: string, flags: RepairFlags, signal: AbortSignal): Promise<void> {
  const report = flags.apply ? await apply(dir, signal) : await preview(dir, signal);
  const out = new Output();
  await out.line(flags.json ? toJson(report) : render(report));
  await out.flush();
  if (report.left.length > 0) process.exitCode = EXIT_CORRUPT;
}

async function preview(dir: string, signal: AbortSignal): Promise<RepairReport> {
  const { plan } = await surveyRepair(dir, { signal });
  if (plan.steps.length > 0) say('nothing was changed; --apply does it');
  return { plan, applied: false, backup: undefined, left: plan.damage };
}

async function apply(dir: string, signal: AbortSignal): Promise<RepairReport> {
  return repairStore(dir, {
    vfs: await nodeVfsFor({ path: resolve(dir), mode: undefined, like: resolve(dir, STORE_FILE) }),
    host: nodeHost,
    lockNote: ownLockNote(timeOf(nodeHost)),
    signal,
  });
}

/** Version 1 of this layout. */
function toJson({ plan, applied, backup, left }: RepairReport): string {
  const { path, damage, steps, lost, removalsLost } = plan;
  const ranges = lost.map(({ queue, first, last }) => ({ queue, firstId: first, lastId: last }));
  return JSON.stringify({ v: 1, path, applied, backup, damage, steps, lost: ranges, removalsLost, left }, null, 2);
}

function render({ plan, applied, backup, left }: RepairReport): string {
  const { damage, steps, torn } = plan;
  if (steps.length === 0) {
    return torn === 0
      ? 'intact: nothing to do'
      : 'intact but for a torn end, which the next open cuts off: nothing to do';
  }
  const lines = [...renderAll(damage), ...steps.map(renderStep), ...losses(plan)];
  if (applied) {
    lines.push(`backup    ${backup}: the files that were changed, as they were`);
    lines.push(left.length === 0 ? 'repaired: verified, and intact' : 'still damaged:', ...renderAll(left));
  }
  return lines.join('\n');
}

function renderStep({ action, file }: RepairStep): string {
  return `repair    ${file}: ${WORDS[action]}`;
}

function losses({ damage, lost, removalsLost }: RepairPlan): string[] {
  const lines: string[] = [];
  for (const queue of new Set(lost.map((one) => one.queue))) {
    const ranges = lost.filter((one) => one.queue === queue);
    const count = ranges.reduce((sum, { first, last }) => sum + last - first + 1, 0);
    lines.push(`lost      queue '${queue}': ${formatCount(count, 'record')}: ${describeRanges(ranges)}`);
  }
  const isVague = damage.some(({ vague, lossless }) => vague === true && !lossless);
  if (isVague)
    lines.push(
      `lost      ${lines.length === 0 ? 'records, perhaps' : 'beside that others, perhaps'}: nothing tells which`,
    );
  if (lines.length === 0) lines.push('lost      no record');
  for (const queue of removalsLost)
    lines.push(`lost      queue '${queue}': removals; removed records may be there again`);
  return lines;
}
