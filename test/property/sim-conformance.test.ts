/** The simulated disk against the real one: the same calls have the same results, the same content, and errors of the same shape. */
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import * as fc from 'fast-check';
import { afterAll, expect, test } from 'vitest';
import { isSystemError } from '../../src/errors.js';
import { SimDisk } from '../../src/sim/sim-disk.js';
import { nodeVfs } from '../../src/vfs/node-vfs.js';
import type { Vfs, VfsFile } from '../../src/vfs/vfs.js';

const scratch = fs.mkdtempSync(path.join(os.tmpdir(), 'evaq-sim-'));
afterAll(() => fs.rmSync(scratch, { recursive: true }));
let runs = 0;

const name = fc.constantFrom('/a', '/b', '/d', '/d/a', '/d/b', '/e/a', '/a/x');
const handle = fc.nat(3);
const step = fc.oneof(
  fc.record({
    do: fc.constantFrom('list', 'stat', 'makeDir', 'create', 'open', 'read only', 'remove', 'syncDir' as const),
    name,
  }),
  fc.record({ do: fc.constant('rename' as const), name, to: name }),
  fc.record({ do: fc.constantFrom('size', 'sync', 'close' as const), handle }),
  fc.record({
    do: fc.constantFrom('write', 'read', 'blocking' as const),
    handle,
    at: fc.nat(2000),
    length: fc.nat(1500),
  }),
  fc.record({ do: fc.constantFrom('truncate', 'extend' as const), handle, size: fc.nat(2000) }),
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** Performs `steps` below `root`, and tells what came of each. */
async function perform(vfs: Vfs, root: string, steps: readonly Step[]): Promise<string[]> {
  const files: { readonly file: VfsFile; readonly isWritable: boolean }[] = [];
  const results: string[] = [];
  for (const [i, step] of steps.entries()) {
    try {
      results.push(`${step.do}: ${JSON.stringify(await one(vfs, root, files, step, i + 1))}`);
    } catch (error) {
      if (!isSystemError(error)) throw error;
      const { message, errno, code } = error;
      results.push(`${step.do}: ${errno} ${code} ${message.replaceAll(root, '')}`);
    }
  }
  for (const { file } of files) await file.close();
  return results;
}

async function one(
  vfs: Vfs,
  root: string,
  files: { readonly file: VfsFile; readonly isWritable: boolean }[],
  step: Step,
  value: number,
): Promise<unknown> {
  if ('name' in step) {
    const at = root + step.name;
    if ('to' in step) return vfs.rename(at, root + step.to);
    switch (step.do) {
      case 'list':
        return (await vfs.list(at)).sort((a, b) => (a.name < b.name ? -1 : 1));
      case 'stat': {
        const stat = await vfs.stat(at);
        return stat?.kind === 'directory' ? 'directory' : stat;
      }
      case 'makeDir':
        return vfs.makeDir(at);
      case 'remove':
        return vfs.remove(at);
      case 'syncDir':
        return vfs.syncDir(at);
      case 'create':
        files.push({ file: await vfs.create(at), isWritable: true });
        return;
      case 'open':
      case 'read only':
        // The port opens regular files only; what becomes of others is each disk's own.
        if ((await vfs.stat(at))?.kind === 'directory') return 'a folder';
        files.push({ file: await vfs.open(at, step.do === 'open' ? 'write' : 'read'), isWritable: step.do === 'open' });
        return;
    }
  }
  const found = files[step.handle];
  if (found === undefined) return 'no such handle';
  const { file, isWritable } = found;
  switch (step.do) {
    case 'size':
      return file.size();
    case 'sync':
      return file.sync();
    case 'close':
      await file.close();
      files.splice(step.handle, 1);
      return;
    case 'truncate':
      return isWritable ? file.truncate(step.size) : 'read only';
    case 'extend':
      return isWritable ? file.extend(step.size).catch(unlessStale) : 'read only';
    case 'read': {
      const target = new Uint8Array(step.length + 7);
      const length = await file.readAt(target, 3, step.length, step.at);
      return [length, Buffer.from(target).toString('base64')];
    }
    case 'write':
      return file.writeAt(new Uint8Array(step.length + 5).fill(value), 5, step.length, step.at);
    case 'blocking':
      return file.writeAndSyncBlocking([
        { source: new Uint8Array(step.length).fill(value), length: step.length, position: step.at },
      ]);
  }
}

/** What the error says is each disk's own. */
function unlessStale(error: unknown): string {
  if (isSystemError(error) && error.code === 'ESTALE') return error.code;
  throw error;
}

// The simulated disk speaks Linux; elsewhere the real one has other numbers and other refusals.
test.skipIf(process.platform !== 'linux')(
  'the same calls have the same results and the same errors as on the real disk',
  async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 30 }), fc.integer(), async (steps, seed) => {
        const root = path.join(scratch, `${++runs}`);
        fs.mkdirSync(root);
        const disk = new SimDisk({ seed });
        await disk.vfs.makeDir('/root');
        const simulated = await perform(disk.vfs, '/root', steps);
        expect(simulated).toEqual(await perform(nodeVfs, root, steps));
        for (const entry of fs.readdirSync(root, { recursive: true, encoding: 'utf8' })) {
          const at = path.join(root, entry);
          if (fs.statSync(at).isFile())
            expect(Buffer.from(disk.read(`/root/${entry}`) ?? [])).toEqual(fs.readFileSync(at));
        }
        disk.check();
        fs.rmSync(root, { recursive: true });
      }),
      { numRuns: 300 },
    );
  },
);
