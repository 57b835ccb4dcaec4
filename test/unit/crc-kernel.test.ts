/** The checksum's kernel in WebAssembly: sums as zlib does, is made when it pays and not before, and nothing depends on it. */
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { crc32 as zlibCrc32 } from 'node:zlib';
import { build } from 'esbuild';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { crc32, crc32Continued, useCrcKernel } from '../../src/checksum.js';
import { type CrcKernel, makeCrcKernel } from '../../src/crc-kernel.js';

/** Bytes by multiply and shift: no period, and the same in every run. */
const BYTES = Uint8Array.from({ length: 200_000 }, (_, i) => Math.imul(i ^ (i << 7), 0x9e3779b1) >>> 24);

/** Lengths at which the kernel and zlib differ. */
function differences(kernel: CrcKernel, lengths: readonly number[]): number[] {
  return lengths.filter((length) => {
    const some = BYTES.subarray(length % 251, (length % 251) + length);
    const before = Math.imul(length, 0x85ebca77) >>> 0;
    return kernel(some, before) !== zlibCrc32(some, before) || kernel(some, 0) !== zlibCrc32(some);
  });
}

describe('the kernel', () => {
  it('sums as zlib does: every length up to 3000, and those about the size of its memory; also when it was compiled anew for speed', async () => {
    const kernel = await makeCrcKernel();
    const lengths = [...Array.from({ length: 3001 }, (_, i) => i), 16_384, 49_151, 49_152, 49_153, 98_304, 150_001];
    for (let round = 0; round < 5; round++) expect(differences(kernel, lengths)).toEqual([]);
  });

  it('each of its bits counts', async () => {
    const kernel = await makeCrcKernel();
    const bytes = BYTES.slice(0, 1700);
    const sums = new Set([kernel(bytes, 0)]);
    for (let bit = 0; bit < bytes.length * 8; bit += 7) {
      const at = bit >> 3;
      bytes[at] = (bytes[at] ?? 0) ^ (1 << (bit & 7));
      sums.add(kernel(bytes, 0));
      bytes[at] = (bytes[at] ?? 0) ^ (1 << (bit & 7));
    }
    expect(sums.size).toBe(1 + Math.ceil((bytes.length * 8) / 7));
  });

  it('what is summed is not changed, in whatever memory it lies', async () => {
    const kernel = await makeCrcKernel();
    const shared = new Uint8Array(new SharedArrayBuffer(5000));
    shared.set(BYTES.subarray(0, 5000));
    expect(kernel(shared, 0)).toBe(zlibCrc32(BYTES.subarray(0, 5000)));
    expect(Buffer.compare(Buffer.from(shared), BYTES.subarray(0, 5000))).toBe(0);
  });
});

describe('the checksum', () => {
  it('is the same with the kernel and without', async () => {
    const lengths = [0, 1, 31, 32, 33, 44, 100, 256, 257, 5000, 100_000];
    const sums = (): number[] =>
      lengths.flatMap((length) => [
        crc32(BYTES.subarray(0, length)),
        crc32Continued(BYTES.subarray(0, length), 0xfedcba98),
      ]);
    const without = sums();
    expect(without).toEqual(
      lengths.flatMap((length) => [
        zlibCrc32(BYTES.subarray(0, length)),
        zlibCrc32(BYTES.subarray(0, length), 0xfedcba98),
      ]),
    );
    expect(await useCrcKernel()).toBe(true);
    expect(sums()).toEqual(without);
  });
});

describe('in a process of its own', () => {
  let folder = '';
  beforeAll(() => {
    folder = mkdtempSync(join(import.meta.dirname, '../../node_modules/.crc-'));
  });
  afterAll(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  interface Edit {
    readonly find: string;
    readonly put: string;
  }

  /** `checksum.ts` with what it needs; `edit` is made in the kernel. */
  async function bundled(name: string, edit?: Edit): Promise<string> {
    const outfile = join(folder, `${name}.mjs`);
    await build({
      entryPoints: [join(import.meta.dirname, '../../src/checksum.ts')],
      outfile,
      bundle: true,
      platform: 'node',
      format: 'esm',
      packages: 'external',
      logLevel: 'silent',
      plugins: [
        {
          name: 'plant',
          setup(builder) {
            builder.onLoad({ filter: /crc-kernel\.ts$/ }, ({ path }) => {
              const text = readFileSync(path, 'utf8');
              if (edit !== undefined) expect(text).toContain(edit.find);
              return { contents: edit === undefined ? text : text.replace(edit.find, () => edit.put), loader: 'ts' };
            });
          },
        },
      ],
    });
    return outfile;
  }

  /** What `program` prints, as JSON. `checksum` and `zlibCrc32` are there, and `made`: how many kernels. */
  async function run(file: string, program: string, flags: readonly string[] = []): Promise<unknown> {
    const text = `
      import { crc32 as zlibCrc32 } from 'node:zlib';
      import { isMainThread, Worker, workerData } from 'node:worker_threads';
      let made = 0;
      if (typeof WebAssembly !== 'undefined') {
        const { instantiate } = WebAssembly;
        WebAssembly.instantiate = (...args) => { made++; return instantiate(...args); };
      }
      const checksum = await import(${JSON.stringify(file)});
      const bytes = Uint8Array.from({ length: 1 << 20 }, (_, i) => Math.imul(i, 0x9e3779b1) >>> 24);
      const print = (value) => console.log(JSON.stringify(value));
      ${program}`;
    const { stdout } = await promisify(execFile)(process.execPath, [...flags, '--input-type=module', '-e', text]);
    return JSON.parse(stdout);
  }

  it('it is made once so much was summed, not at the import; meanwhile and from then on sums are right', async () => {
    const program = `
      const madeAt = [made];
      let right = true;
      for (let mib = 1; mib <= 9; mib++) {
        right &&= checksum.crc32(bytes) === zlibCrc32(bytes);
        madeAt.push(made);
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
      for (let mib = 1; mib <= 9; mib++) right &&= checksum.crc32(bytes) === zlibCrc32(bytes);
      print({ right, madeAt, made, isMeasured: process.arch === 'x64' });`;
    const file = await bundled('plain');
    const { right, madeAt, made, isMeasured } = (await run(file, program)) as {
      right: boolean;
      madeAt: number[];
      made: number;
      isMeasured: boolean;
    };
    expect(right).toBe(true);
    expect(madeAt).toEqual(isMeasured ? [0, 0, 0, 0, 0, 0, 0, 0, 1, 1] : madeAt.map(() => 0));
    expect(made).toBe(isMeasured ? 1 : 0);
  });

  it('there is one a thread, however often it is asked for: what it takes does not grow', async () => {
    const program = `
      const used = await Promise.all(Array.from({ length: 1000 }, () => checksum.useCrcKernel()));
      for (let mib = 1; mib <= 20; mib++) checksum.crc32(bytes);
      print({ used: used.every((one) => one), made });`;
    expect(await run(await bundled('once'), program)).toEqual({ used: true, made: 1 });
  });

  it('without WebAssembly (--jitless) there is none, and sums are right', async () => {
    const program = `
      const used = await checksum.useCrcKernel();
      print({ used, right: checksum.crc32(bytes) === zlibCrc32(bytes), there: typeof WebAssembly });`;
    expect(await run(await bundled('jitless'), program, ['--jitless'])).toEqual({
      used: false,
      right: true,
      there: 'undefined',
    });
  });

  it('every thread has its own', async () => {
    const file = await bundled('threads');
    const worker = `
      Promise.all([import('node:worker_threads'), import(${JSON.stringify(file)})]).then(async ([{ parentPort }, checksum]) => {
        const used = await checksum.useCrcKernel();
        const bytes = Uint8Array.from({ length: 3000 }, (_, i) => i * 7);
        parentPort.postMessage([used, checksum.crc32(bytes)]);
      });`;
    const program = `
      const asked = [0, 1].map(() => new Promise((resolve) => new Worker(${JSON.stringify(worker)}, { eval: true }).once('message', resolve)));
      const sum = zlibCrc32(Uint8Array.from({ length: 3000 }, (_, i) => i * 7));
      const answers = await Promise.all(asked);
      print(answers.every(([used, own]) => used && own === sum));`;
    expect(await run(file, program)).toBe(true);
  });

  it('a planted bug is found: what a piece came to is left out of the next', async () => {
    const file = await bundled('pieces', { find: 'piece.length, result)', put: 'piece.length, crc)' });
    const program = `
      const used = await checksum.useCrcKernel();
      print([used, checksum.crc32(bytes) === zlibCrc32(bytes)]);`;
    expect(await run(file, program)).toEqual([true, false]);
  });

  it.each([
    ['a distance that is none', { find: '53, 57, 67', put: '53, 57, 68' }],
    ['a far distance that is none', { find: '183, 211', put: '183, 212' }],
    ['what was summed before is left out', { find: 'load32(0), local(CRC), XOR, store32', put: 'load32(0), store32' }],
    ['a wrong table', { find: '4 * count - 1 - 4 * i - byte', put: '4 * count - 1 - 4 * i' }],
    ['a vector is held too short', { find: '(held + step) * VECTOR_BYTES', put: '(held + step - 2) * VECTOR_BYTES' }],
  ])('a planted bug is found, and the kernel not used: %s', async (_, edit) => {
    const file = await bundled('planted', edit);
    const program = `
      const used = await checksum.useCrcKernel();
      print([used, checksum.crc32(bytes) === zlibCrc32(bytes)]);`;
    expect(await run(file, program)).toEqual([false, true]);
  });
});
