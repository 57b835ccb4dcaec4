/**
 * What a sink costs beside its bare client: the same messages, to the same server, in turns. The sink has records and gives a result; the client is called
 * as its documentation calls it where throughput counts, with as many messages on their way as the sink has in a batch. Neither has a store beside it:
 * that `forward` costs more than `deliver` is the store's part.
 */
import type { Sink, SinkRecord } from '../../src/forward.js';
import type { GroundName } from './grounds.js';
import { RIVALS } from './sink-rivals.js';

export interface SinkRate {
  readonly name: GroundName;
  /** Messages a second: the median of the rounds. */
  readonly sink: number;
  readonly client: number;
  /** Of the rounds, sink to client: the median. */
  readonly ratio: number;
  /** Time of a processor in this process, in microseconds a message: medians. It is steadier than the rates, on a machine that has other work. */
  readonly sinkCpu: number;
  readonly clientCpu: number;
}

export interface RateOptions {
  readonly messages: number;
  readonly rounds: number;
  readonly batch: number;
}

export interface Rival {
  readonly sink: Sink;
  /** Resolves when the server has acknowledged all of them. */
  send(records: readonly SinkRecord[]): Promise<unknown>;
  end(): Promise<void>;
}

interface Round {
  readonly rate: number;
  readonly cpu: number;
}

const PAYLOAD_BYTES = 200;

export async function sinkRate(name: GroundName, options: RateOptions): Promise<SinkRate> {
  const rival = await RIVALS[name]();
  try {
    const sinks: Round[] = [];
    const clients: Round[] = [];
    let next = 1;
    const deliver = async (records: readonly SinkRecord[]): Promise<void> => {
      const { signal } = new AbortController();
      const result = await rival.sink.deliver(records, { signal, queue: 'wal', arrived: () => undefined });
      const [failure] = result?.failed ?? [];
      if (failure !== undefined) throw new Error(`record ${failure.id} has not arrived`, { cause: failure.error });
    };
    const rate = async (send: (records: readonly SinkRecord[]) => Promise<unknown>): Promise<Round> => {
      const batches: SinkRecord[][] = [];
      for (let left = options.messages; left > 0; left -= options.batch) {
        batches.push(Array.from({ length: Math.min(left, options.batch) }, () => recordOf(next++)));
      }
      const began = performance.now();
      const cpu = process.cpuUsage();
      for (const batch of batches) await send(batch);
      const { user, system } = process.cpuUsage(cpu);
      return {
        rate: (options.messages * 1000) / (performance.now() - began),
        cpu: (user + system) / options.messages,
      };
    };
    // One round of each is for the compiler.
    for (let round = -1; round < options.rounds; round++) {
      const first = round % 2 === 0;
      const one = first ? await rate(deliver) : await rate((records) => rival.send(records));
      const other = first ? await rate((records) => rival.send(records)) : await rate(deliver);
      if (round < 0) continue;
      sinks.push(first ? one : other);
      clients.push(first ? other : one);
    }
    const ratio = median(sinks.map(({ rate: one }, i) => one / (clients[i]?.rate ?? one)));
    const [sink, client] = [sinks, clients].map((rounds) => median(rounds.map(({ rate: one }) => one)));
    const [sinkCpu, clientCpu] = [sinks, clients].map((rounds) => median(rounds.map(({ cpu }) => cpu)));
    return { name, sink: sink ?? 0, client: client ?? 0, ratio, sinkCpu: sinkCpu ?? 0, clientCpu: clientCpu ?? 0 };
  } finally {
    await rival.end();
  }
}

function recordOf(id: number): SinkRecord {
  return {
    id,
    payload: Buffer.alloc(PAYLOAD_BYTES, 97 + (id % 26)),
    headers: { kind: 'order' },
    timestamp: 1_700_000_000_000 + id,
    deliveryId: `0123456789abcdef:wal:${id}`,
    attempt: 1,
    key: `k${id % 100}`,
  };
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? 0;
}
