/**
 * Pushes of one queue on their way over a link, in the order of the calls. Payloads that have nothing beside them are packed: those of one turn go as one
 * message, and become one commit.
 *
 * Invariants
 * - What was sent and is not answered yet costs no more than the window, unless it is one alone: a thread that pushes without waiting fills its own memory, and
 *   not that of the thread that has the store.
 * - Nothing overtakes: what is behind in the lane is sent later.
 */
import { assert } from '../assert.js';

/** Bytes that are sent and not answered. */
const WINDOW_BYTES = 1024 * 1024;
const PACK_BYTES_MAX = 256 * 1024;
const PACK_RECORDS_MAX = 4096;
const PACK_BYTES_FIRST = 4096;
/** What a push costs beside its payload. */
const PUSH_BYTES = 64;

type Resolve = (id: number) => void;
type Reject = (error: unknown) => void;

let capturedResolve: Resolve = () => undefined;
let capturedReject: Reject = () => undefined;
/** Shared by all pushes: a promise made with it costs no closure. */
function capture(resolve: Resolve, reject: Reject): void {
  capturedResolve = resolve;
  capturedReject = reject;
}

/** Payloads, and who waits for their IDs. */
export class Pack {
  #bytes: Buffer;
  #end = 0;
  readonly #lengths: number[] = [];
  readonly #resolves: Resolve[] = [];
  readonly #rejects: Reject[] = [];

  constructor(bytes: number) {
    this.#bytes = Buffer.allocUnsafeSlow(bytes);
  }

  get count(): number {
    return this.#lengths.length;
  }

  get payloadBytes(): number {
    return this.#end;
  }

  /** Whether one more belongs into the next. */
  isFullFor(bytes: number): boolean {
    return this.count > 0 && (this.#end + bytes > PACK_BYTES_MAX || this.count >= PACK_RECORDS_MAX);
  }

  add(payload: Uint8Array): Promise<number> {
    const end = this.#end + payload.length;
    if (end > this.#bytes.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(end, 2 * this.#bytes.length));
      larger.set(this.#bytes.subarray(0, this.#end));
      this.#bytes = larger;
    }
    this.#bytes.set(payload, this.#end);
    this.#end = end;
    this.#lengths.push(payload.length);
    const promise = new Promise<number>(capture);
    this.#resolves.push(capturedResolve);
    this.#rejects.push(capturedReject);
    return promise;
  }

  /** What goes over. The bytes are not used any more here. */
  take(): { readonly lengths: Uint32Array; readonly bytes: Uint8Array } {
    const bytes = this.#bytes.subarray(0, this.#end);
    this.#bytes = Buffer.alloc(0);
    return { lengths: Uint32Array.from(this.#lengths), bytes };
  }

  resolve(firstId: number): void {
    for (let i = 0; i < this.#resolves.length; i++) this.#resolves[i]?.(firstId + i);
  }

  /** Each by itself. */
  settle(outcomes: readonly ({ readonly id: number } | { readonly error: unknown })[]): void {
    for (const [i, outcome] of outcomes.entries()) {
      if ('id' in outcome) this.#resolves[i]?.(outcome.id);
      else this.#rejects[i]?.(outcome.error);
    }
  }

  reject(error: unknown): void {
    for (const reject of this.#rejects) reject(error);
  }
}

/** Something else that keeps its place among the pushes. */
interface Other {
  readonly bytes: number;
  readonly send: () => void;
  state: 'waiting' | 'sent' | 'left';
}

/** So many that have left the line are kept in it before it is made anew, if they are half of it. */
const LEFT_MAX = 64;

export interface LaneEnds {
  readonly sendPack: (number: number, pack: Pack) => void;
  /** There is something to send. */
  readonly wake: () => void;
}

export class PushLane {
  readonly #ends: LaneEnds;
  #waiting: (Pack | Other)[] = [];
  /** Of those that wait, how many have left. */
  #left = 0;
  #open: Pack | undefined;
  readonly #sent = new Map<number, { readonly pack: Pack; readonly cost: number }>();
  #sentBytes = 0;
  #packNumber = 0;
  #sizeGuess = PACK_BYTES_FIRST;

  constructor(ends: LaneEnds) {
    this.#ends = ends;
  }

  /** Pushes that are not answered. */
  get isEmpty(): boolean {
    return this.#waiting.length === this.#left && this.#sent.size === 0;
  }

  push(payload: Uint8Array): Promise<number> {
    let pack = this.#open;
    if (pack === undefined || pack.isFullFor(payload.length)) {
      pack = new Pack(Math.max(this.#sizeGuess, payload.length));
      this.#open = pack;
      this.#waiting.push(pack);
      this.#ends.wake();
    }
    return pack.add(payload);
  }

  /** Calls `send` when it is its turn; `answered` is to be called with the same bytes when that is. The result takes it out of the line, if it is there still. */
  pass(bytes: number, send: () => void): () => boolean {
    const other: Other = { bytes: bytes + PUSH_BYTES, send, state: 'waiting' };
    this.#open = undefined;
    this.#waiting.push(other);
    this.#ends.wake();
    return () => {
      if (other.state !== 'waiting') return false;
      other.state = 'left';
      this.#left++;
      this.#tidy();
      return true;
    };
  }

  /** One signal may be that of tens of thousands: each leaves at the cost of a step. */
  #tidy(): void {
    if (this.#left < LEFT_MAX || 2 * this.#left < this.#waiting.length) return;
    this.#waiting = this.#waiting.filter((one) => one instanceof Pack || one.state === 'waiting');
    this.#left = 0;
  }

  /** What `pass` had sent was answered. */
  answered(bytes: number): void {
    this.#give(bytes + PUSH_BYTES);
  }

  /** Sends what there is room for. */
  pump(): void {
    let taken = 0;
    for (const next of this.#waiting) {
      if (!(next instanceof Pack) && next.state === 'left') {
        taken++;
        this.#left--;
        continue;
      }
      const cost = next instanceof Pack ? next.payloadBytes + next.count * PUSH_BYTES : next.bytes;
      if (this.#sentBytes > 0 && this.#sentBytes + cost > WINDOW_BYTES) break;
      taken++;
      this.#sentBytes += cost;
      if (next instanceof Pack) this.#send(next, cost);
      else {
        next.state = 'sent';
        next.send();
      }
    }
    if (taken > 0) this.#waiting.splice(0, taken);
  }

  resolved(number: number, firstId: number): void {
    this.#take(number)?.resolve(firstId);
  }

  settled(number: number, outcomes: readonly ({ readonly id: number } | { readonly error: unknown })[]): void {
    this.#take(number)?.settle(outcomes);
  }

  /** The link is over. `waiting`: for what was never sent; `sent`: for what nobody knows of. */
  end(waiting: unknown, sent: unknown): void {
    for (const one of this.#waiting.splice(0)) if (one instanceof Pack) one.reject(waiting);
    this.#left = 0;
    for (const { pack } of this.#sent.values()) pack.reject(sent);
    this.#sent.clear();
    this.#open = undefined;
  }

  #send(pack: Pack, cost: number): void {
    if (pack === this.#open) this.#open = undefined;
    this.#sizeGuess = Math.min(PACK_BYTES_MAX, Math.max(PACK_BYTES_FIRST, pack.payloadBytes));
    const number = ++this.#packNumber;
    this.#sent.set(number, { pack, cost });
    this.#ends.sendPack(number, pack);
  }

  #take(number: number): Pack | undefined {
    const sent = this.#sent.get(number);
    if (sent === undefined) return undefined;
    this.#sent.delete(number);
    this.#give(sent.cost);
    return sent.pack;
  }

  #give(cost: number): void {
    this.#sentBytes -= cost;
    assert(this.#sentBytes >= 0, 'what is answered was sent');
    if (this.#waiting.length > 0) this.#ends.wake();
  }
}
