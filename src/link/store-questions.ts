/**
 * What functions are asked that stay at the other end of a link: each question has one answer, or the link ends first.
 */
import { EvaqError } from '../errors.js';
import type { LinkPort } from './link-port.js';
import type { FromStore, LinkAnswer, LinkQuestion, ToStore } from './link-protocol.js';
import { unpackThrown } from './packed-thrown.js';

interface Asked {
  readonly resolve: (answer: LinkAnswer) => void;
  readonly reject: (error: unknown) => void;
}

export class StoreQuestions {
  readonly #port: LinkPort<FromStore, ToStore>;
  readonly #asked = new Map<number, Asked>();
  #number = 0;
  #isLost = false;

  constructor(port: LinkPort<FromStore, ToStore>) {
    this.#port = port;
  }

  /** Rejects with what the function threw; with EVAQ_CLOSED where nobody is there to answer. `bytes`: as of `LinkPort.send`. */
  ask(question: LinkQuestion, bytes: Uint8Array): Promise<LinkAnswer> {
    if (this.#isLost) return Promise.reject(lostError());
    const number = ++this.#number;
    return new Promise((resolve, reject) => {
      this.#asked.set(number, { resolve, reject });
      this.#port.send({ kind: 'question', number, question }, bytes);
    });
  }

  answered(number: number, answer: LinkAnswer): void {
    const asked = this.#asked.get(number);
    this.#asked.delete(number);
    if (answer.kind === 'threw') asked?.reject(unpackThrown(answer.error));
    else asked?.resolve(answer);
  }

  /** The other end is gone. */
  lost(): void {
    this.#isLost = true;
    for (const { reject } of this.#asked.values()) reject(lostError());
    this.#asked.clear();
  }
}

function lostError(): EvaqError {
  return new EvaqError('EVAQ_CLOSED', 'the thread whose function was to be asked is gone');
}
