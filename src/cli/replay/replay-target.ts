/** Where `evaq replay` sends records: a destination by its URL, another store, a command, or standard output. */
import { once } from 'node:events';
import { onceAborted } from '../../abortable.js';
import type { Queue } from '../../evaq.js';
import { isSinkError, SinkError } from '../../forward/sink-error.js';
import type { QueueRecord } from '../../log/queue-record.js';
import { openDestination } from '../destinations.js';
import { type OutputFlags, RecordPrinter } from '../records/record-printer.js';

export interface Sent {
  readonly record: QueueRecord;
  readonly queue: string;
  /** The same at every try, also after an interruption. */
  readonly deliveryId: string;
  readonly attempt: number;
}

export interface ReplayTarget {
  /** For messages. */
  readonly name: string;
  /** Resolves when the other side has it. Rejects with a `SinkError`, or with anything, which is tried again. */
  send(sent: Sent, signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
}

export async function sinkTarget(to: string, headers: Readonly<Record<string, string>>): Promise<ReplayTarget> {
  const { sink, close } = await openDestination(to, { format: 'raw', headers, follow: false });
  return {
    name: placeOf(to) ?? sink.name,
    send: async ({ record, queue, deliveryId, attempt }, signal) => {
      const { id, payload, timestamp } = record;
      const one = { id, payload, timestamp, headers: record.headers ?? {}, deliveryId, attempt, key: undefined };
      const result = await sink.deliver([one], { signal, queue });
      const [failed] = result?.failed ?? [];
      if (failed !== undefined) throw failed.error;
    },
    close,
  };
}

/** Without what is secret in it; `undefined` where it cannot be read as one. */
export function placeOf(url: string): string | undefined {
  if (!URL.canParse(url)) return undefined;
  const { protocol, host, pathname } = new URL(url);
  return `${protocol}//${host}${pathname}`;
}

/** What a store remembers of what came in: a replay that is interrupted and begun again pushes nothing twice. */
const DEDUPE = { windowMs: 24 * 60 * 60 * 1000, windowRecords: 1_000_000 };

/** Pushes to the queue of the same name. */
export async function storeTarget(dir: string): Promise<ReplayTarget> {
  const { Evaq } = await import('../../evaq.js');
  const evaq = await Evaq.open(dir, { dedupe: DEDUPE });
  const queues = new Map<string, Promise<Queue>>();
  return {
    name: dir,
    send: async ({ record: { payload, headers }, queue: name, deliveryId }) => {
      const queue = queues.get(name) ?? evaq.queue(name);
      queues.set(name, queue);
      const options = headers === undefined ? {} : { headers };
      await (await queue).push(payload, { ...options, messageId: deliveryId });
    },
    close: () => evaq.close(),
  };
}

/** Runs the command in a shell for each record, which is its standard input. */
export function execTarget(command: string): ReplayTarget {
  return {
    name: command,
    send: async ({ record, queue, deliveryId, attempt }, signal) => {
      const { spawn } = await import('node:child_process');
      const child = spawn(command, {
        shell: true,
        stdio: ['pipe', 'inherit', 'inherit'],
        env: {
          ...process.env,
          EVAQ_ID: String(record.id),
          EVAQ_QUEUE: queue,
          EVAQ_DELIVERY_ID: deliveryId,
          EVAQ_ATTEMPT: String(attempt),
        },
      });
      const over = onceAborted(signal, () => child.kill());
      try {
        // It need not read what it is given.
        child.stdin?.on('error', () => undefined);
        child.stdin?.end(record.payload);
        const [code, killed]: (number | string | null)[] = await once(child, 'close');
        if (code !== 0) throw new SinkError('retry', killed === null ? `exit code ${code}` : `ended by ${killed}`);
      } finally {
        over();
      }
    },
    close: () => Promise.resolve(),
  };
}

export function stdoutTarget(flags: OutputFlags): ReplayTarget {
  const printer = new RecordPrinter(flags);
  return {
    name: 'standard output',
    send: async ({ record, queue }) => {
      await printer.print({ record, queue });
      await printer.flush();
    },
    close: () => printer.flush(),
  };
}

/** Not to be tried again: the destination has said so. */
export function isFinal(error: unknown): boolean {
  return isSinkError(error) && (error.kind === 'rejected' || error.kind === 'unauthorized');
}

/** Nothing will get in until somebody steps in. */
export function isUnauthorized(error: unknown): error is SinkError {
  return isSinkError(error) && error.kind === 'unauthorized';
}
