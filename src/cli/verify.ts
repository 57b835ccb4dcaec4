/** `evaq verify`: reads every byte of a store and checks it. Takes no lock, writes nothing. */
import type { SingleBar } from 'cli-progress';
import { Command } from 'commander';
import { type Damage, type VerifyProgress, type VerifyReport, verifyStore } from '../raw.js';
import { EXIT_CORRUPT, EXIT_TORN } from './exit-code.js';
import { interruptible } from './interrupt.js';
import { Output } from './output.js';
import { progressBar } from './progress-bar.js';
import { formatBytes, formatCount, isoTime } from './record-format.js';

const RANGES_SHOWN = 8;

interface VerifyFlags {
  readonly strict: boolean;
  readonly json: boolean;
}

export function verifyCommand(): Command {
  return new Command('verify')
    .argument('<dir>', 'the store')
    .option('--strict', 'exit with 4 for a torn end, which is what a crash leaves and the next open repairs', false)
    .option('--json', 'as JSON', false)
    .addHelpText(
      'after',
      '\nExit codes: 0 intact, 3 damaged, 4 with --strict: nothing but a torn end.\n\nExamples:\n  evaq verify ./orders\n  evaq verify ./orders --strict --json',
    )
    .action((dir: string, flags: VerifyFlags) => interruptible((signal) => verify(dir, flags, signal)));
}

async function verify(dir: string, flags: VerifyFlags, signal: AbortSignal): Promise<void> {
  const drawn = await progressBar('{queue} [{bar}] {percentage}% | {done} of {all} | {eta_formatted} left');
  const bar = drawn === undefined ? undefined : new Bar(drawn);
  let report: VerifyReport;
  try {
    report = await verifyStore(dir, { signal, onProgress: (progress) => bar?.show(progress) });
  } finally {
    bar?.stop();
  }
  const out = new Output();
  await out.line(flags.json ? toJson(report) : render(report));
  await out.flush();
  if (report.damage.length > 0) process.exitCode = EXIT_CORRUPT;
  else if (report.torn.length > 0 && flags.strict) process.exitCode = EXIT_TORN;
}

class Bar {
  readonly #bar: SingleBar;
  #started = false;

  constructor(bar: SingleBar) {
    this.#bar = bar;
  }

  show({ queue, bytes, totalBytes }: VerifyProgress): void {
    const payload = { queue, done: formatBytes(bytes), all: formatBytes(totalBytes) };
    if (!this.#started) this.#bar.start(totalBytes, bytes, payload);
    this.#started = true;
    this.#bar.setTotal(totalBytes);
    this.#bar.update(bytes, payload);
  }

  stop(): void {
    if (this.#started) this.#bar.stop();
  }
}

/** Version 1 of this layout. */
function toJson({ path, queues, damage, torn }: VerifyReport): string {
  const places = damage.map(({ fromMs, toMs, ...rest }) => {
    return {
      ...rest,
      from: fromMs === undefined ? undefined : isoTime(fromMs),
      to: toMs === undefined ? undefined : isoTime(toMs),
    };
  });
  return JSON.stringify({ v: 1, path, ok: damage.length === 0, damage: places, torn, queues }, null, 2);
}

function render({ queues, damage, torn }: VerifyReport): string {
  const lines = renderAll(damage);
  for (const { file, offset, bytes } of torn) {
    lines.push(
      `torn      ${file}: ${formatCount(bytes, 'byte')} from offset ${offset} on, which the next open cuts off`,
    );
  }
  const records = queues.reduce((sum, queue) => sum + queue.records, 0);
  const bytes = queues.reduce((sum, queue) => sum + queue.bytes, 0);
  const checked = `${formatCount(records, 'record')} in ${formatCount(queues.length, 'queue')}, ${formatBytes(bytes)}`;
  const verdict = damage.length === 0 ? 'intact' : `damaged in ${formatCount(placesOf(damage).length, 'place')}`;
  lines.push(`${verdict}: ${checked}`);
  return lines.join('\n');
}

/** For people: two lines for each place, with all that is lost there. */
export function renderAll(damage: readonly Damage[]): string[] {
  return placesOf(damage).map(renderPlace);
}

/** No more of them than one reads: `--json` has them all. */
function listed(ranges: readonly string[]): string {
  const more = ranges.length - RANGES_SHOWN;
  if (more <= 1) return ranges.join(', ');
  return `${ranges.slice(0, RANGES_SHOWN).join(', ')} and ${more} more ranges`;
}

/** Damage is told once for each range of lost records: those of one place belong together. */
function placesOf(damage: readonly Damage[]): (readonly [Damage, ...Damage[]])[] {
  const places: [Damage, ...Damage[]][] = [];
  for (const one of damage) {
    const place = places.at(-1);
    if (
      place !== undefined &&
      place[0].file === one.file &&
      place[0].offset === one.offset &&
      place[0].what === one.what
    )
      place.push(one);
    else places.push([one]);
  }
  return places;
}

function renderPlace(ranges: readonly [Damage, ...Damage[]]): string {
  const [{ file, offset, bytes, fromMs, toMs, what, lossless }] = ranges;
  const lines = [
    `${lossless ? 'harmless' : 'damage'}  ${file}: offset ${offset}, ${formatCount(bytes, 'byte')}: ${what}`,
  ];
  const ids = ranges.flatMap(({ firstId, lastId, vague }) => {
    if (firstId === undefined || lastId === undefined) return [];
    const range = firstId === lastId ? `${firstId}` : `${firstId} to ${lastId}`;
    return [vague === true ? `some of ${range}` : range];
  });
  if (ids.length > 0) {
    const isOne = ranges.length === 1 && ranges[0].firstId === ranges[0].lastId;
    const times =
      fromMs === undefined || toMs === undefined ? '' : `, pushed from ${isoTime(fromMs)} to ${isoTime(toMs)}`;
    lines.push(`          may be lost: ${isOne ? 'record' : 'records'} ${listed(ids)}${times}`);
  }
  return lines.join('\n');
}
