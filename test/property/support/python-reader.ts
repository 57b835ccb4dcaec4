/** examples/reader.py in a process of its own that reads one store after another: starting Python takes longer than reading. */
import { type ChildProcessWithoutNullStreams, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';

const EXAMPLES = join(import.meta.dirname, '../../../examples');

const LOOP = `
import json, sys
sys.path.insert(0, sys.argv[1])
import reader
for line in sys.stdin:
    store, live = json.loads(line)
    try:
        answer = {"lines": reader.lines_of(store, live)[0]}
    except reader.NotReadable as error:
        answer = {"refused": str(error)}
    print(json.dumps(answer), flush=True)
`;

export interface ReaderRecord {
  readonly queue: string;
  readonly id: number;
  readonly timestamp: number;
  /** Base64. */
  readonly payload: string;
  readonly [name: string]: unknown;
}

export interface ReaderDamage {
  readonly queue: string;
  readonly file: string;
  readonly offset: number;
  readonly bytes: number;
  readonly what: string;
  readonly lossless: boolean;
}

export interface ReaderView {
  /** Not a store, or one of a newer format. */
  readonly refused?: string;
  readonly queues: readonly { readonly queue: string; readonly nextId: number; readonly clean: boolean }[];
  readonly records: readonly ReaderRecord[];
  readonly torn: readonly {
    readonly queue: string;
    readonly file: string;
    readonly offset: number;
    readonly bytes: number;
    readonly recycled: boolean;
  }[];
  readonly lost: readonly { readonly queue: string; readonly firstId: number; readonly lastId: number }[];
  readonly damage: readonly ReaderDamage[];
}

export class PythonReader {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #lines: AsyncIterator<string>;
  readonly #interface: Interface;
  #errors = '';

  private constructor() {
    this.#child = spawn('python3', ['-B', '-c', LOOP, EXAMPLES]);
    this.#child.stderr.on('data', (chunk: Buffer) => {
      this.#errors += chunk.toString();
    });
    this.#child.stdin.on('error', () => undefined);
    this.#interface = createInterface(this.#child.stdout);
    this.#lines = this.#interface[Symbol.asyncIterator]();
  }

  /** Whether there is a Python to run it. */
  static get isThere(): boolean {
    return spawnSync('python3', ['-c', 'import zlib']).status === 0;
  }

  static start(): PythonReader {
    return new PythonReader();
  }

  /** One store after another; not two at a time. */
  async read(store: string, live = false): Promise<ReaderView> {
    this.#child.stdin.write(`${JSON.stringify([store, live])}\n`);
    const { value, done } = await this.#lines.next();
    if (done === true) throw new Error(`the reader in Python ended: ${this.#errors}`);
    const answer: { lines?: Record<string, never>[]; refused?: string } = JSON.parse(String(value));
    const lines = answer.lines ?? [];
    return {
      ...(answer.refused === undefined ? {} : { refused: answer.refused }),
      queues: lines.filter((line) => 'nextId' in line) as unknown as ReaderView['queues'],
      records: of(lines, 'record'),
      torn: of(lines, 'torn'),
      lost: of(lines, 'lost'),
      damage: of(lines, 'damage'),
    };
  }

  async close(): Promise<void> {
    this.#child.stdin.end();
    if (this.#child.exitCode === null) await once(this.#child, 'exit');
    this.#interface.close();
  }
}

function of(lines: readonly Record<string, never>[], key: string): never[] {
  return lines.flatMap((line) => (line[key] === undefined ? [] : [line[key]]));
}
