/** Looking at dead letters: as a list, in numbers, and one of them. */
import { codeOfFailure, type DeadLetterSummary, failureTimesOf } from '../../queue/dead-letter.js';
import type { QueueRecord } from '../../raw.js';
import { formatAge } from '../durations.js';
import { plainTable } from '../plain-table.js';
import { formatCount, isoTime } from '../record-format.js';
import { harmless, harmlessBytes } from '../records/harmless.js';
import { shortened } from '../terminal-width.js';

const QUEUE_WIDTH = 14;
const REASON_MAX = 60;

export const LIST_HEAD: string = row('ID', 'of', 'failed', 'tries', 'code', 'reason');

/** One line for a letter. */
export function listLine(record: QueueRecord, home: string, nowMs: number): string {
  const { id, reason, error, attempts, timestamp } = record;
  const lastMs = failureTimesOf(record)?.[1] ?? timestamp;
  const why = harmless(reason ?? error?.message ?? '-');
  return row(
    `${id}`,
    harmless(home),
    formatAge(lastMs, nowMs),
    `${attempts ?? 0}`,
    harmless(codeOfFailure(error) ?? '-'),
    shortened(why, REASON_MAX),
  );
}

function row(id: string, home: string, age: string, attempts: string, code: string, reason: string): string {
  return `${id.padStart(8)}  ${home.padEnd(QUEUE_WIDTH)}  ${age.padEnd(10)}  ${attempts.padStart(5)}  ${code.padEnd(14)}  ${reason}`;
}

export function renderSummary({ total, groups, ungrouped }: DeadLetterSummary, home: string, nowMs: number): string {
  const lines = [`dead letters of ${home}: ${total}`];
  if (groups.length === 0) return lines.join('\n');
  const rows = groups.map(({ count, reason, code, firstMs, lastMs, sample }) => [
    count,
    shortened(harmless(reason ?? '-'), 24),
    shortened(harmless(code ?? '-'), 14),
    formatAge(firstMs, nowMs),
    formatAge(lastMs, nowMs),
    `${sample.id}`,
  ]);
  const head = ['count', 'reason', 'code', 'first', 'last', 'sample'];
  lines.push(plainTable(head, ['right', 'left', 'left', 'left', 'left', 'right'], rows));
  if (ungrouped > 0) lines.push(`and ${ungrouped} of other kinds`);
  return lines.join('\n');
}

export function renderLetter(record: QueueRecord, home: string, nowMs: number): string {
  const { id, reason, error, attempts, redrives, origin, headers, dueMs, payload } = record;
  const [firstMs, lastMs] = failureTimesOf(record) ?? [];
  const lines = [`dead letter ${id} of ${home}`];
  const say = (name: string, text: string | undefined): void => {
    if (text !== undefined) lines.push(`${name.padEnd(12)}${text}`);
  };
  say('reason', reason === undefined ? undefined : harmless(reason));
  let depth = 0;
  for (let one = error; one !== undefined; one = one.cause) {
    const code = one.code === undefined ? '' : ` (${harmless(one.code)})`;
    say(depth++ === 0 ? 'error' : 'because of', `${harmless(one.name ?? 'Error')}: ${harmless(one.message)}${code}`);
  }
  say('tries', attempts === undefined ? undefined : formatCount(attempts, 'failed attempt'));
  say('first', time(firstMs, nowMs));
  say('last', time(lastMs, nowMs));
  say('went back', redrives === undefined ? undefined : formatCount(redrives, 'time'));
  say('due', time(dueMs, nowMs));
  say(
    'was',
    origin === undefined ? undefined : `record ${origin.id} of ${origin.queue}, pushed ${isoTime(origin.timestamp)}`,
  );
  for (const [name, value] of Object.entries(headers ?? {})) say('header', `${harmless(name)}: ${harmless(value)}`);
  say('payload', `${formatCount(payload.length, 'byte')}`);
  lines.push('', harmlessBytes(payload));
  return lines.join('\n');
}

function time(ms: number | undefined, nowMs: number): string | undefined {
  return ms === undefined ? undefined : `${isoTime(ms)}, ${formatAge(ms, nowMs)}`;
}
