/**
 * Another revision of the library, built in a folder of its own: what is checked out, and the folder of the repository, stay as they are.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface OlderVersion {
  /** What was asked for, and the commit that it names: `main~3 (da57fa3)`. */
  readonly name: string;
  /** Its `dist/evaq.js`. */
  readonly engine: string;
}

/**
 * Builds `revision` of the repository at `root` in `dir`, which is made: its sources by the compiler of today, unchecked, since they were checked when they were
 * written. It runs with the packages of today if it depends on the same, else with its own, which are installed. Throws where there is no such revision.
 */
export function buildOlder(revision: string, root: string, dir: string): OlderVersion {
  const commit = commitOf(revision, root);
  mkdirSync(dir, { recursive: true });
  const files = ['src', 'package.json', 'package-lock.json', 'tsconfig.json', 'tsconfig.build.json'];
  const archive = join(dir, 'sources.tar');
  run('git', ['archive', '--output', archive, commit, '--', ...files], root);
  run('tar', ['-xf', archive, '-C', dir], root);
  if (dependenciesOf(dir) === dependenciesOf(root)) symlinkSync(join(root, 'node_modules'), join(dir, 'node_modules'));
  else run('npm', ['ci', '--omit=dev', '--omit=peer', '--ignore-scripts', '--no-audit', '--no-fund'], dir);
  const config = {
    extends: './tsconfig.build.json',
    compilerOptions: { noCheck: true, declaration: false, isolatedDeclarations: false, types: [] },
  };
  writeFileSync(join(dir, 'tsconfig.older.json'), JSON.stringify(config));
  run(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', 'tsconfig.older.json'], dir);
  return { name: `${revision} (${commit.slice(0, 7)})`, engine: join(dir, 'dist/evaq.js') };
}

function commitOf(revision: string, root: string): string {
  try {
    // A revision is no option, whatever it begins with.
    return run('git', ['rev-parse', '--verify', '--quiet', '--end-of-options', `${revision}^{commit}`], root).trim();
  } catch (error) {
    throw new Error(`there is no revision '${revision}' in ${root}`, { cause: error });
  }
}

function dependenciesOf(dir: string): string {
  const { dependencies }: { readonly dependencies?: object } = JSON.parse(
    readFileSync(join(dir, 'package.json'), 'utf8'),
  );
  return JSON.stringify(Object.entries(dependencies ?? {}).sort(([a], [b]) => (a < b ? -1 : 1)));
}

function run(command: string, parameters: readonly string[], cwd: string): string {
  try {
    return execFileSync(command, parameters, {
      cwd,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
      maxBuffer: 2 ** 26,
    });
  } catch (error) {
    const { stdout = '', stderr = '' }: { readonly stdout?: string; readonly stderr?: string } = Object(error);
    throw new Error(`${command} ${parameters.join(' ')} failed:\n${stdout}${stderr}`, { cause: error });
  }
}
