/**
 * evaq as its users have it: what `npm pack` makes of the tree and its `dist`, unpacked into the `node_modules` of an empty project, with what it depends on
 * beside it and nothing else. No registry is asked.
 */
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { projectRoot } from '../../cli/support/bundle.js';

const run = promisify(execFile);

export interface Installed {
  /** The project. */
  readonly project: string;
  /** `node_modules/evaq` in it. */
  readonly root: string;
  /** Paths of all files, from `root`. */
  readonly files: readonly string[];
  remove(): void;
}

export async function installPacked(): Promise<Installed> {
  const project = mkdtempSync(join(tmpdir(), 'evaq-installed-'));
  const { stdout } = await run(
    'npm',
    ['pack', '--json', '--ignore-scripts', '--offline', '--pack-destination', project],
    { cwd: projectRoot, maxBuffer: 2 ** 24 },
  );
  const [packed]: { readonly filename: string; readonly files: readonly { readonly path: string }[] }[] =
    JSON.parse(stdout);
  if (packed === undefined) throw new Error('npm packed nothing');
  const root = join(project, 'node_modules/evaq');
  mkdirSync(root, { recursive: true });
  await run('tar', ['-xzf', join(project, packed.filename), '-C', root, '--strip-components=1']);
  const { dependencies }: { readonly dependencies: Readonly<Record<string, string>> } = JSON.parse(
    readFileSync(join(root, 'package.json'), 'utf8'),
  );
  for (const name of Object.keys(dependencies)) {
    const link = join(project, 'node_modules', name);
    mkdirSync(dirname(link), { recursive: true });
    symlinkSync(join(projectRoot, 'node_modules', name), link);
  }
  return {
    project,
    root,
    files: packed.files.map(({ path }) => path),
    remove: () => rmSync(project, { recursive: true, force: true }),
  };
}
