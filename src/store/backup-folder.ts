/**
 * The folder in which a backup is made: taken by one alone, for who makes `queues/` in it has it; and left as it was found where nothing comes of it, but
 * for folders that were made, of which the caller is told, since nothing here can remove folders.
 */
import { EvaqError, isNotFound } from '../errors.js';
import { LOCK_FILE, makeDirs, parentOf, QUEUES_DIR, STORE_FILE, STORE_FILE_UNFINISHED } from '../layout/store-file.js';
import { isOfTheSystem } from '../layout/store-place.js';
import type { Vfs } from '../vfs/vfs.js';

/**
 * Takes the folder `to`, which is made, or empty. `onFolder` is told of each that was made, before anything is in it.
 * @throws EVAQ_IO where it holds something, EVAQ_NOT_A_STORE for a link that leads nowhere; nothing was made in it then
 */
export async function takeFolder(vfs: Vfs, to: string, onFolder: (path: string) => void): Promise<void> {
  await makeDirs(vfs, parentOf(to));
  if (await vfs.makeDir(to)) onFolder(to);
  // Also where it was there: its name is to be durable, and it may be a link.
  await makeDirs(vfs, to);
  const other = (await vfs.list(to)).find(({ name }) => !isOfTheSystem(name))?.name;
  if (other !== undefined) throw notEmpty(to, other);
  const queues = `${to}/${QUEUES_DIR}`;
  if (!(await vfs.makeDir(queues))) throw notEmpty(to, QUEUES_DIR);
  onFolder(queues);
  await vfs.syncDir(to);
}

/** Of what leads up from a folder to the root, by whatever links it was come by. */
const DEPTH_MAX = 256;

/**
 * Rejects unless `to` lies outside of the store at `from`, whatever links its path goes through: in it it would be one of the files that are copied, and
 * go where the store goes.
 */
export async function requireOutside({ identities }: Vfs, from: string, to: string): Promise<void> {
  const store = await identities?.of(from);
  if (identities === undefined || store === undefined) return;
  let place = to;
  let identity = await identities.of(place);
  while (identity === undefined && parentOf(place) !== place) {
    place = parentOf(place);
    identity = await identities.of(place);
  }
  for (let depth = 0; identity !== undefined && depth < DEPTH_MAX; depth++) {
    if (identity === store) {
      throw new EvaqError('EVAQ_IO', `${to} lies in the store that is to be copied to it`, {
        details: { path: to },
        hint: 'Name a folder outside of the store.',
      });
    }
    // What is above a folder that was come by a link is not what is above the link.
    place = `${place}/..`;
    const above = await identities.of(place);
    if (above === identity) return;
    identity = above;
  }
}

/** Removes what a backup has made in a folder that was taken. First STORE, durably: from then on it is no store, whatever comes in between. */
export async function emptyFolder(vfs: Vfs, to: string): Promise<void> {
  await removeFile(vfs, `${to}/${STORE_FILE}`);
  await vfs.syncDir(to);
  for (const name of [STORE_FILE_UNFINISHED, LOCK_FILE]) await removeFile(vfs, `${to}/${name}`);
  await removeFiles(vfs, `${to}/${QUEUES_DIR}`);
}

async function removeFiles(vfs: Vfs, dir: string): Promise<void> {
  for (const { name, kind } of await vfs.list(dir)) {
    const path = `${dir}/${name}`;
    await (kind === 'directory' ? removeFiles(vfs, path) : removeFile(vfs, path));
  }
}

async function removeFile(vfs: Vfs, path: string): Promise<void> {
  await vfs.remove(path).catch((error: unknown) => {
    if (!isNotFound(error)) throw error;
  });
}

function notEmpty(to: string, name: string): EvaqError {
  return new EvaqError('EVAQ_IO', `${to} is not empty: it holds ${JSON.stringify(name)}`, {
    details: { path: to },
    hint: 'Name a folder that is not there yet, or an empty one.',
  });
}
