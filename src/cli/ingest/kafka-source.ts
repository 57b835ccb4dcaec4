/**
 * `kafka://HOST:PORT/TOPIC`: the messages of a topic. How far each partition has been read stands in a checkpoint of the queue, in the same commit as its
 * records, and that counts: what Kafka keeps of the group is for those who look at its lag. Partitions that are taken over are read on from there.
 */
import { setTimeout as passTime } from 'node:timers/promises';
import type { Consumer, EachBatchPayload, Kafka, KafkaMessage } from 'kafkajs';
import { messageOf } from '../../errors.js';
import type { PushEntry } from '../../evaq.js';
import { KAFKA_OPTIONS, kafkaOf } from '../destinations/kafka-client.js';
import { UrlOptions } from '../destinations/url-options.js';
import { decoded } from '../destinations/url-parts.js';
import { Refused, say, UsageError } from '../exit-code.js';
import type { IngestFlags, Source, SourceContext } from './source.js';
import type { SourceIntake } from './source-intake.js';

/** One that was killed keeps its partitions for so long. */
const SESSION_MS = 6000;
/** Of the client: one that follows goes on by itself after that. */
const RETRIES = 10;
/** Between tries while the cluster is away. */
const AGAIN_MS = 2000;
/** Without `--follow`: no message for so long is the end. */
const QUIET_MS = 10_000;

export function kafkaSource(url: URL, flags: IngestFlags): Source {
  const { source } = flags;
  const options = new UrlOptions('--from', url, [...KAFKA_OPTIONS, 'group']);
  const topic = decoded(url.pathname.slice(1), '--from');
  if (topic === '') throw new UsageError('--from kafka://HOST:PORT/TOPIC: the topic is missing');
  const name = source ?? `kafka:${topic}`;
  return {
    name,
    async run(intake, context) {
      const { kafka } = await kafkaOf('--from', url, options);
      const groupId = options.text('group') ?? `evaq-${context.storeId}-${context.queue}`;
      const read = (): Promise<void> => new TopicReader(kafka, topic, name, flags, intake, context).run(groupId);
      await untilRead(url.host, read, flags.follow, context.signal);
    },
  };
}

/** Where it follows, a cluster that is away is waited for. @throws Refused, and what is none of Kafka's */
async function untilRead(host: string, read: () => Promise<void>, follow: boolean, signal: AbortSignal): Promise<void> {
  let isDown = false;
  for (;;) {
    try {
      await read();
      return;
    } catch (error) {
      if (!isOfKafka(error)) throw error;
      if (!follow) throw new Refused(`kafka://${host}: ${messageOf(error)}`);
      if (!isDown) say(`kafka://${host} is away; it is tried again by itself: ${messageOf(error)}`);
      isDown = true;
    }
    await passTime(AGAIN_MS, undefined, { signal });
  }
}

/** What the client throws has a name of its own. */
function isOfKafka(error: unknown): boolean {
  return (
    typeof error === 'object' &&
    error !== null &&
    'name' in error &&
    typeof error.name === 'string' &&
    error.name.startsWith('KafkaJS')
  );
}

/** Where to read on. A place behind the end is of a topic that is not there any more: one of that name was made anew. */
function placeIn(
  partition: number,
  position: string | number | undefined,
  low: bigint,
  high: bigint,
): bigint | undefined {
  if (!/^\d+$/.test(String(position))) return undefined;
  const next = BigInt(String(position));
  if (next <= high) return next;
  say(
    `partition ${partition} ends at ${high}, and was read to ${next}: the topic was made anew; it is read from ${low}`,
  );
  return low;
}

class TopicReader {
  readonly #kafka: Kafka;
  readonly #topic: string;
  readonly #name: string;
  readonly #follow: boolean;
  readonly #long: IngestFlags['long'];
  readonly #intake: SourceIntake;
  readonly #context: SourceContext;
  /** By partition: the offset of the next message. */
  readonly #next: Map<number, bigint> = new Map();
  /** By partition: where what is there ends; only where it does not follow. */
  readonly #ends: Map<number, bigint> = new Map();
  /** Ends it, with an error or without. */
  #end: (error?: unknown) => void = () => undefined;
  /** When the last batch came; `Infinity`: it has no partitions yet, for one that was killed has them still. */
  #heardMs = Infinity;
  /** One batch at a time: one that is late, for the queue was full, may meet the same messages again. */
  #turn: Promise<void> = Promise.resolve();

  constructor(
    kafka: Kafka,
    topic: string,
    name: string,
    { follow, long }: IngestFlags,
    intake: SourceIntake,
    context: SourceContext,
  ) {
    this.#kafka = kafka;
    this.#topic = topic;
    this.#name = name;
    this.#follow = follow;
    this.#long = long;
    this.#intake = intake;
    this.#context = context;
  }

  async run(groupId: string): Promise<void> {
    const { signal } = this.#context;
    if (!(await this.#findOut())) return;
    const consumer = this.#kafka.consumer({
      groupId,
      sessionTimeout: SESSION_MS,
      heartbeatInterval: SESSION_MS / 5,
      retry: { retries: RETRIES, initialRetryTime: 200 },
    });
    const over = new Promise<void>((resolve, reject) => {
      this.#end = (error) => (error === undefined ? resolve() : reject(error));
    });
    over.catch(() => undefined);
    const stop = (): void => this.#end();
    signal.addEventListener('abort', stop, { once: true });
    if (signal.aborted) stop();
    const quiet = setInterval(() => this.#endWhereQuiet(), 1000);
    try {
      await this.#read(consumer);
      await over;
    } finally {
      clearInterval(quiet);
      signal.removeEventListener('abort', stop);
      await consumer.disconnect();
    }
  }

  /** Where each partition begins for us and, where it does not follow, ends. False: there is nothing to read. */
  async #findOut(): Promise<boolean> {
    const admin = this.#kafka.admin();
    await admin.connect();
    try {
      for (const { partition, low, high } of await admin.fetchTopicOffsets(this.#topic)) {
        const position = await this.#intake.position(this.#sourceOf(partition));
        const next = placeIn(partition, position, BigInt(low), BigInt(high));
        if (next !== undefined) this.#next.set(partition, next);
        if ((next ?? BigInt(low)) < BigInt(high)) this.#ends.set(partition, BigInt(high));
      }
    } finally {
      await admin.disconnect();
    }
    return this.#follow || this.#ends.size > 0;
  }

  async #read(consumer: Consumer): Promise<void> {
    consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
      this.#heardMs = performance.now();
      for (const partition of payload.memberAssignment[this.#topic] ?? []) this.#seek(consumer, partition);
    });
    consumer.on(consumer.events.CRASH, ({ payload }) => {
      if (!payload.restart) this.#end(payload.error);
    });
    await consumer.connect();
    await consumer.subscribe({ topic: this.#topic, fromBeginning: true });
    await consumer.run({
      autoCommit: false,
      eachBatchAutoResolve: false,
      eachBatch: (payload) => {
        const turn = this.#turn.then(() => this.#takeBatch(consumer, payload));
        this.#turn = turn.catch(() => undefined);
        return turn;
      },
    });
  }

  #seek(consumer: Consumer, partition: number): void {
    const next = this.#next.get(partition);
    if (next !== undefined) consumer.seek({ topic: this.#topic, partition, offset: String(next) });
  }

  async #takeBatch(consumer: Consumer, payload: EachBatchPayload): Promise<void> {
    const { batch } = payload;
    if (payload.isStale() || !payload.isRunning()) return;
    const { partition } = batch;
    this.#heardMs = performance.now();
    const read = this.#next.get(partition);
    const next = placeIn(partition, String(read), 0n, BigInt(batch.highWatermark)) ?? 0n;
    const messages = batch.messages.filter(({ offset }) => BigInt(offset) >= next);
    const fetched: unknown = Reflect.get(batch, 'fetchedOffset');
    if (typeof fetched === 'string' && next > 0n && BigInt(fetched) > next) {
      say(`partition ${partition}: ${BigInt(fetched) - next} offsets from ${next} on are not there any more`);
    }
    const position = BigInt(batch.lastOffset()) + 1n;
    try {
      await this.#push(partition, messages, position);
    } catch (error) {
      this.#end(this.#context.signal.aborted ? undefined : error);
      throw error;
    }
    payload.resolveOffset(batch.lastOffset());
    await payload.heartbeat();
    const offsets = [{ topic: this.#topic, partition, offset: String(position) }];
    // Only for those who look at the lag.
    await consumer.commitOffsets(offsets).catch(() => undefined);
    if (!this.#follow && [...this.#ends].every(([one, end]) => (this.#next.get(one) ?? 0n) >= end)) this.#end();
  }

  async #push(partition: number, messages: readonly KafkaMessage[], position: bigint): Promise<void> {
    const { bytesMax, signal } = this.#context;
    const entries = messages.map((message) => this.#entryOf(partition, message));
    const taken = this.#long === 'skip' ? entries.filter(({ payload }) => payload.length <= bytesMax) : entries;
    if (taken.length < entries.length) say(`${entries.length - taken.length} messages too large were skipped`);
    await this.#intake.push(taken, { source: this.#sourceOf(partition), position: String(position) }, signal);
    this.#next.set(partition, position);
  }

  #entryOf(partition: number, { key, value, offset, headers = {} }: KafkaMessage): PushEntry & { payload: Buffer } {
    const own: Record<string, string> = {};
    for (const [name, said] of Object.entries(headers)) {
      const last = Array.isArray(said) ? said.at(-1) : said;
      if (last !== undefined && name !== '') own[name] = last.toString();
    }
    own['kafka-partition'] = String(partition);
    own['kafka-offset'] = offset;
    if (key !== null) own['kafka-key'] = key.toString();
    if (value === null) own['kafka-tombstone'] = 'true';
    return { payload: value ?? Buffer.alloc(0), headers: own };
  }

  /** Behind the last message there may be offsets that are none: of transactions, and of what was compacted. */
  #endWhereQuiet(): void {
    if (!this.#follow && performance.now() - this.#heardMs > QUIET_MS) this.#end();
  }

  #sourceOf(partition: number): string {
    return `${this.#name}/${partition}`;
  }
}
