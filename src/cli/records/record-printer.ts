/**
 * Records to standard output, in one of these ways:
 *
 *     line      the payload, and a newline (or `-0`: a NUL byte) behind it
 *     json      a line of JSON: all that the record has (docs/cli.md)
 *     raw       the payload and nothing else; with `-0` a NUL byte behind it
 *     hex       the payload as hex digits, a line each
 *     hexdump   a line on the record, and rows of sixteen bytes
 *     --format  a line of one's own
 *
 * On a terminal what a payload holds is shown and not obeyed, but for `raw`.
 */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { UsageError } from '../exit-code.js';
import { Output } from '../output.js';
import { isoTime, NEWLINE, NUL, recordToJson } from '../record-format.js';
import { harmless, harmlessBytes } from './harmless.js';
import { hexdump } from './hexdump.js';
import { parseTemplate, TEMPLATE_HELP, type TemplatePart } from './record-template.js';
import type { ShownRecord } from './shown-record.js';

const KINDS = ['line', 'json', 'raw', 'hex', 'hexdump'] as const;
export type OutputKind = (typeof KINDS)[number];

export interface OutputFlags {
  readonly output?: OutputKind;
  readonly json?: boolean;
  readonly format?: readonly TemplatePart[];
  readonly null?: boolean;
}

/** Adds `-o`, `--json`, `--format` and `-0`. */
export function addOutput(command: Command): Command {
  return command
    .addOption(new Option('-o, --output <kind>', 'how records are printed').choices(KINDS))
    .option('--json', 'the same as -o json', false)
    .addOption(new Option('--format <template>', `a line of your own: ${TEMPLATE_HELP}`).argParser(templateArgument))
    .option('-0, --null', 'a NUL byte behind each record instead of a newline', false);
}

function templateArgument(text: string): readonly TemplatePart[] {
  const parts = parseTemplate(text);
  if (typeof parts === 'string') throw new InvalidArgumentError(`${parts}.`);
  return parts;
}

/** Text to be encoded, or bytes as they are. */
type Printed = string | Buffer;

export class RecordPrinter {
  readonly #out: Output;
  readonly #parts: (shown: ShownRecord) => readonly Printed[];
  /** What stands behind a payload, where that is all that is printed of a record, as it is; `undefined` where more is, or it is made harmless. */
  readonly behind: Buffer | undefined;
  /** @throws UsageError where two of the ways are asked for */
  constructor(flags: OutputFlags, out: Output = new Output()) {
    this.#out = out;
    this.#parts = printing(flags, process.stdout.isTTY);
    this.behind = behindPayload(flags, process.stdout.isTTY);
  }

  /** To be awaited where it returns something: standard output takes no more for the moment. */
  print(shown: ShownRecord): Promise<void> | undefined {
    return this.#out.write(...this.#parts(shown));
  }

  /** Payloads with what stands behind them. To be awaited where it returns something, and before they are others. */
  printPacked(bytes: Buffer): Promise<void> | undefined {
    return this.#out.write(bytes);
  }

  flush(): Promise<void> {
    return this.#out.flush();
  }
}

/** What is written of a record. */
function printing(flags: OutputFlags, isTerminal: boolean): (shown: ShownRecord) => readonly Printed[] {
  const { format, json = false } = flags;
  const isNull = flags.null === true;
  if (format !== undefined && (flags.output !== undefined || json)) {
    throw new UsageError('--format and another way of printing exclude each other');
  }
  if (json && flags.output !== undefined && flags.output !== 'json') {
    throw new UsageError(`--json and -o ${flags.output} exclude each other`);
  }
  const kind = json ? 'json' : (flags.output ?? 'line');
  if (isNull && (kind === 'json' || kind === 'hexdump')) {
    throw new UsageError(`-o ${kind} has lines of its own: leave out --null`);
  }
  const end = isNull ? NUL : NEWLINE;
  const shownBytes = (bytes: Buffer): Printed => (isTerminal ? harmlessBytes(bytes) : bytes);
  if (format !== undefined) return (shown) => [...filled(format, shown, isTerminal), end];
  switch (kind) {
    case 'line':
      return ({ record }) => [shownBytes(record.payload), end];
    case 'json':
      return (shown) => [recordToJson(shown), NEWLINE];
    case 'raw':
      return ({ record }) => (isNull ? [record.payload, NUL] : [record.payload]);
    case 'hex':
      return ({ record }) => [record.payload.toString('hex'), end];
    case 'hexdump':
      return (shown) => [headingOf(shown), hexdump(shown.record.payload)];
    default:
      return kind satisfies never;
  }
}

function behindPayload(flags: OutputFlags, isTerminal: boolean): Buffer | undefined {
  const { output = 'line', format, json = false } = flags;
  const isNull = flags.null === true;
  if (format !== undefined || json) return undefined;
  if (output === 'raw') return Buffer.from(isNull ? NUL : '');
  return output === 'line' && !isTerminal ? Buffer.from(isNull ? NUL : NEWLINE) : undefined;
}

function filled(format: readonly TemplatePart[], shown: ShownRecord, isTerminal: boolean): Printed[] {
  return format.map((part) => {
    if (typeof part === 'string') return part;
    const value = part(shown);
    if (!isTerminal) return value;
    return typeof value === 'string' ? harmless(value) : harmlessBytes(value);
  });
}

function headingOf({ record, queue, offset }: ShownRecord): string {
  const { id, timestamp, payload } = record;
  const where = `${queue === undefined ? '' : ` ${queue}`}${offset === undefined ? '' : ` @${offset}`}`;
  return `# ${id}${where} ${isoTime(timestamp)} ${payload.length} B\n`;
}
