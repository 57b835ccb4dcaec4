/**
 * Standard output for data: in blocks, no faster than the reader takes it, and silent when the reader has had enough
 * (`evaq cat | head -1`).
 */
import { EXIT_ERROR, say } from './exit-code.js';

const BLOCK_BYTES = 64 * 1024;
/** Of a UTF-16 unit at most. */
const UTF8_BYTES_MAX = 3;
const EMPTY = Buffer.alloc(0);

/**
 * To be called once, before anything is written. A closed pipe behind standard output ends the program without a word, and is no failure; anything else
 * that is wrong with it is said in a line and is one. Behind standard error nobody is there to be told: what the program does it does all the same.
 */
export function guardStandardStreams(): void {
  process.stderr.on('error', () => undefined);
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(process.exitCode ?? 0);
    say(`standard output: ${error.message}`);
    process.exit(EXIT_ERROR);
  });
}

export class Output {
  /** What is small is gathered in it; `#from` to `#at` is not among `#chunks` yet. */
  #block: Buffer = Buffer.allocUnsafeSlow(BLOCK_BYTES);
  #from = 0;
  #at = 0;
  #chunks: Uint8Array[] = [];
  #bytes = 0;
  #spare: Buffer | undefined;

  /** Adds to the block; text as UTF-8. Where that is full it is to be awaited before more is added. What is added belongs to it until then. */
  write(...parts: (Uint8Array | string)[]): Promise<void> | undefined {
    for (const part of parts) {
      if (typeof part === 'string') this.#addText(part);
      else this.#add(part);
    }
    return this.#bytes >= BLOCK_BYTES ? this.flush() : undefined;
  }

  /** A line of text. */
  line(text: string): Promise<void> | undefined {
    return this.write(text, '\n');
  }

  #addText(text: string): void {
    if (text.length * UTF8_BYTES_MAX > BLOCK_BYTES - this.#at) {
      this.#add(Buffer.from(text));
      return;
    }
    const bytes = this.#block.write(text, this.#at);
    this.#at += bytes;
    this.#bytes += bytes;
  }

  #add(part: Uint8Array): void {
    this.#bytes += part.length;
    if (part.length > BLOCK_BYTES - this.#at) {
      this.#cut();
      this.#chunks.push(part);
      return;
    }
    this.#block.set(part, this.#at);
    this.#at += part.length;
  }

  /** What is in the block so far stands in front of what comes. */
  #cut(): void {
    if (this.#at > this.#from) this.#chunks.push(this.#block.subarray(this.#from, this.#at));
    this.#from = this.#at;
  }

  /** Resolves when standard output has it. @throws what is wrong with it, of which the guard above tells and makes an end */
  async flush(): Promise<void> {
    if (this.#bytes === 0) return;
    this.#cut();
    const [first = EMPTY, ...more] = this.#chunks;
    const block = more.length === 0 ? first : Buffer.concat(this.#chunks);
    this.#chunks = [];
    this.#bytes = 0;
    const written = this.#block;
    // Whoever does not wait must not write over what is under way.
    this.#block = this.#spare ?? Buffer.allocUnsafeSlow(BLOCK_BYTES);
    this.#spare = undefined;
    this.#from = 0;
    this.#at = 0;
    await new Promise<void>((resolve, reject) => {
      process.stdout.write(block, (error) => {
        if (error === null || error === undefined) resolve();
        else reject(error);
      });
    });
    this.#spare = written;
  }
}
