/**
 * The native packages that a lock is taken with, loaded at the first lock and not at import: whatever takes no lock (reading, tools, the
 * simulated disk) works where they cannot be loaded.
 *
 * - `fs-native-extensions`, prebuilt, works in every thread. On Linux its locks are those of the open file description (fcntl(2), F_OFD_SETLK):
 *   unlike POSIX locks of a process they exclude a second open in the same process, and closing another descriptor does not free them. On
 *   macOS it is flock(2), on Windows LockFileEx.
 * - `fs-ext`, optional and compiled, for flock(2) on Linux, which `flock` in a shell script takes. Only in the main thread: its initialiser
 *   crashes the process when it is loaded there and in a worker.
 */
import { createRequire } from 'node:module';
import { isAbsolute } from 'node:path';
import { isMainThread } from 'node:worker_threads';
import { EvaqError } from '../errors.js';

/** Takes an exclusive lock on a file that is open for reading and writing. False: somebody else has one. Throws where it cannot be told. */
export type TryLock = (fd: number) => boolean;

/** Which kinds of lock there are here. At least one is. */
export interface NativeLocks {
  /** Excludes everybody who has `fs-native-extensions`. */
  readonly own: TryLock | undefined;
  /** Excludes whoever uses flock(2). */
  readonly flock: TryLock | undefined;
}

/** Windows forbids reading what is locked; so a byte is locked there that no file has. */
const FAR_OFFSET = 2 ** 40;

let loaded: NativeLocks | undefined;

/** @throws EVAQ_NATIVE_UNAVAILABLE, with a hint that follows from the cause */
export function loadNativeLocks(): NativeLocks {
  loaded ??= load();
  return loaded;
}

function load(): NativeLocks {
  const flock = loadFlock();
  try {
    return { own: loadOwn(), flock };
  } catch (cause) {
    // With flock alone, in the main thread: as good a lock, and there is nothing to be told.
    if (flock !== undefined) return { own: undefined, flock };
    throw unavailable(cause);
  }
}

/**
 * In a CommonJS bundle there is no `import.meta.url`; the bundle's own name says as well where packages are to be looked for. In a program that is given as
 * text (`node -e`, a worker of `eval`) there is a name that is no path, for all modules.
 */
function here(): string {
  return typeof __filename === 'string' && isAbsolute(__filename) ? __filename : import.meta.url;
}

/**
 * The build for this system by its name, which takes a fraction of the time that the package's own search for it does (ten files of JavaScript). The search
 * looks for one of another name where there is musl instead of glibc (Alpine), and there is none; the one for glibc needs nothing of it that musl has not.
 */
function loadOwn(): TryLock {
  const require = createRequire(here());
  const [offset, length] = process.platform === 'win32' ? [FAR_OFFSET, 1] : [0, 0];
  let build: { tryLock(fd: number, offset: number, length: number, exclusive: boolean): void };
  try {
    build = require(`fs-native-extensions/prebuilds/${process.platform}-${process.arch}/fs-native-extensions.node`);
  } catch {
    // What is wrong the search tells better, or it finds one elsewhere.
    const native: { tryLock(fd: number, offset: number, length: number): boolean } = require('fs-native-extensions');
    return (fd) => native.tryLock(fd, offset, length);
  }
  return held((fd) => build.tryLock(fd, offset, length, true));
}

/** Only `flockSync` is used: the asynchronous form and `statVFS` crash, too. That it is missing or cannot be loaded is no error. */
function loadFlock(): TryLock | undefined {
  if (!isMainThread) return undefined;
  try {
    const native: { flockSync(fd: number, operation: 'exnb'): void } = createRequire(here())('fs-ext');
    return held((fd) => native.flockSync(fd, 'exnb'));
  } catch {
    return undefined;
  }
}

function held(lock: (fd: number) => void): TryLock {
  return (fd) => {
    try {
      lock(fd);
      return true;
    } catch (error) {
      const code = codeOf(error);
      if (code === 'EAGAIN' || code === 'EWOULDBLOCK') return false;
      throw error;
    }
  };
}

function unavailable(cause: unknown): EvaqError {
  const { why, hint } = explain(cause);
  return new EvaqError(
    'EVAQ_NATIVE_UNAVAILABLE',
    `the native package fs-native-extensions, which takes the lock of a store, cannot be loaded: ${why}`,
    { cause, hint },
  );
}

function explain(cause: unknown): { readonly why: string; readonly hint: string } {
  const chain = causesOf(cause);
  const codes = chain.map(codeOf);
  const reason = messageOf(chain.at(-1)).split('\n', 1)[0] ?? '';
  if (codes.includes('ERR_DLOPEN_DISABLED')) {
    return {
      why: 'native addons are switched off',
      hint: 'Start Node.js without --no-addons (it may stand in NODE_OPTIONS); with --permission, allow addons by --allow-addons. Reading takes no lock: Evaq.openReadOnly.',
    };
  }
  if (codes.includes('ADDON_NOT_FOUND')) {
    return {
      why: `it has no build for ${process.platform}-${process.arch}`,
      hint: 'It has builds for Linux, macOS and Windows on x64 and arm64; if this is one of them, install it again, with all its files. On other systems install fs-ext (it takes python3, make and a C++ compiler), whose lock is used instead, in the main thread.',
    };
  }
  if (codes.includes('MODULE_NOT_FOUND')) {
    return {
      why: `it is not installed where ${here()} looks for it (${reason})`,
      hint: 'Run npm install. Where evaq is bundled into a program, keep fs-native-extensions out of the bundle and ship it beside it, in node_modules with what it depends on.',
    };
  }
  if (/NODE_MODULE_VERSION/.test(chain.map(messageOf).join('\n'))) {
    return {
      why: reason,
      hint: 'It was built for another version of Node.js: run npm rebuild fs-native-extensions with the one that runs it.',
    };
  }
  return {
    why: reason,
    hint: 'Its file is damaged, or made for another system: install the packages anew (npm ci) on the system that runs them.',
  };
}

/** Itself first. By their shape: what comes from another realm is no instance of our Error. */
function causesOf(error: unknown): unknown[] {
  const chain: unknown[] = [];
  for (
    let at = error;
    typeof at === 'object' && at !== null && !chain.includes(at);
    at = 'cause' in at ? at.cause : undefined
  ) {
    chain.push(at);
  }
  return chain;
}

function codeOf(error: unknown): unknown {
  return typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined;
}

function messageOf(error: unknown): string {
  return typeof error === 'object' && error !== null && 'message' in error ? String(error.message) : String(error);
}
