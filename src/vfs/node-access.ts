/**
 * Who may use what is made on the real disk: the mode of new files and folders, and their owner.
 *
 * A store belongs to whom its folder belongs to. A tool that root runs must not leave files in it that the service cannot open: what is made follows
 * the owner of the folder, or nothing is made. And a tool that is told no mode must not leave files that a reader cannot open: without one, the mode
 * is that of a file of the store that is there.
 *
 * Mode and owner are set on the descriptor, before a byte is written, and whatever the umask: a path may lead elsewhere by then.
 */
import * as fs from 'node:fs';
import { EvaqError, isSystemError } from '../errors.js';
import { anchored, nodeVfs } from './node-vfs.js';
import type { Vfs, VfsFile, VfsLockResult } from './vfs.js';

const { O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_RDONLY, O_RDWR } = fs.constants;

/** Of files; folders can be entered by whoever may read what is in them. */
export const MODE_DEFAULT = 0o600;
/** What a mode may say: files are not run. */
export const MODE_MAX = 0o666;
const GROUP_BITS = 0o060;
const GROUP_WRITES = 0o060;
const OTHERS_WRITE = 0o006;

export interface AccessOptions {
  /** The folder of the store, made or not. */
  readonly path: string;
  /** Of new files. Without it: that of the file `like`, or 0600 where there is none. */
  readonly mode: number | undefined;
  readonly like: string;
}

interface Access {
  readonly fileMode: number;
  /** Undefined: whoever makes it has it. A -1 leaves one of the two as it is. */
  readonly owner: { readonly uid: number; readonly gid: number } | undefined;
}

/**
 * The real file system for one store. Rejects with EVAQ_NOT_OWNER, before anything is made, where what would be made in it would be out of reach for
 * whom its folder belongs to.
 */
export async function nodeVfsFor({ path, mode, like }: AccessOptions): Promise<Vfs> {
  // Windows has neither.
  if (process.geteuid === undefined || process.getegid === undefined) return nodeVfs;
  const there = await statOf(like);
  const fileMode = mode ?? (there === undefined ? MODE_DEFAULT : (there.mode & MODE_MAX) | MODE_DEFAULT);
  const own = { uid: process.geteuid(), gid: process.getegid() };
  const owner = await ownerFor(path, fileMode, own, there?.uid === own.uid);
  if (fileMode === MODE_DEFAULT && owner === undefined) return nodeVfs;
  return accessVfs({ fileMode, owner });
}

/**
 * Makes the folder `path` with the owner and the mode of the folder `like`, in whose place it is to come by a rename. Where there is no such folder nothing
 * is made. Rejects with the system error; with EXDEV where `like` is on another disk than `path` would be, mounted there.
 */
export async function makeFolderLike(path: string, like: string): Promise<void> {
  const there = await statOf(like);
  if (there?.isDirectory() !== true) return;
  await fs.promises.mkdir(path, { mode: 0o700 });
  try {
    const made = await fs.promises.stat(path);
    if (made.dev !== there.dev) throw Object.assign(new Error(`EXDEV: ${like} is on another disk`), { code: 'EXDEV' });
    if (made.uid !== there.uid || made.gid !== there.gid) await fs.promises.chown(path, there.uid, there.gid);
    if (process.geteuid !== undefined) await fs.promises.chmod(path, there.mode & 0o7777);
  } catch (error) {
    await fs.promises.rmdir(path).catch(() => undefined);
    throw error;
  }
}

/** What cannot be looked at says nothing: whoever opens the store will meet the reason, and tell it. */
async function statOf(path: string): Promise<fs.Stats | undefined> {
  try {
    return await fs.promises.stat(path);
  } catch (error) {
    if (isSystemError(error)) return undefined;
    throw error;
  }
}

interface Process {
  readonly uid: number;
  readonly gid: number;
}

/**
 * Whom new files are given to. A store that is not there yet will belong to this process, and one whose files are this process's own is its own,
 * whoever made the folder for it: root, who is kept out by no mode, or somebody whom this system does not know.
 */
async function ownerFor(path: string, fileMode: number, own: Process, isOurs: boolean): Promise<Access['owner']> {
  const folder = await statOf(path);
  if (folder === undefined || !folder.isDirectory()) return undefined;
  const { uid, gid } = folder;
  if (uid === own.uid) {
    if (gid === own.gid || mayGiveTo(gid, own)) return gid === own.gid ? undefined : { uid: -1, gid };
    // Nobody else is to use them: their group does not matter.
    if ((fileMode & GROUP_BITS) === 0) return undefined;
    throw notOwner(path, folder, own, 'this process is not in the group of the folder');
  }
  if (await mayChangeOwner(path, folder)) return { uid, gid };
  if ((fileMode & GROUP_WRITES) === GROUP_WRITES && (gid === own.gid || mayGiveTo(gid, own))) return { uid: -1, gid };
  if (uid === 0 || isOurs || (fileMode & OTHERS_WRITE) === OTHERS_WRITE) return undefined;
  throw notOwner(path, folder, own, 'what this process makes in it would be out of reach for that one');
}

/** Whoever has a file may give it to a group that he is in. */
function mayGiveTo(gid: number, own: Process): boolean {
  return own.uid === 0 || process.getgroups?.().includes(gid) === true;
}

/** Gives the folder to whom it belongs: allowed to those alone who may give away what they have made. */
async function mayChangeOwner(path: string, { uid, gid }: fs.Stats): Promise<boolean> {
  try {
    await fs.promises.chown(path, uid, gid);
    return true;
  } catch (error) {
    if (isSystemError(error)) return false;
    throw error;
  }
}

function notOwner(path: string, folder: fs.Stats, own: Process, why: string): EvaqError {
  return new EvaqError(
    'EVAQ_NOT_OWNER',
    `${path} belongs to user ${folder.uid}, group ${folder.gid}, and this process runs as user ${own.uid}, group ${own.gid}: ${why}`,
    {
      details: { path },
      hint: `Run it as user ${folder.uid} (sudo -u '#${folder.uid}'), or give both users a group and the store the mode 0o660. Nothing was changed.`,
    },
  );
}

function accessVfs({ fileMode, owner }: Access): Vfs {
  const claim = async (fd: number, mode: number): Promise<void> => {
    await call((done) => fs.fchmod(fd, mode, done));
    if (owner !== undefined) await call((done) => fs.fchown(fd, owner.uid, owner.gid, done));
  };

  const makeFile = async (path: string): Promise<void> => {
    const fd = await openFd(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW);
    try {
      await claim(fd, fileMode);
    } catch (error) {
      await fs.promises.unlink(path).catch(() => undefined);
      throw error;
    } finally {
      fs.closeSync(fd);
    }
  };

  return {
    ...nodeVfs,

    async create(path, anchor): Promise<VfsFile> {
      await anchored(path, anchor, (within) => makeFile(within(path)));
      return nodeVfs.open(path, 'write', anchor);
    },

    async makeDir(dir, anchor): Promise<boolean> {
      if (!(await nodeVfs.makeDir(dir, anchor))) return false;
      const fd = await anchored(dir, anchor, (within) => openFd(within(dir), O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
      try {
        await claim(fd, dirModeOf(fileMode));
      } catch (error) {
        await fs.promises.rmdir(dir).catch(() => undefined);
        throw error;
      } finally {
        fs.closeSync(fd);
      }
      return true;
    },

    async lock(...given: Parameters<Vfs['lock']>): Promise<VfsLockResult> {
      const [path] = given;
      try {
        await makeFile(path);
      } catch (error) {
        // It is there: whose it is shows when it is opened.
        if (!isSystemError(error) || error.code !== 'EEXIST') throw error;
      }
      return nodeVfs.lock(...given);
    },
  };
}

/** Who may read a file may enter its folder. */
export function dirModeOf(fileMode: number): number {
  return fileMode | ((fileMode & 0o444) >> 2);
}

function openFd(path: string, flags: number): Promise<number> {
  return new Promise((resolve, reject) => {
    fs.open(path, flags, MODE_DEFAULT, (error, fd) => (error ? reject(error) : resolve(fd)));
  });
}

function call(begin: (done: (error: Error | null) => void) => void): Promise<void> {
  return new Promise((resolve, reject) => begin((error) => (error ? reject(error) : resolve())));
}
