/** `evaq backup`: a consistent copy of a store that may be in use. `evaq restore`: a store out of such a copy. */
import { readdirSync, rmdirSync } from 'node:fs';
import { resolve } from 'node:path';
import { Command } from 'commander';
import { isNotFound } from '../errors.js';
import { isOfTheSystem } from '../layout/store-place.js';
import { storeUsage, verifyStore } from '../raw.js';
import { backupStore, type RestoreOptions, restoreStore } from '../store/backup.js';
import type { BackupReport } from '../store/store-backup.js';
import { formatAge } from './durations.js';
import { EXIT_CORRUPT, Refused, say } from './exit-code.js';
import { interruptible } from './interrupt.js';
import { Output } from './output.js';
import { progressBar } from './progress-bar.js';
import { formatBytes, formatCount, isoTime } from './record-format.js';

export function backupCommand(): Command {
  return new Command('backup')
    .argument('<dir>', 'the store')
    .argument('<to>', 'a folder that is not there yet, or empty; it is a store then')
    .option('--copy', 'share no file with the store: on another disk that is so anyway', false)
    .option('--json', 'as JSON', false)
    .addHelpText(
      'after',
      '\nTakes no lock, and changes nothing in the store. Segments that do not change any more get one more name (a hard\nlink) where <to> is on the same file system; with --copy, or elsewhere, they are copied. What is remembered of\nattempts at delivery is not in it.\n\nExamples:\n  evaq backup ./orders /mnt/backup/orders-2026-11-27\n  evaq backup ./orders ./orders.before-upgrade',
    )
    .action((dir: string, to: string, flags: { readonly copy: boolean; readonly json: boolean }) =>
      interruptible(async (signal) => {
        const report = await shown(resolve(dir), signal, (how) => backupStore(dir, to, { ...how, copy: flags.copy }));
        await print(flags.json ? toJson(report) : renderBackup(report));
      }),
    );
}

export function restoreCommand(): Command {
  return new Command('restore')
    .argument('<backup>', 'what evaq backup has made')
    .argument('<dir>', 'where the store is to be: a folder that is not there yet, or empty')
    .option('--yes', 'do it', false)
    .addHelpText(
      'after',
      '\nThe backup is verified, copied, and verified again; it stays as it is.\nExit codes: 0 done or said, 1 <dir> holds something, 3 the backup is damaged.\n\nExamples:\n  evaq restore /mnt/backup/orders-2026-11-27 ./orders\n  evaq restore /mnt/backup/orders-2026-11-27 ./orders --yes',
    )
    .action((backup: string, dir: string, { yes }: { readonly yes: boolean }) =>
      interruptible((signal) => restore(resolve(backup), resolve(dir), yes, signal)),
    );
}

async function restore(backup: string, dir: string, isMeant: boolean, signal: AbortSignal): Promise<void> {
  if (holdsSomething(dir))
    throw new Refused(`${dir} holds something: name a folder that is not there yet, or an empty one`);
  const { damage, queues } = await verifyStore(backup, { signal });
  if (damage.length > 0) {
    say(
      `${backup} is damaged in ${formatCount(damage.length, 'place')}: evaq verify tells where. Nothing was restored.`,
    );
    process.exitCode = EXIT_CORRUPT;
    return;
  }
  if (!isMeant) {
    const usage = await storeUsage(backup, { sample: false, signal });
    const times = usage.queues.flatMap(({ segments }) => segments.map(({ toMs }) => toMs ?? 0));
    const newestMs = Math.max(0, ...times);
    await print(
      [
        `backup     ${backup}: ${formatBytes(usage.total.bytes)}, intact`,
        ...queues
          .filter(({ records }) => records > 0)
          .map(({ queue, live }) => `           ${queue}: ${formatCount(live, 'record')}`),
        newestMs === 0
          ? 'newest     it holds no record'
          : `newest     pushed ${formatAge(newestMs, Date.now())}, ${isoTime(newestMs)}`,
        `to         ${dir}`,
        'then       what was pushed after the backup is not there; new IDs begin far behind all that can have been',
        '           given out, so that no new record has the delivery ID of a lost one;',
        '           what was removed after the backup is there again, and is delivered again;',
        '           attempts at delivery are counted anew. The backup stays as it is.',
      ].join('\n'),
    );
    say('nothing was changed; --yes does it');
    return;
  }
  const report = await shown(backup, signal, (how) => restoreStore(backup, dir, how));
  await print(renderBackup(report).replace(/^backup {2}/, 'restored'));
}

function holdsSomething(dir: string): boolean {
  try {
    return readdirSync(dir).some((name) => !isOfTheSystem(name));
  } catch (error) {
    if (isNotFound(error)) return false;
    throw error;
  }
}

/** Copies, with a bar on a terminal; the folders that were made for a copy that fails go with it. */
async function shown(
  from: string,
  signal: AbortSignal,
  copy: (how: RestoreOptions) => Promise<BackupReport>,
): Promise<BackupReport> {
  const { total } = await storeUsage(from, { sample: false, signal });
  const folders: string[] = [];
  const bar = await progressBar('[{bar}] {percentage}% | {eta_formatted} left');
  bar?.start(total.bytes, 0);
  try {
    return await copy({
      signal,
      onFolder: (path) => folders.push(path),
      onProgress: ({ bytes }) => bar?.update(Math.min(bytes, total.bytes)),
    });
  } catch (error) {
    for (const folder of folders.reverse()) removeIfEmpty(folder);
    throw error;
  } finally {
    bar?.stop();
  }
}

/** What is in it by now, or what came in its place, is somebody else's. */
function removeIfEmpty(folder: string): void {
  try {
    rmdirSync(folder);
  } catch {
    // It is left.
  }
}

async function print(text: string): Promise<void> {
  const out = new Output();
  await out.line(text);
  await out.flush();
}

/** Version 1 of this layout. */
function toJson({ atMs, ...report }: BackupReport): string {
  return JSON.stringify({ v: 1, at: isoTime(atMs), ...report }, null, 2);
}

function renderBackup({
  path,
  atMs,
  queues,
  linkedFiles,
  linkedBytes,
  copiedFiles,
  copiedBytes,
}: BackupReport): string {
  const live = queues.reduce((sum, queue) => sum + queue.live, 0);
  const parts = [`${formatCount(copiedFiles, 'file')} copied (${formatBytes(copiedBytes)})`];
  if (linkedFiles > 0)
    parts.unshift(`${formatCount(linkedFiles, 'file')} shared with the store (${formatBytes(linkedBytes)})`);
  return [
    `backup     ${path}: ${formatCount(live, 'live record')} in ${formatCount(queues.length, 'queue')}, as of ${isoTime(atMs)}`,
    `files      ${parts.join(', ')}`,
    'verified   every byte; it can be opened, read and restored',
  ].join('\n');
}
