/** `npm run bench -- --compare REVISION`: another revision is built beside what is there, and takes its turns. Nothing here is about time. */
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import { readReport } from '../../bench/harness/bench-report.js';
import { buildOlder } from '../../bench/harness/older-version.js';
import { summarize } from '../../bench/harness/sample.js';
import { sideBySide, twinOf } from '../../bench/harness/side-by-side.js';
import { ALL_ROWS } from '../../bench/rows/all-rows.js';

const root = join(import.meta.dirname, '../..');
const folder = mkdtempSync(join(tmpdir(), 'evaq-compare-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const hasGit = spawnSync('git', ['--version']).status === 0;
const isClone = hasGit && spawnSync('git', ['rev-parse', 'HEAD'], { cwd: root }).status === 0;

/** A repository of a library whose second commit says something else than its first. */
function makeRepository(): string {
  const dir = join(folder, 'repository');
  mkdirSync(join(dir, 'src'), { recursive: true });
  for (const file of ['tsconfig.json', 'tsconfig.build.json']) cpSync(join(root, file), join(dir, file));
  symlinkSync(join(root, 'node_modules'), join(dir, 'node_modules'));
  const git = (...parameters: string[]): void => {
    const who = ['-c', 'user.name=nobody', '-c', 'user.email=nobody@localhost', '-c', 'commit.gpgsign=false'];
    execFileSync('git', [...who, ...parameters], { cwd: dir, stdio: 'ignore' });
  };
  git('init');
  for (const file of ['package.json', 'package-lock.json']) writeFileSync(join(dir, file), '{"type":"module"}');
  writeFileSync(join(dir, '.gitignore'), 'node_modules\n');
  for (const said of ['old', 'new']) {
    // With an error of types, as an older version may have for a newer compiler.
    writeFileSync(
      join(dir, 'src/evaq.ts'),
      `const one: number = 'text';\nexport const said: string = '${said}' + (one as string).slice(4);\n`,
    );
    git('add', '.');
    git('commit', '-m', said);
  }
  return dir;
}

describe.skipIf(!hasGit)('another revision', () => {
  test('is built as it was, beside what is there, which stays as it is', async () => {
    const repository = makeRepository();
    const state = (): string =>
      execFileSync('git', ['status', '--porcelain', '--ignored'], { cwd: repository, encoding: 'utf8' });
    const before = state();
    const older = buildOlder('HEAD~1', repository, join(folder, 'older'));
    expect(older.name).toMatch(/^HEAD~1 \([0-9a-f]{7}\)$/);
    const built: { readonly said: string } = await import(pathToFileURL(older.engine).href);
    expect(built.said).toBe('old');
    expect(state()).toBe(before);
    expect(readFileSync(join(repository, 'src/evaq.ts'), 'utf8')).toContain("'new'");
    expect(() => buildOlder('--all', repository, join(folder, 'none'))).toThrow("there is no revision '--all'");
    expect(() => buildOlder('HEAD~7', repository, join(folder, 'none'))).toThrow("there is no revision 'HEAD~7'");
  });
});

describe.skipIf(!isClone)(`a run beside another revision${isClone ? '' : ' (skipped: this is no clone)'}`, () => {
  test('has a twin of ours, judges goals without it, and leaves nothing behind', () => {
    const [out, disk] = [join(folder, 'out'), join(folder, 'disk')];
    const parameters = [
      '--size',
      'smoke',
      '--no-peers',
      '--only',
      'push-os',
      '--compare',
      'HEAD',
      '--out',
      out,
      '--dir',
      disk,
    ];
    const said = execFileSync(process.execPath, [join(root, 'bench/run.mjs'), ...parameters], { encoding: 'utf8' });
    const [file = ''] = readdirSync(out).filter((name) => name.endsWith('.json'));
    const [one] = readReport(join(out, file)).cases;
    const [, commit = ''] = /Beside HEAD \(([0-9a-f]{7})\), by turns/.exec(said) ?? [];
    expect(Object.keys(one?.contenders ?? {})).toEqual(['evaq', twinOf('evaq', `HEAD (${commit})`), 'device']);
    for (const goal of one?.goals ?? []) expect(goal.text).not.toContain('@');
    expect(readdirSync(disk)).toEqual([]);
  });
});

describe('what two versions come to', () => {
  const of = (...rates: number[]): ReturnType<typeof summarize> =>
    summarize(
      rates.map((rate) => ({ ops: rate, seconds: 1, bytes: rate, metrics: { openMs: rate } })),
      undefined,
    );
  const gainOf = (row: string, now: number[], old: number[]): unknown => {
    const contenders = { evaq: of(...now), [twinOf('evaq', 'old')]: of(...old), device: of(1) };
    const cases = [{ row, label: 'x', contenders, absent: {}, goals: [] }];
    const report = readReport(join(root, 'bench/published/report.json'));
    return sideBySide(ALL_ROWS, { ...report, cases }, 'old').map(({ contender, gain, verdict }) => [
      contender,
      gain.median,
      verdict,
    ]);
  };

  test('is the median of the ratios round by round, and no evidence below 1.2', () => {
    expect(gainOf('push-one', [200, 20, 2], [100, 10, 1])).toEqual([['evaq', 2, 'better']]);
    expect(gainOf('push-one', [110, 11, 1.1], [100, 10, 1])).toMatchObject([
      ['evaq', expect.closeTo(1.1), 'no evidence'],
    ]);
    expect(gainOf('push-one', [100, 10, 1], [200, 20, 2])).toEqual([['evaq', 0.5, 'worse']]);
  });

  test('is the other way round where less is better', () => {
    expect(gainOf('open', [50, 50], [100, 100])).toEqual([['evaq', 2, 'better']]);
  });
});
