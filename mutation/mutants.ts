/**
 * The small changes to a source file, made by Stryker: all of them stand in one text, each behind a switch, so that one bundle serves for all of them.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export interface Mutant {
  /** `queue/claims.ts#12`: unique, and what the switch goes by. */
  readonly id: string;
  /** Below `src/`. */
  readonly file: string;
  readonly line: number;
  readonly from: string;
  readonly to: string;
  /** The whole line in which it begins, trimmed. */
  readonly text: string;
  readonly mutator: string;
}

export interface MutatedFile {
  readonly file: string;
  /** The text with switches. */
  readonly text: string;
  readonly mutants: readonly Mutant[];
}

export interface MutableFile {
  readonly file: string;
  readonly source: string;
  readonly make: () => Promise<MutatedFile>;
}

/** What is used of the package, which is installed only where mutation testing is wanted. */
interface Position {
  readonly line: number;
  readonly column: number;
}

interface StrykerMutant {
  readonly id: string;
  readonly location: { readonly start: Position; readonly end: Position };
  readonly mutatorName: string;
  readonly replacement: string;
  readonly status?: string;
}

interface Instrumenter {
  instrument(
    files: readonly { name: string; mutate: boolean; content: string }[],
    options: object,
  ): Promise<{ files: readonly { content: string }[]; mutants: readonly StrykerMutant[] }>;
}

interface InstrumenterPackage {
  readonly Instrumenter: new (logger: object) => Instrumenter;
}

const PACKAGE = '@stryker-mutator/instrumenter';
const OPTIONS = {
  plugins: null,
  ignorers: [],
  excludedMutations: [
    // Nearly all are messages and hints, which nobody is to match; codes and names of files stand in tests of their own.
    'StringLiteral',
    // Options and details that are left out do not compile: there is nothing to be found out about them.
    'ObjectLiteral',
    // Of `a?.b` to `a.b`: where the type allows nothing else, it does not compile either.
    'OptionalChaining',
  ],
};
const SILENT = {
  isDebugEnabled: () => false,
  isInfoEnabled: () => false,
  isTraceEnabled: () => false,
  trace: () => undefined,
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};

export async function mutantsOf(src: string, file: string): Promise<MutatedFile> {
  const { Instrumenter }: InstrumenterPackage = await import(PACKAGE);
  const content = readFileSync(join(src, file), 'utf8');
  const made = await new Instrumenter(SILENT).instrument([{ name: file, mutate: true, content }], OPTIONS);
  const lines = content.split('\n');
  const mutants = made.mutants
    .filter(({ status }) => status !== 'Ignored')
    .map(({ id, location: { start, end }, mutatorName, replacement }) => ({
      id: `${file}#${id}`,
      file,
      line: start.line + 1,
      from: within(lines, start, end),
      to: replacement.replaceAll(/\s+/g, ' '),
      text: lines[start.line]?.trim() ?? '',
      mutator: mutatorName,
    }));
  return { file, text: withFileNames(made.files[0]?.content ?? '', file), mutants };
}

function within(lines: readonly string[], start: Position, end: Position): string {
  const touched = lines.slice(start.line, end.line + 1);
  const last = touched.length - 1;
  touched[last] = touched[last]?.slice(0, end.column) ?? '';
  touched[0] = touched[0]?.slice(start.column) ?? '';
  return touched.join(' ').replaceAll(/\s+/g, ' ').trim();
}

/** Stryker counts from 0 in each file: in a bundle of many they need the file's name. */
function withFileNames(text: string, file: string): string {
  return text.replaceAll(/\b(stryMutAct_9fa48|stryCov_9fa48)\(([^()]*)\)/g, (call, name: string, ids: string) =>
    /^["'\d]/.test(ids) ? `${name}(${ids.replaceAll(/(["'])(\d+)\1/g, `"${file}#$2"`)})` : call,
  );
}
