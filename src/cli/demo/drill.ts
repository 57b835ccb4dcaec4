/**
 * The evacuation drill: an application is killed again and again while it pushes lines to a store and delivers them to a destination
 * that fails in every way. In the end every line whose push was acknowledged must have arrived.
 *
 *     drill ──start, stop──> application ──HTTP──> destination
 *       ^ ───acknowledged───────┘ (killed n times)     │
 *       └──────────────────────accepted────────────────┘
 *
 * The drill alone knows what was acknowledged and what was accepted; neither it nor the destination is ever killed. No line is
 * pushed twice: how far the application has come is committed with its lines. One may arrive more than once. None may be missing.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { messageOf } from '../../errors.js';
import { Evaq } from '../../evaq.js';
import { type ChildEnd, DrillChild } from './drill-child.js';
import { checksumsOf, writeInput } from './drill-input.js';
import { type DrillFigures, DrillLedger } from './drill-ledger.js';
import { isFromApplication, isFromDestination } from './drill-message.js';
import { type PlannedKill, planKills } from './kill-plan.js';

export interface DrillOptions {
  /** The script and the arguments that run one of the other processes; its name is added. */
  readonly program: string;
  readonly args: readonly string[];
  readonly seed: number;
  readonly kills: number;
  /** Lines to push. With an input: at most so many of its lines, and all of them if undefined. */
  readonly lines: number | undefined;
  readonly input: string | undefined;
  /** Lines a second; if undefined, what makes the input last about eight seconds. */
  readonly linesPerSecond: number | undefined;
  /** Where the folder of the drill is made. */
  readonly parentDir: string;
  readonly keep: boolean;
  /** Ends the drill: `runDrill` cleans up and rejects with its reason. */
  readonly signal: AbortSignal;
  readonly onEvent: (event: DrillEvent) => void;
}

export interface DrillStatus {
  readonly elapsedMs: number;
  readonly lines: number;
  readonly acknowledged: number;
  /** Different lines accepted by the destination. */
  readonly delivered: number;
  readonly deadLetters: number;
  readonly kills: number;
  readonly isDestinationUp: boolean;
  readonly diskBytes: number;
}

export type DrillEvent =
  | { readonly kind: 'started'; readonly dir: string; readonly lines: number }
  | { readonly kind: 'status'; readonly status: DrillStatus }
  | { readonly kind: 'killed'; readonly pid: number; readonly kills: number; readonly moment: PlannedKill['moment'] }
  | { readonly kind: 'destination'; readonly isUp: boolean };

export interface DrillResult extends DrillFigures {
  readonly seed: number;
  readonly kills: number;
  readonly durationMs: number;
  readonly diskPeakBytes: number;
  readonly diskEndBytes: number;
  /** Records in the store after the end. */
  readonly left: number;
  /** Where everything still is, if it was to be kept or the drill failed. */
  readonly dir: string | undefined;
  /** Why the drill failed, each as a sentence; empty if it did not. */
  readonly failures: readonly string[];
}

/** What the drill could not be run with: to be told in one line. */
export class DrillInputError extends Error {
  override readonly name = 'DrillInputError';
}

const SPAN_MS = 8_000;
const STATUS_MS = 100;
/** After a moment was waited for in vain. */
const MOMENT_MAX_MS = 400;
/** When everything is delivered, the kills that are left come soon. */
const DRAINED_KILL_MAX_MS = 150;
/** No acknowledgement, no delivery for so long: something hangs. */
const STALL_MS = 30_000;
const LINES_DEFAULT = 20_000;

/**
 * Rejects with `DrillInputError`, with the signal's reason, or with what went wrong. Leaves no process, and no file unless
 * it was asked to or something was wrong: then that is evidence.
 */
export async function runDrill(options: DrillOptions): Promise<DrillResult> {
  let dir: string;
  try {
    dir = await fs.promises.mkdtemp(path.join(options.parentDir, 'evaq-demo-'));
  } catch (error) {
    throw new DrillInputError(`no folder can be made in ${options.parentDir}: ${messageOf(error)}`);
  }
  const drill = new Drill(options, dir);
  let isEvidence = false;
  try {
    const result = await drill.run();
    isEvidence = result.failures.length > 0;
    return { ...result, dir: options.keep || isEvidence ? dir : undefined };
  } catch (error) {
    if (options.signal.aborted || error instanceof DrillInputError) throw error;
    isEvidence = true;
    throw new Error(`${messageOf(error)}\nwhat there is of it is left in ${dir}`, { cause: error });
  } finally {
    await drill.end();
    if (!options.keep && !isEvidence) await fs.promises.rm(dir, { recursive: true, force: true });
  }
}

class Drill {
  readonly #options: DrillOptions;
  readonly #dir: string;
  readonly #store: string;
  readonly #began = performance.now();
  /** Rejects when the drill cannot go on. */
  readonly #trouble: Promise<never>;
  #fail: (error: unknown) => void = () => undefined;
  readonly #children = new Set<DrillChild>();
  readonly #timers = new Set<NodeJS.Timeout>();
  readonly #killNow = (): void => {
    for (const child of this.#children) child.kill();
  };
  #ledger = new DrillLedger([]);
  #lines = 0;
  #delivered = 0;
  #kills = 0;
  #isDestinationUp = true;
  #diskBytes = 0;
  #diskPeakBytes = 0;
  #progress = '';
  #progressMs = 0;

  constructor(options: DrillOptions, dir: string) {
    this.#options = options;
    this.#dir = dir;
    this.#store = path.join(dir, 'store');
    this.#trouble = new Promise((_, reject) => {
      this.#fail = reject;
    });
    this.#trouble.catch(() => undefined);
    const { signal } = options;
    if (signal.aborted) this.#fail(signal.reason);
    signal.addEventListener('abort', () => this.#fail(signal.reason), { once: true });
    // A last resort: when this process exits without coming to `end`.
    process.on('exit', this.#killNow);
  }

  async run(): Promise<Omit<DrillResult, 'dir'>> {
    const { seed, kills, onEvent } = this.#options;
    const input = await this.#prepareInput();
    onEvent({ kind: 'started', dir: this.#dir, lines: this.#lines });
    const port = await this.#startDestination();
    this.#every(STATUS_MS, () => this.#tick());
    const plan = planKills(seed, kills, SPAN_MS);
    for (let life = 0; life <= plan.length; life++) await this.#live(input, port, seed + life, plan[life]);
    await this.#collect();
    this.#diskBytes = await diskBytesOf(this.#store);
    this.#diskPeakBytes = Math.max(this.#diskPeakBytes, this.#diskBytes);
    const left = await this.#recordsLeft();
    return this.#result(left);
  }

  /** Ends every process that is left. */
  async end(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    this.#killNow();
    await Promise.all([...this.#children].map((child) => child.ended.catch(() => undefined)));
    process.off('exit', this.#killNow);
  }

  async #prepareInput(): Promise<string> {
    const { input, lines, seed } = this.#options;
    const file = input === undefined ? path.join(this.#dir, 'input.log') : path.resolve(input);
    if (input === undefined) await writeInput(file, lines ?? LINES_DEFAULT, seed);
    let checksums: number[];
    try {
      checksums = await checksumsOf(file, lines ?? Number.MAX_SAFE_INTEGER);
    } catch (error) {
      throw new DrillInputError(`${input ?? file} cannot be read: ${messageOf(error)}`);
    }
    if (checksums.length === 0) throw new DrillInputError(`${input ?? file} has no lines`);
    this.#lines = checksums.length;
    this.#ledger = new DrillLedger(checksums);
    return file;
  }

  /** Resolves with its port. */
  async #startDestination(): Promise<number> {
    const port = new Promise<number>((resolve) => {
      const child = this.#start('destination', (message) => {
        if (!isFromDestination(message)) return;
        switch (message.kind) {
          case 'listening':
            return resolve(message.port);
          case 'progress':
            this.#delivered = message.lines;
            return;
          case 'down':
          case 'up':
            this.#isDestinationUp = message.kind === 'up';
            this.#options.onEvent({ kind: 'destination', isUp: this.#isDestinationUp });
            return;
          case 'accepted':
            this.#ledger.noteAccepted(message.entries);
            if (message.isLast) this.#collected();
            return;
        }
      });
      this.#destination = child;
      child.send({ kind: 'start', seed: this.#options.seed });
      child.ended.then(
        (end) => this.#fail(new Error(`the destination ended by itself: ${said(end)}`)),
        (error: unknown) => this.#fail(new Error(`the destination cannot be started: ${messageOf(error)}`)),
      );
    });
    return this.#orTrouble(port);
  }

  #destination: DrillChild | undefined;
  #collected: () => void = () => undefined;

  /** One life of the application: until it is killed, or, without a kill, until everything is delivered and it has closed the store. */
  async #live(input: string, port: number, seed: number, kill: PlannedKill | undefined): Promise<void> {
    let isArmed = false;
    let isStruck = false;
    const strike = (): void => {
      isStruck = true;
      child.kill();
    };
    const arm = (): void => {
      isArmed = true;
      if (kill?.moment === 'any') strike();
      else if (kill?.moment !== 'opening') this.#after(MOMENT_MAX_MS, strike);
    };
    const child = this.#start('application', (message) => {
      if (!isFromApplication(message)) return;
      this.#ledger.note(message);
      if (message.kind === 'ready' && kill !== undefined && isMomentOfWork(kill)) this.#after(kill.afterMs, arm);
      if (kill !== undefined && isArmed && message.kind === kill.moment) {
        isArmed = false;
        this.#after(kill.delayMs, strike);
      }
      if (message.kind !== 'drained') return;
      if (kill === undefined) child.send({ kind: 'stop' });
      else this.#after(Math.min(kill.afterMs, DRAINED_KILL_MAX_MS), strike);
    });
    const { linesPerSecond = (this.#lines * 1000) / SPAN_MS } = this.#options;
    child.send({
      kind: 'start',
      store: this.#store,
      input,
      lines: this.#lines,
      linesPerSecond,
      port,
      seed,
    });
    // Said before the process can have come that far.
    if (kill?.moment === 'opening') arm();
    else if (kill !== undefined && !isMomentOfWork(kill)) this.#after(kill.afterMs, arm);
    const end = await this.#orTrouble(child.ended);
    this.#children.delete(child);
    if (kill === undefined ? end.code !== 0 : !isStruck || end.signal !== 'SIGKILL') {
      throw new Error(`the application ended by itself: ${said(end)}`);
    }
    if (kill === undefined) return;
    this.#kills++;
    this.#options.onEvent({ kind: 'killed', pid: child.pid ?? 0, kills: this.#kills, moment: kill.moment });
  }

  /** Asks the destination what it has accepted. */
  async #collect(): Promise<void> {
    const collected = new Promise<void>((resolve) => {
      this.#collected = resolve;
    });
    this.#destination?.send({ kind: 'report' });
    await this.#orTrouble(collected);
  }

  async #recordsLeft(): Promise<number> {
    const evaq = await Evaq.open(this.#store, { create: false });
    const left = evaq.wal.size + evaq.deadLetters.size;
    await evaq.close();
    return left;
  }

  #result(left: number): Omit<DrillResult, 'dir'> {
    const { seed } = this.#options;
    const figures = this.#ledger.figures();
    const failures: string[] = [];
    if (figures.lost > 0) failures.push(`${figures.lost} lines were acknowledged and never arrived`);
    if (figures.pushedAgain > 0) failures.push(`${figures.pushedAgain} lines were pushed though they had come in`);
    if (figures.wrong > 0) failures.push(`${figures.wrong} lines arrived that were never pushed as they came`);
    if (figures.acknowledged < this.#lines) {
      failures.push(`${this.#lines - figures.acknowledged} lines were never acknowledged`);
    }
    if (left > 0) failures.push(`${left} records are left in the store`);
    if (figures.damage > 0) failures.push(`recovery found damage ${figures.damage} times, which no kill explains`);
    return {
      ...figures,
      seed,
      kills: this.#kills,
      durationMs: performance.now() - this.#began,
      diskPeakBytes: this.#diskPeakBytes,
      diskEndBytes: this.#diskBytes,
      left,
      failures,
    };
  }

  #tick(): void {
    const now = performance.now();
    const status: DrillStatus = {
      elapsedMs: now - this.#began,
      lines: this.#lines,
      acknowledged: this.#ledger.acknowledged,
      delivered: this.#delivered,
      deadLetters: this.#ledger.deadLetters,
      kills: this.#kills,
      isDestinationUp: this.#isDestinationUp,
      diskBytes: this.#diskBytes,
    };
    this.#options.onEvent({ kind: 'status', status });
    const progress = `${status.acknowledged} ${status.delivered} ${status.deadLetters} ${status.kills}`;
    if (progress !== this.#progress) {
      this.#progress = progress;
      this.#progressMs = now;
    } else if (now - this.#progressMs > STALL_MS) {
      this.#fail(new Error(`nothing has moved for ${STALL_MS / 1000} s`));
    }
    void diskBytesOf(this.#store).then((bytes) => {
      this.#diskBytes = bytes;
      this.#diskPeakBytes = Math.max(this.#diskPeakBytes, bytes);
    });
  }

  #start(name: string, hear: (message: unknown) => void): DrillChild {
    const { program, args } = this.#options;
    const child = new DrillChild(program, [...args, name], hear);
    this.#children.add(child);
    return child;
  }

  #orTrouble<T>(promise: Promise<T>): Promise<T> {
    return Promise.race([promise, this.#trouble]);
  }

  #after(ms: number, then: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      then();
    }, ms);
    this.#timers.add(timer);
  }

  #every(ms: number, then: () => void): void {
    this.#timers.add(setInterval(then, ms));
  }
}

/** True if what is struck comes again and again, once the application is ready. */
function isMomentOfWork({ moment }: PlannedKill): boolean {
  return moment === 'pushing' || moment === 'sending';
}

/** Space that a folder takes on the disk. What vanishes meanwhile takes none. */
async function diskBytesOf(dir: string): Promise<number> {
  let bytes = 0;
  const names = await fs.promises.readdir(dir, { recursive: true }).catch(() => []);
  for (const name of names) {
    const stat = await fs.promises.stat(path.join(dir, name)).catch(() => undefined);
    if (stat !== undefined) bytes += stat.blocks * 512;
  }
  return bytes;
}

function said(end: ChildEnd): string {
  const how = end.signal === null ? `exit code ${end.code}` : `signal ${end.signal}`;
  return end.stderr === '' ? how : `${how}\n${end.stderr.trimEnd()}`;
}
