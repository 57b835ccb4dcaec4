/**
 * Opening a store for writing: the composition root. Takes the lock, makes the store where there is none, stands on its ground, and hands its queues to
 * recovery (`store-recovery.ts`), which goes on in steps.
 */
import { throwIfAborted } from '../abortable.js';
import { allOver } from '../all-over.js';
import { isDeliveryFile } from '../delivery/delivery-log-name.js';
import { EvaqError, messageOf, reported } from '../errors.js';
import { FailStop } from '../fail-stop.js';
import { forgottenQueueError, listQueues, missingQueueError, missingQueues } from '../layout/queue-names.js';
import {
  createStore,
  DEAD_LETTERS_QUEUE,
  makeDirs,
  parentOf,
  QUEUES_DIR,
  queueDir,
  readStore,
  STORE_FILE,
  type StoreIdentity,
  WAL_QUEUE,
} from '../layout/store-file.js';
import { tellDamage } from '../log/damage-event.js';
import { mayMissQueues } from '../log/queue-evidence.js';
import { BudgetedVfs } from '../vfs/budgeted-vfs.js';
import type { VfsLock } from '../vfs/vfs.js';
import { GroundedVfs } from './grounded-vfs.js';
import type { OpenStoreOptions } from './open-options.js';
import { Store } from './store.js';
import { Ground } from './store-ground.js';
import { lockAlso, lockStore, releaseLock } from './store-lock.js';
import { StoreRecovery } from './store-recovery.js';

export async function openStore(options: OpenStoreOptions): Promise<Store> {
  const vfs = new BudgetedVfs(options.vfs, options.descriptorsMax);
  try {
    return await open({ ...options, vfs }, vfs);
  } catch (error) {
    vfs.leave();
    throw reported(error, `opening ${options.path}`, { path: options.path });
  }
}

async function open(options: OpenStoreOptions, vfs: BudgetedVfs): Promise<Store> {
  const { host, path, lockNote: note, lockTimeoutMs: timeoutMs, signal } = options;
  const started = host.elapsed();
  // Said before anything is made, so that a folder that is something else stays untouched.
  const before = await readStore(vfs, path);
  throwIfAborted(signal);
  if (before === undefined && !options.create) {
    throw new EvaqError('EVAQ_NOT_A_STORE', `there is no store at ${path}`, {
      details: { path },
      hint: 'Leave out create: false to make one.',
    });
  }
  if (before === undefined) await makeDirs(vfs, path);
  const lock = await lockStore(path, { vfs, host, note, timeoutMs, signal });
  let recovery: StoreRecovery | undefined;
  try {
    const identity = await identify(options, vfs, lock);
    await makeQueueDirs(options, vfs, identity);
    const failStop = new FailStop();
    const ground = standOn(options, vfs, lock, failStop);
    const grounded = { ...options, vfs: new GroundedVfs(vfs, host, ground) };
    recovery = new StoreRecovery(grounded, identity, failStop, ground);
    throwIfAborted(signal);
    await recovery.load();
    throwIfAborted(signal);
    recovery.refuseDamage();
    await recovery.mend();
    await recovery.apply();
    const report = recovery.report(before === undefined, host.elapsed() - started);
    const store = new Store({ options: grounded, recovery, report, lock, ground, descriptors: vfs });
    for (const damage of report.damage) tellDamage(host, store.storeId, damage);
    return store;
  } catch (error) {
    await recovery?.close();
    await releaseLock(path, lock).catch(() => undefined);
    throw error;
  }
}

/** Reads STORE, or makes it: under the lock. */
async function identify(
  { host, path, lockNote }: OpenStoreOptions,
  vfs: BudgetedVfs,
  lock: VfsLock,
): Promise<StoreIdentity> {
  const take = (file: string): void => lockAlso(path, file, lock, lockNote);
  const identity = (await readStore(vfs, path)) ?? (await createStore(vfs, host, path, take));
  // It may not have been there when LOCK was locked.
  take(`${path}/${STORE_FILE}`);
  return identity;
}

/** With `onCorruption: 'fail'` throws EVAQ_CORRUPT where one is missing that was entered, or may be. */
async function makeQueueDirs(options: OpenStoreOptions, vfs: BudgetedVfs, { register }: StoreIdentity): Promise<void> {
  const { path } = options;
  const missing = missingQueues(await listQueues(vfs, path), register.names);
  const [first] = missing;
  if (options.onCorruption === 'fail') {
    if (first !== undefined) throw missingQueueError(first, path);
    if (await mayMissQueues(vfs, path, register)) throw forgottenQueueError(path);
  }
  const queues = `${path}/${QUEUES_DIR}`;
  // What is there may have been made by a process that died before it could sync the name: a folder with queues and no STORE is no store.
  await makeDurable(vfs, [parentOf(path), path]);
  const isNew = await vfs.makeDir(queues);
  const names = new Set([WAL_QUEUE, DEAD_LETTERS_QUEUE, ...missing]);
  await allOver([...names].map((name) => vfs.makeDir(queueDir(path, name))));
  await makeDurable(vfs, isNew ? [path, queues] : [queues]);
}

function makeDurable(vfs: BudgetedVfs, dirs: readonly string[]): Promise<unknown> {
  return allOver(dirs.map((dir) => vfs.syncDir(dir)));
}

/** From here on what is opened is looked at: whether it is still there, and what was opened before. */
function standOn({ host, path }: OpenStoreOptions, vfs: BudgetedVfs, lock: VfsLock, failStop: FailStop): Ground {
  const ground = new Ground({ path, identities: vfs.identities, host, failStop });
  vfs.guard({
    check: (file) => ground.checkBlocking(file),
    replaced: (file, found) => ground.lost(file, found),
    // Losing a delivery log costs counts, and never the store.
    syncFailed: (cause, file) =>
      isDeliveryFile(file)
        ? new Error(`${file}: ${messageOf(cause)}`, { cause })
        : failStop.fail(cause, 'a sync', file),
  });
  ground.noteStore(lock);
  ground.checkBlocking(path);
  return ground;
}
