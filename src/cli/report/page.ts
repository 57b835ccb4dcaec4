/** A report as one page of HTML: no script, and nothing that is loaded from anywhere. */
import type { Damage } from '../../raw.js';
import { formatMicroseconds, judgeSyncs } from '../doctor/sync-probe.js';
import { formatAge } from '../durations.js';
import { describeState } from '../info/info-view.js';
import { formatBytes, formatCount, isoTime } from '../record-format.js';
import { LogHistogram } from '../stats/log-histogram.js';
import { barChart } from './bar-chart.js';
import type { Gathered } from './gathered.js';
import { folded, section, table, text } from './html.js';
import { histogram, queueSection } from './queue-section.js';
import type { SetAside } from './set-aside.js';
import { STYLE } from './style.js';

/** The page forbids itself everything but its own style. */
const POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

export function renderPage(gathered: Gathered): string {
  const { atMs, info, usage, figures } = gathered;
  const sections = usage.queues
    .filter(({ segments, unreadable }) => unreadable !== undefined || segments.some(({ records }) => records > 0))
    .sort((a, b) => b.total.diskBytes - a.total.diskBytes)
    .map((queue): readonly [string, string, string] => {
      const own = figures.find((one) => one.queue === queue.queue);
      return [`queue-${queue.queue}`, `Queue ${queue.queue}`, queueSection(queue, own)];
    });
  const parts: (readonly [string, string, string])[] = [
    ...sections,
    ['letters', 'Dead letters', lettersSection(gathered)],
    ['syncs', 'Sync latency', syncSection(gathered)],
    ['damage', 'Recovery and damage', damageSection(gathered)],
    ['disk', 'Disk', diskSection(gathered)],
  ];
  const links = parts.map(([id, title]) => `<li><a href="#${text(id)}">${text(title)}</a></li>`).join('');
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="${text(POLICY)}">
<title>${text(`evaq: ${info.path}`)}</title>
<style>${STYLE}</style>
</head>
<body>
<a class="skip" href="#content">To the content</a>
<header>
<h1>${text(info.path)}</h1>
<p class="soft">${text(describeState(info.state, atMs))}. As of ${text(isoTime(atMs))}, by evaq report.</p>
${overview(gathered)}
</header>
<nav aria-label="Sections"><ul>${links}</ul></nav>
<main id="content">
${parts.map(([, , content]) => content).join('\n')}
</main>
</body>
</html>
`;
}

function overview({ info, usage, verified, letters, atMs }: Gathered): string {
  const live = usage.queues.flatMap(({ segments }) => segments).reduce((sum, { liveRecords }) => sum + liveRecords, 0);
  const dead = letters.reduce((sum, { total }) => sum + total, 0);
  const facts: (readonly [string, string])[] = [
    ['live records', `${live}`],
    ['on disk', formatBytes(usage.total.diskBytes)],
    ['dead letters', `${dead}`],
    ['damage', verified.damage.length === 0 ? 'none' : formatCount(verified.damage.length, 'place')],
  ];
  if (info.disk.freeBytes !== undefined) facts.push(['disk free', formatBytes(info.disk.freeBytes)]);
  if (info.created !== undefined) facts.push(['created', formatAge(Date.parse(info.created), atMs)]);
  return `<dl>${facts.map(([name, value]) => `<div><dt>${text(name)}</dt><dd>${text(value)}</dd></div>`).join('')}</dl>`;
}

const REASONS_MAX = 12;

function lettersSection({ letters, atMs }: Gathered): string {
  const groups = letters
    .flatMap(({ queue, groups: own }) => own.map((group) => ({ queue, ...group })))
    .sort((a, b) => b.count - a.count);
  const [first] = groups;
  if (first === undefined) return section('letters', 'Dead letters', '<p>There are none.</p>');
  const named = ({ reason, code }: (typeof groups)[number]): string =>
    [reason ?? 'no reason', code ?? []].flat().join(', ');
  const shown = groups.slice(0, REASONS_MAX);
  const total = groups.reduce((sum, { count }) => sum + count, 0);
  const label = `${formatCount(total, 'dead letter')}; most of them: ${named(first)}`;
  const chart = barChart({
    label,
    parts: [{ name: 'dead letters', colour: 'bad' }],
    bars: shown.map((group) => ({ title: `${named(group)}: ${group.count}`, values: [group.count] })),
    format: (value) => `${value}`,
    from: named(first),
    to: shown.length < 2 ? '' : named(shown.at(-1) ?? first),
  });
  const rows = groups.map(({ queue, reason, code, count, firstMs, lastMs, sample }) => {
    return [
      reason ?? '-',
      code ?? '-',
      queue,
      count,
      formatAge(firstMs, atMs),
      formatAge(lastMs, atMs),
      sample.message === undefined ? `${sample.id}` : `${sample.id}: ${sample.message}`,
    ];
  });
  const head = ['reason', 'code', 'of queue', 'count', 'first', 'last', 'a sample'];
  return section(
    'letters',
    'Dead letters',
    `<p class="soft">${text(label)}</p>${chart}${table('Dead letters by reason and code', head, rows)}`,
  );
}

function syncSection({ syncs }: Gathered): string {
  if (syncs === undefined) return section('syncs', 'Sync latency', '<p>It was not measured.</p>');
  const counted = new LogHistogram();
  for (const us of syncs.allUs ?? []) counted.add(us);
  const { says, verdict, hint } = judgeSyncs(syncs);
  const verdictText = `<p${verdict === 'ok' ? '' : ' class="warn"'}>${text([says, hint ?? []].flat().join('. '))}</p>`;
  return section(
    'syncs',
    'Sync latency',
    `${verdictText}<div class="spreads">${histogram('Of a write of 4 KiB, beside the store', counted.figures(), formatMicroseconds)}</div>`,
  );
}

function damageSection({ verified, setAside, info, atMs }: Gathered): string {
  const { damage, torn, queues } = verified;
  const records = queues.reduce((sum, queue) => sum + queue.records, 0);
  const bytes = queues.reduce((sum, queue) => sum + queue.bytes, 0);
  const parts = [
    damage.length === 0
      ? `<p>Intact: ${text(formatCount(records, 'record'))}, ${text(formatBytes(bytes))} were read and checked.</p>`
      : `<p class="warn">Damaged in ${text(formatCount(damage.length, 'place'))}: <code>evaq repair</code> shows what can be done.</p>`,
    `<p>${text(describeState(info.state, atMs))}.</p>`,
    setAside.length === 0
      ? '<p>No recovery and no repair has set anything aside.</p>'
      : table(
          'What recoveries and repairs have set aside',
          ['when', 'of what', 'where', 'size'],
          setAside.map(asideRow),
        ),
    '<p class="soft">A recovery that had nothing to set aside leaves no trace on disk: what it came to was told to the program that opened the store (evaq.recovery).</p>',
  ];
  if (damage.length > 0) {
    const head = ['file', 'offset', 'bytes', 'what', 'records that may be lost'];
    parts.push(
      table(
        'Damage',
        head,
        damage.map((one) => [one.file, one.offset, one.bytes, one.what, idsOf(one)]),
      ),
    );
  }
  if (torn.length > 0) {
    const rows = torn.map(({ file, offset, bytes: left }) => [file, offset, left]);
    parts.push(
      '<p>A torn end, which the next open cuts off, is what a crash leaves; nothing acknowledged is in it.</p>',
      table('Torn ends', ['file', 'offset', 'bytes'], rows),
    );
  }
  return section('damage', 'Recovery and damage', parts.join('\n'));
}

function asideRow({ path, bytes, atMs, what }: SetAside): string[] {
  return [isoTime(atMs), what, path, formatBytes(bytes)];
}

function idsOf({ firstId, lastId, lossless }: Damage): string {
  if (lossless) return 'none';
  return firstId === undefined ? 'not known' : firstId === lastId ? `${firstId}` : `${firstId} to ${lastId}`;
}

function diskSection({ usage }: Gathered): string {
  const rows: (string | number)[][] = usage.queues.flatMap(
    ({ queue, segments, tombstones, pool, logs, leftovers, quarantine, others }) => {
      const live = segments.reduce((sum, { diskBytes }) => sum + diskBytes, 0);
      const parts: (readonly [string, number, number])[] = [
        ['segments', segments.length, live],
        ['removals', tombstones.files, tombstones.diskBytes],
        ['kept to be overwritten', pool.files, pool.diskBytes],
        ['deliveries, message IDs', logs.files, logs.diskBytes],
        ['unfinished, or kept for opening', leftovers.files, leftovers.diskBytes],
        ['quarantine', quarantine.files, quarantine.diskBytes],
        ["not evaq's, or unreadable", others.files, others.diskBytes],
      ];
      return parts
        .filter(([, files]) => files > 0)
        .map(([name, files, bytes]) => [`${queue}: ${name}`, files, formatBytes(bytes)]);
    },
  );
  for (const [name, space] of [
    ['STORE, LOCK, folders', usage.store],
    ['backups of repairs', usage.backups],
    ["not evaq's", usage.others],
  ] as const) {
    if (space.files > 0) rows.push([name, space.files, formatBytes(space.diskBytes)]);
  }
  const all = `${formatBytes(usage.total.diskBytes)} in ${formatCount(usage.total.files, 'file')}, which is what du says`;
  return section(
    'disk',
    'Disk',
    `<p>${text(all)}</p>${folded('as a table', table('Where the bytes are', ['what', 'files', 'on disk'], rows))}`,
  );
}
