/**
 * Standard output for data: in blocks, no faster than the reader takes it, and silent when the reader has had enough
 * (`evaq cat | head -1`).
 */
import { EXIT_ERROR, say } from './exit-code.js';

const BLOCK_BYTES = 64 * 1024;

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
  #chunks: Uint8Array[] = [];
  #bytes = 0;

  /** Adds to the block. Where that is full it is to be awaited before more is added. */
  write(...parts: Uint8Array[]): Promise<void> | undefined {
    for (const part of parts) {
      this.#chunks.push(part);
      this.#bytes += part.length;
    }
    return this.#bytes >= BLOCK_BYTES ? this.flush() : undefined;
  }

  /** A line of text. */
  line(text: string): Promise<void> | undefined {
    return this.write(Buffer.from(`${text}\n`));
  }

  /** Resolves when standard output has it. @throws what is wrong with it, of which the guard above tells and makes an end */
  async flush(): Promise<void> {
    if (this.#bytes === 0) return;
    const block = Buffer.concat(this.#chunks);
    this.#chunks = [];
    this.#bytes = 0;
    await new Promise<void>((resolve, reject) => {
      process.stdout.write(block, (error) => {
        if (error === null || error === undefined) resolve();
        else reject(error);
      });
    });
  }
}
