/** The page of `evaq report`: what is in it, that it needs nothing else, and how a browser shows it. */
import { execFile, execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, onTestFinished, test } from 'vitest';
import { niceTop, niceTopBytes } from '../../src/cli/report/bar-chart.js';
import { text } from '../../src/cli/report/html.js';
import { Evaq } from '../../src/evaq.js';
import { segmentsOf } from '../unit/raw/support/disk.js';
import { evaq } from './support/evaq-cli.js';

function temporary(): string {
  const folder = mkdtempSync(join(tmpdir(), 'evaq-report-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

async function makeStore(store: string): Promise<void> {
  await using library = await Evaq.open(store, { segmentBytes: 64 * 1024, gc: false });
  for (let i = 0; i < 5; i++) await library.wal.pushMany(Array.from({ length: 40 }, (_, k) => 'x'.repeat(40 * k)));
  await library.wal.removeMany(Array.from({ length: 60 }, (_, i) => i + 1));
  await library.deadLetter(100, { reason: '<script>alert(1)</script>', error: new Error('"quoted" & <b>') });
  await library.deadLetter(101, { reason: 'no route' });
}

function chromium(): string | undefined {
  for (const name of ['chromium', 'chromium-browser', 'google-chrome']) {
    try {
      return execFileSync('which', [name], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
    } catch {
      // The next one.
    }
  }
  return undefined;
}

const browser = chromium();
if (browser === undefined) console.warn('report.test: there is no chromium; how it shows the page is not tested');

describe('report', () => {
  test('is one page that loads nothing, with a table behind each picture and nothing of the store as markup', async () => {
    const store = join(temporary(), 'store');
    await makeStore(store);
    const { code, stdout, stderr } = await evaq(['report', store]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const page = stdout.toString();
    expect(page).not.toMatch(/<(?:script|link|img|iframe|object)\b|url\(|@import|(?:src|href)="(?!#)/i);
    expect(page).toContain('default-src &#39;none&#39;');
    expect(page).toContain('&lt;script&gt;alert(1)&lt;/script&gt;');
    expect(page).toContain('&quot;quoted&quot; &amp; &lt;b&gt;');
    // Every picture says in words what it shows, and is followed by its table.
    const pictures = page.match(/<svg /g) ?? [];
    expect(pictures.length).toBeGreaterThan(4);
    expect((page.match(/<svg role="img" aria-label="[^"]{20,}"/g) ?? []).length).toBe(pictures.length);
    expect((page.match(/<table><caption>/g) ?? []).length).toBeGreaterThanOrEqual(pictures.length);
    for (const id of ['queue-wal', 'letters', 'syncs', 'damage', 'disk']) {
      expect(page).toContain(`href="#${id}"`);
      expect(page).toContain(`<h2 id="${id}"`);
    }
    for (const tag of ['section', 'figure', 'table', 'svg', 'details', 'ul', 'div', 'g']) {
      const opened = page.match(new RegExp(`<${tag}[ >]`, 'g'))?.length;
      expect([tag, page.match(new RegExp(`</${tag}>`, 'g'))?.length]).toEqual([tag, opened]);
    }
    expect(readdirSync(join(store, '..'))).toEqual(['store']);
  });

  test('tells of damage, and exits with 3', async () => {
    const folder = temporary();
    const store = join(folder, 'store');
    await makeStore(store);
    const [, second = ''] = segmentsOf(store);
    const bytes = readFileSync(second);
    bytes.writeUInt8(bytes.readUInt8(300) ^ 1, 300);
    writeFileSync(second, bytes);
    const file = join(folder, 'page.html');
    const { code, stderr } = await evaq(['report', store, '--no-write', '-o', file]);
    expect({ code, stderr }).toEqual({ code: 3, stderr: `evaq: wrote ${file}\n` });
    const page = readFileSync(file, 'utf8');
    expect(page).toContain('Damaged in 1 place');
    expect(page).toContain(second);
    expect(page).toContain('It was not measured.');
  });

  test('tells what recoveries and repairs have set aside, and when', async () => {
    const store = join(temporary(), 'store');
    await makeStore(store);
    expect((await evaq(['report', store, '--no-write'])).stdout.toString()).toContain('has set anything aside');
    const [first = ''] = segmentsOf(store);
    {
      await using _library = await Evaq.open(store);
    }
    // As a crash leaves it: behind the last commit of a file that has no footer stands part of one.
    const newest = segmentsOf(store).at(-1) ?? '';
    writeFileSync(newest, Buffer.concat([readFileSync(newest), Buffer.alloc(300, 7)]));
    {
      await using library = await Evaq.open(store);
      expect(library.recovery.torn.length).toBe(1);
    }
    const backup = join(store, '.evaq-backup-2026-11-01T10-00-00Z');
    mkdirSync(backup);
    writeFileSync(join(backup, basename(first)), 'four');
    const page = (await evaq(['report', store, '--no-write'])).stdout.toString();
    expect(page).toMatch(
      /Z<\/th><td>a recovery: the end of a segment[^<]+<\/td><td>queues\/wal\/quarantine\/[^<]+\.torn<\/td>/,
    );
    expect(page).toMatch(
      /Z<\/th><td>a repair: [^<]+<\/td><td>\.evaq-backup-2026-11-01T10-00-00Z<\/td><td[^>]*>4 B<\/td>/,
    );
  });

  test.skipIf(browser === undefined)('a browser shows it, by day and by night', { timeout: 30_000 }, async () => {
    const folder = temporary();
    const store = join(folder, 'store');
    await makeStore(store);
    const file = join(folder, 'page.html');
    await evaq(['report', store, '--no-write', '-o', file]);
    const shoot = async (name: string, ...flags: string[]): Promise<Buffer> => {
      const picture = join(folder, `${name}.png`);
      const own = [`--user-data-dir=${join(folder, name)}`, `--screenshot=${picture}`, '--window-size=900,1200'];
      const all = ['--headless', '--no-sandbox', '--disable-gpu', '--hide-scrollbars', ...own, ...flags];
      await promisify(execFile)(browser ?? '', [...all, pathToFileURL(file).href], { timeout: 25_000 });
      return readFileSync(picture);
    };
    const [light, dark] = [await shoot('light'), await shoot('dark', '--blink-settings=preferredColorScheme=0')];
    // An empty page of that size takes some 5 KB.
    expect(light.length).toBeGreaterThan(20_000);
    expect(dark.length).toBeGreaterThan(20_000);
    expect(light.equals(dark)).toBe(false);
  });

  test('text is text, and scales end at round numbers', () => {
    const made = text(`<a href='x'>&\u001b[2J`);
    for (const character of ['<', '>', "'", '\u001b']) expect(made).not.toContain(character);
    expect([1, 5, 9, 40, 99, 4100].map(niceTop)).toEqual([4, 8, 10, 40, 100, 8000]);
    expect([100, 1155, 70_000].map(niceTopBytes)).toEqual([100, 2048, 81_920]);
  });
});
