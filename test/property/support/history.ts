/**
 * Histories: what was asked of a store by several clients, when each call was made and when it was answered, and with what. Times are
 * numbers of a counter that goes up at each call and each answer, so that they are the order in real time and nothing else.
 */

export type QueueName = 'wal' | 'dead-letters';
export const QUEUES: readonly QueueName[] = ['wal', 'dead-letters'];

/** A record that was shown: a payload says by its token which push it came from. */
export interface Seen {
  readonly id: number;
  readonly token: number;
}

/** One iterator, of which every `next` is a call. */
export interface Iteration {
  readonly form: 'records' | 'tail';
  readonly queue: QueueName;
  readonly startedAt: number;
  readonly yielded: Seen[];
  /** When it was known that nothing more would come, with all else at rest: of tails alone. */
  drainedAt?: number;
}

/** How a handler ends: 'later' is `RetryLater`, 'dead' a `DeadLetterError`. */
export type Deed = 'ok' | 'fail' | 'later' | 'dead';

/** A record that a handler had. */
export interface Handed {
  readonly seen: Seen;
  readonly attempt: number;
  readonly deed: Deed;
  /** Its call was between these two. */
  readonly at: readonly [number, number];
  endedAt: number;
  /** Its delivery was asked to stop before it ended: if it failed that may count or not. */
  isStopping: boolean;
}

/** What was asked, and what of the answer matters. Fields with `undefined` were not answered. */
export type Question =
  | {
      readonly call: 'push';
      readonly queue: QueueName;
      readonly form: 'push' | 'pushMany' | 'pushSync';
      readonly tokens: readonly number[];
      /** Pushed with an ID of its own, always with the same payload. `knownId`: its ID, where it surely came in in an earlier chapter. */
      readonly message?: { readonly name: string; readonly knownId: number | undefined };
      /** Committed with it: how far its source has come. */
      readonly position?: number;
      firstId?: number;
    }
  | { readonly call: 'checkpoint'; readonly queue: QueueName; position?: number | undefined }
  /** A delivery, from its begin until it has stopped. */
  | { readonly call: 'deliver'; readonly queue: QueueName; readonly mayFail: boolean; readonly handed: Handed[] }
  | { readonly call: 'get'; readonly queue: QueueName; readonly id: number; seen?: Seen | undefined }
  | { readonly call: 'pop'; readonly queue: QueueName; readonly id: number; seen?: Seen }
  | { readonly call: 'read'; readonly queue: QueueName; readonly from: number; seen?: readonly Seen[] }
  /** Answered without a record: the iterator was done. */
  | { readonly call: 'next'; readonly iteration: Iteration; seen?: Seen | undefined; done?: boolean }
  | {
      readonly call: 'remove';
      readonly queue: QueueName;
      readonly ids: readonly number[];
      removed?: boolean;
    }
  | { readonly call: 'removeMany'; readonly queue: QueueName; readonly ids: readonly number[]; count?: number }
  | { readonly call: 'removeThrough'; readonly queue: QueueName; readonly through: number; count?: number }
  | { readonly call: 'deadLetter'; readonly id: number; newId?: number }
  /** By a filter: `ids` are those that it was shown and that it accepted, `shown` all of them. */
  | {
      readonly call: 'redrive';
      readonly form: 'ids' | 'filter';
      readonly ids: number[];
      readonly shown: Seen[];
      newIds?: readonly number[];
    }
  | { readonly call: 'flush' | 'compact'; readonly queue: QueueName };

/** How a call ended: with an answer, with the code of an error, or not at all. */
export type Ending = 'ok' | 'under way' | `EVAQ_${string}` | `unexpected: ${string}`;

export interface Call {
  readonly client: string;
  readonly question: Question;
  readonly from: number;
  /** Infinity while it is under way, and for ever if the process died. */
  to: number;
  ending: Ending;
}

/** How the history ended: a clean close, the death of the process, or of the power. */
export type End = 'close' | 'kill' | 'power';

/** Everything that was live, by queue. */
export type View = ReadonlyMap<QueueName, readonly Seen[]>;

export interface Chapter {
  readonly calls: readonly Call[];
  readonly before: View;
  readonly after: View;
  readonly end: End;
  readonly mode: 'sync' | 'interval' | 'os';
  /** How far the source had come, by the store's word, at both looks. */
  readonly positions?: { readonly before: number | undefined; readonly after: number | undefined };
  /** So many records the WAL queue may hold: more are refused. */
  readonly limit?: number | undefined;
}

export class History {
  readonly calls: Call[] = [];
  #now = 0;

  tick(): number {
    return ++this.#now;
  }

  begin(client: string, question: Question): Call {
    const call: Call = { client, question, from: this.tick(), to: Infinity, ending: 'under way' };
    this.calls.push(call);
    return call;
  }

  end(call: Call, ending: Ending): void {
    call.to = this.tick();
    call.ending = ending;
  }
}

function seenText(seen: readonly Seen[]): string {
  return seen.map(({ id, token }) => `${id}<${token}>`).join(' ');
}

function asked(question: Question): string {
  switch (question.call) {
    case 'push':
      return `${question.form}(${question.queue}, <${question.tokens.join('> <')}>${question.message === undefined ? '' : `, as ${question.message.name}`}${question.position === undefined ? '' : `, up to ${question.position}`})`;
    case 'get':
    case 'pop':
      return `${question.call}(${question.queue}, ${question.id})`;
    case 'read':
      return `read(${question.queue}, from ${question.from})`;
    case 'next':
      return `next of ${question.iteration.form}(${question.iteration.queue}) of @${question.iteration.startedAt}`;
    case 'remove':
    case 'removeMany':
      return `${question.call}(${question.queue}, ${question.ids.join(' ')})`;
    case 'removeThrough':
      return `removeThrough(${question.queue}, ${question.through})`;
    case 'deadLetter':
      return `deadLetter(${question.id})`;
    case 'redrive':
      return `redrive(${question.form === 'filter' ? 'filter: ' : ''}${question.ids.join(' ')})`;
    default:
      return `${question.call}(${question.queue})`;
  }
}

function answered(question: Question): string {
  switch (question.call) {
    case 'push':
      return String(question.firstId);
    case 'checkpoint':
      return String(question.position);
    case 'deliver':
      return question.handed
        .map(
          ({ seen, attempt, deed, at, endedAt }) =>
            `${seenText([seen])} ${deed} at try ${attempt} @${at[0]}-${endedAt}`,
        )
        .join(', ');
    case 'get':
    case 'pop':
      return question.seen === undefined ? 'undefined' : seenText([question.seen]);
    case 'next':
      return question.seen === undefined ? 'done' : seenText([question.seen]);
    case 'read':
      return `[${seenText(question.seen ?? [])}]`;
    case 'remove':
      return String(question.removed);
    case 'removeMany':
    case 'removeThrough':
      return String(question.count);
    case 'deadLetter':
      return String(question.newId);
    case 'redrive':
      return `[${(question.newIds ?? []).join(' ')}]`;
    default:
      return 'done';
  }
}

/** One line a call, in the order in which they were made: `@3-7 b: remove(wal, 4) -> true`. */
export function describeCall({ client, question, from, to, ending }: Call): string {
  const outcome = ending === 'ok' ? `-> ${answered(question)}` : ending;
  return `@${from}-${to === Infinity ? '' : to} ${client}: ${asked(question)} ${outcome}`;
}
