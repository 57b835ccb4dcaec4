/** `evaq report`: a store as one page of HTML, to be sent to somebody. Takes no lock, and writes nothing to the store. */
import { writeFileSync } from 'node:fs';
import { dirname, relative, resolve } from 'node:path';
import { Command } from 'commander';
import { EXIT_CORRUPT, say, UsageError } from './exit-code.js';
import { interruptible } from './interrupt.js';
import { Output } from './output.js';
import { gather } from './report/gathered.js';
import { renderPage } from './report/page.js';

interface ReportFlags {
  readonly output?: string;
  readonly write: boolean;
}

export function reportCommand(): Command {
  return new Command('report')
    .argument('<dir>', 'the store')
    .option('-o, --output <file>', 'where to write it; default: standard output')
    .option('--no-write', 'do not measure how long a sync takes, which writes a file beside the store and removes it')
    .addHelpText(
      'after',
      '\nReads the whole store. Reasons, messages of errors and names are in the page; payloads are not.\nExit codes: 0 intact, 3 damaged; the page is written all the same.\n\nExamples:\n  evaq report ./orders -o orders.html\n  evaq report ./orders --no-write | gzip > orders.html.gz',
    )
    .action((dir: string, flags: ReportFlags) => interruptible((signal) => report(dir, flags, signal)));
}

async function report(dir: string, { output, write }: ReportFlags, signal: AbortSignal): Promise<void> {
  if (output !== undefined && !relative(resolve(dir), resolve(output)).startsWith('..'))
    throw new UsageError(`-o: ${output} is in the store, in which nothing is written`);
  const gathered = await gather(dir, write ? dirname(resolve(dir)) : undefined, signal);
  const page = renderPage(gathered);
  if (output === undefined) {
    const out = new Output();
    await out.write(Buffer.from(page));
    await out.flush();
  } else {
    writeFileSync(output, page);
    say(`wrote ${output}`);
  }
  if (gathered.verified.damage.length > 0) process.exitCode = EXIT_CORRUPT;
}
