/**
 * The consumer of a queue, which all deliveries share, in whatever process: asked for so many messages, and told what became of each.
 */
import { randomUUID } from 'node:crypto';
import { after } from '../vfs/own-timers.js';
import { type JsApi, numberIn, objectIn, refusedError } from './js-api.js';
import { entriesOf, type NatsMessage } from './nats-client.js';
import { pause } from './pause.js';
import type { StoredMessage } from './record-message.js';

const CONSUMER = 'evaq';
const NANOS = 1_000_000;
/** How long a question for messages stands. */
const PULL_MS = 5000;
/** And then the server has not said so: it is not there any more. */
const PULL_GRACE_MS = 1000;
/** What comes all the same, later than that, is taken: it would count as lost with a process. */
const LINGER_MS = 30_000;
/** Before somebody is asked again where nobody was there. */
const NOBODY_MS = 300;
const EXISTS = 10_148;
const EXISTS_NOT = 10_149;
const ENSURE_TRIES = 10;
/** After a change it is looked again. */
const CHANGED_MS = 100;
const ACK_TRIES = 3;
const ACK_MS = 2000;

/** A message that is to be acknowledged. */
export interface Pulled extends StoredMessage {
  /** As the server counts, this one included. */
  readonly deliveries: number;
  readonly ack: string;
}

export interface ConsumerEvents {
  /** `wasAsked`: it counts for a question that stands. */
  readonly onMessage: (message: Pulled, wasAsked: boolean) => void;
  /** A question is over, and so many of what it asked for did not come. */
  readonly onOver: (missing: number) => void;
  /** There is no consumer any more. */
  readonly onLost: () => void;
}

/** A question for messages. They bear the subject of their record, so each question listens for itself. */
interface Pull {
  missing: number;
  /** Listens no more, at once or after so many ms. */
  readonly end: (lingerMs: number) => void;
  readonly drain: () => Promise<void>;
}

export class QueueConsumer {
  readonly #api: JsApi;
  readonly #stream: string;
  readonly #events: ConsumerEvents;
  readonly #inbox = `_INBOX.evaq.${randomUUID()}`;
  readonly #pulls = new Set<Pull>();
  #count = 0;

  constructor(stream: string, api: JsApi, events: ConsumerEvents) {
    this.#api = api;
    this.#stream = stream;
    this.#events = events;
  }

  /**
   * Made if there is none. In order: one message at a time, over all processes. Of the leases of all who ever delivered the longest stays: whoever says that
   * he is there as often as his own asks is heard in time.
   * @throws TypeError where others deliver in another order
   */
  async ensure(inOrder: boolean, leaseMs: number): Promise<void> {
    const pending = inOrder ? 1 : -1;
    for (let tries = 1; ; tries++) {
      const { body } = await this.#api.ask(`CONSUMER.INFO.${this.#stream}.${CONSUMER}`);
      const has = objectIn(body, 'config');
      const before = numberIn(has, 'max_ack_pending');
      const isUsed = (numberIn(body, 'num_waiting') ?? 0) > 0 || (numberIn(body, 'num_ack_pending') ?? 0) > 0;
      if (before !== undefined && before !== pending && isUsed)
        throw new TypeError(`'${this.#stream}' is being delivered in another order by others`);
      const waitNanos = numberIn(has, 'ack_wait') ?? 0;
      if (before === pending && waitNanos >= leaseMs * NANOS) return;
      const config = {
        durable_name: CONSUMER,
        ack_policy: 'explicit',
        ack_wait: Math.max(leaseMs * NANOS, waitNanos),
        max_deliver: -1,
        max_ack_pending: pending,
        deliver_policy: 'all',
        replay_policy: 'instant',
      };
      const { refusal } = await this.#api.ask(`CONSUMER.DURABLE.CREATE.${this.#stream}.${CONSUMER}`, {
        stream_name: this.#stream,
        config,
        action: has === undefined ? 'create' : 'update',
      });
      if (refusal === undefined && has === undefined) return;
      // Somebody else was faster: made it, or removed it; or he changes it at the same time, and one of both has overwritten the other.
      const isOther = refusal === undefined || refusal.errCode === EXISTS || refusal.errCode === EXISTS_NOT;
      if (refusal === undefined) await pause(CHANGED_MS);
      if (!isOther || tries >= ENSURE_TRIES) throw refusedError(`a consumer of ${this.#stream}`, refusal);
    }
  }

  /** Asks for so many. */
  pull(batch: number): void {
    const subject = `${this.#inbox}.${++this.#count}`;
    const { connection } = this.#api;
    if (connection.isClosed()) return;
    const cancel = after(PULL_MS + PULL_GRACE_MS, () => this.#over(pull, LINGER_MS));
    const subscription = connection.subscribe(subject, {
      callback: (error, message) => {
        if (error === null) this.#take(pull, message);
      },
    });
    const pull: Pull = {
      missing: batch,
      end: (lingerMs) => {
        cancel();
        if (lingerMs === 0) subscription.unsubscribe();
        else after(lingerMs, () => subscription.unsubscribe());
      },
      drain: async () => {
        cancel();
        await subscription.drain().catch(() => undefined);
      },
    };
    this.#pulls.add(pull);
    const asked = JSON.stringify({ batch, expires: PULL_MS * NANOS });
    try {
      connection.publish(`$JS.API.CONSUMER.MSG.NEXT.${this.#stream}.${CONSUMER}`, asked, { reply: subject });
    } catch {
      // The connection is closed, as everybody will see.
    }
  }

  /** Resolves when the server has it: the record is removed. */
  async acknowledge({ ack }: Pulled): Promise<void> {
    for (let tries = 1; ; tries++) {
      try {
        await this.#api.connection.request(ack, '+ACK', { timeout: ACK_MS });
        return;
      } catch (error) {
        if (tries >= ACK_TRIES || this.#api.connection.isClosed()) throw error;
      }
    }
  }

  /** It comes again after so many ms. */
  giveBack({ ack }: Pulled, delayMs: number): void {
    this.#say(ack, delayMs <= 0 ? '-NAK' : `-NAK ${JSON.stringify({ delay: Math.ceil(delayMs) * NANOS })}`);
  }

  /** It is still in hand. */
  hold({ ack }: Pulled): void {
    this.#say(ack, '+WPI');
  }

  /** Asks for nothing more. Resolves when no message can come any more: what comes until then is told. */
  async stop(): Promise<void> {
    const pulls = [...this.#pulls];
    this.#pulls.clear();
    await Promise.all(pulls.map(({ drain }) => drain()));
  }

  #say(subject: string, what: string): void {
    try {
      this.#api.connection.publish(subject, what);
    } catch {
      // The connection is closed: the record comes again when its time is over.
    }
  }

  #take(pull: Pull, message: NatsMessage): void {
    const code = message.headers?.code ?? 0;
    if (code >= 400) {
      if (code === 409 && /consumer deleted/i.test(message.headers?.description ?? '')) this.#events.onLost();
      // Nobody listens: there is no server, no leader, or no consumer.
      if (code === 503) after(NOBODY_MS, () => this.#over(pull));
      if (code === 503) return;
      this.#over(pull);
      return;
    }
    const pulled = pulledOf(message);
    if (pulled === undefined) return;
    const isAsked = this.#pulls.has(pull);
    if (isAsked && --pull.missing === 0) this.#over(pull);
    this.#events.onMessage(pulled, isAsked);
  }

  #over(pull: Pull, lingerMs = 0): void {
    if (!this.#pulls.delete(pull)) return;
    pull.end(lingerMs);
    this.#events.onOver(pull.missing);
  }
}

/** $JS.ACK.[domain.account.]stream.consumer.deliveries.sequence.ofTheConsumer.timeNs.pending[.token] */
function pulledOf({ reply, data, headers }: NatsMessage): Pulled | undefined {
  const tokens = reply?.split('.') ?? [];
  const at = tokens.length >= 11 ? 6 : 4;
  const [deliveries, sequence, , nanos] = tokens.slice(at).map(Number);
  if (reply === undefined || deliveries === undefined || sequence === undefined || nanos === undefined)
    return undefined;
  return {
    deliveries,
    sequence,
    timeMs: Math.floor(nanos / NANOS),
    data,
    headers: entriesOf(headers),
    ack: reply,
  };
}
