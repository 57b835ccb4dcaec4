/** A bar of progress on a terminal. What draws it is loaded where there is one to see it. */
import type { Options, SingleBar } from 'cli-progress';

/** On standard error, taken away in the end; undefined where that is no terminal. */
export async function progressBar(format: string, options: Options = {}): Promise<SingleBar | undefined> {
  if (!process.stderr.isTTY) return undefined;
  // By its default export alone: no other of a CommonJS package is known once it is bundled.
  const { default: progress } = await import('cli-progress');
  return new progress.SingleBar({
    ...options,
    format,
    stream: process.stderr,
    clearOnComplete: true,
    hideCursor: true,
  });
}
