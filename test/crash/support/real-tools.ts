/** What the tests on the real system need from it: told as the reason why not, or `undefined` where it is there. */
import { execFile, spawn } from 'node:child_process';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Attaches strace to a process and makes a call fail, to see whether that is allowed here. */
export async function whyNoStrace(): Promise<string | undefined> {
  if (process.platform !== 'linux') return 'strace is for Linux';
  try {
    await run('strace', ['-V']);
  } catch {
    return 'strace is not installed';
  }
  // Ended below; by itself only where nobody is left to do that.
  const child = spawn('sleep', ['600'], { stdio: 'ignore' });
  const tracer = spawn(
    'strace',
    ['-f', '-e', 'trace=fdatasync', '-e', 'inject=fdatasync:error=EIO:when=1', '-p', String(child.pid)],
    {
      stdio: ['ignore', 'ignore', 'pipe'],
    },
  );
  try {
    const said = await new Promise<string>((resolve) => {
      let text = '';
      tracer.stderr.on('data', (chunk) => {
        text += String(chunk);
        if (text.includes('attached')) resolve('');
      });
      tracer.on('close', () => resolve(text.trim() || 'it ended'));
    });
    return said === '' ? undefined : `strace may not attach to a process (${said.split('\n')[0]})`;
  } finally {
    child.kill('SIGKILL');
  }
}

/** A small file system of its own, made and taken away by the test. */
export interface RealMount {
  readonly dir: string;
  /** The file behind it, where there is one. */
  readonly image: string | undefined;
  unmount(): Promise<void>;
}

/** Mounts a new file system of `mib` MiB; the loop device goes with the mount. */
export async function mountNew(kind: 'ext4' | 'tmpfs', mib: number): Promise<RealMount> {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), `evaq-${kind}-`));
  const image = kind === 'ext4' ? `${dir}.img` : undefined;
  try {
    if (image === undefined) {
      await run('mount', ['-t', 'tmpfs', '-o', `size=${mib}m`, 'tmpfs', dir]);
    } else {
      await run('truncate', ['-s', `${mib}M`, image]);
      await run('mkfs.ext4', ['-q', '-F', '-m', '0', image]);
      await run('mount', ['-o', 'loop', image, dir]);
    }
  } catch (error) {
    fs.rmdirSync(dir);
    if (image !== undefined) fs.rmSync(image, { force: true });
    throw error;
  }
  return mounted(dir, image);
}

/** Mounts an image that is there already; it is deleted with the mount. */
export async function mountImage(image: string): Promise<RealMount> {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'evaq-ext4-'));
  try {
    await run('mount', ['-o', 'loop', image, dir]);
  } catch (error) {
    fs.rmdirSync(dir);
    fs.rmSync(image, { force: true });
    throw error;
  }
  return mounted(dir, image);
}

function mounted(dir: string, image: string | undefined): RealMount {
  let there = true;
  return {
    dir,
    image,
    async unmount() {
      if (!there) return;
      there = false;
      try {
        await run('umount', [dir]);
      } catch {
        // Somebody still holds a file: the mount goes when the last one has let go.
        await run('umount', ['-l', dir]);
      }
      fs.rmdirSync(dir);
      if (image !== undefined) fs.rmSync(image, { force: true });
    },
  };
}

/** Makes and mounts a small file system, to see whether that is allowed here. */
export async function whyNoMount(kind: 'ext4' | 'tmpfs'): Promise<string | undefined> {
  if (process.platform !== 'linux') return `mounting ${kind} is for Linux`;
  try {
    const mount = await mountNew(kind, 8);
    await mount.unmount();
    return undefined;
  } catch (error) {
    const reason = error instanceof Error ? error.message.replaceAll('\n', ' ').trim() : String(error);
    return `${kind} cannot be mounted (${reason})`;
  }
}
