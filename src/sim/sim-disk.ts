/**
 * A simulated disk for finding out whether a program keeps its promises through crashes. It gives the program the same ports as
 * the real machine (`vfs`, `host`), with simulated time and completions in an order that a seed decides: one seed is one history, to
 * the byte, as long as the program waits for nothing but these ports.
 *
 * At any moment the disk can be forked, killed under the program, damaged, or have its power cut: `crash(choice)` gives the disk
 * as it is after the cut, one of the states that a real machine may be left in. The model is that of ALICE (OSDI '14) and CrashMonkey
 * (OSDI '18) with what Linux does after a failed sync (ATC '20): see `CrashModel`, `CrashPoint`, `FaultRule` and `Damage`.
 *
 * Forks and crash states share their content and cost little. A disk belongs to one thread; its methods may be called at any time,
 * also from an observer.
 */
import { types } from 'node:util';
import { requireNoMore } from '../arguments.js';
import { describe, requireCount } from '../ids.js';
import type { Host } from '../vfs/host.js';
import type { Vfs } from '../vfs/vfs.js';
import {
  requireChoice,
  requireDamage,
  requireDiskOptions,
  requireFault,
  requireObserver,
  requirePath,
  requireSeed,
  requireStatesOptions,
} from './sim-arguments.js';
import { formatCall, type SimCall, type SimStep } from './sim-call.js';
import {
  applyCrash,
  type CrashChoice,
  CrashMemo,
  type CrashModel,
  type CrashPoint,
  type Decision,
  planCrash,
} from './sim-crash.js';
import { cornerChoices, countChoices, drawChoice, everyChoice } from './sim-crash-choices.js';
import { applyDamage, type Damage } from './sim-damage.js';
import { SimSystemError } from './sim-error.js';
import type { CancelFault, FaultRule } from './sim-fault.js';
import type { FillMode } from './sim-fill.js';
import { SimImage } from './sim-image.js';
import { checkInode } from './sim-inode.js';
import { type SimLimits, SimMachine } from './sim-machine.js';
import { SimProcess } from './sim-process.js';
import { describeTree, placeFile, removeTree } from './sim-tree.js';

export interface SimDiskOptions {
  /** Decides everything that is left to chance. A whole number. */
  readonly seed: number;
  /** What a power cut never tears apart: 512 if not given, or 4096. */
  readonly sectorBytes?: number;
  /**
   * Which unsynced creates, renames and removals survive a power cut: the first n of them, as with a journal ('ordered'), or any subset,
   * which is all that POSIX promises ('adversarial', the default).
   */
  readonly names?: 'ordered' | 'adversarial';
  /** What bytes hold that never reached the disk; 'any' (the default) leaves it to the choice of each crash. */
  readonly fill?: FillMode;
  /** With 'noise', a sector that was being overwritten may hold neither the old nor the new. 'safe' if not given. */
  readonly overwrite?: 'safe' | 'noise';
  /** Completions that are slow and overtake each other ('wild', the default), or every call in its order at its usual cost ('steady'). */
  readonly timing?: 'wild' | 'steady';
  /** Bytes of file content that fit. No limit if not given; `limits` changes it later. */
  readonly capacityBytes?: number;
  /** What `host.now()` begins with, in milliseconds since the epoch. */
  readonly epochMs?: number;
}

export interface CrashStatesOptions {
  /** All states are visited where there are at most this many choices; past it the corners and `draws`. 256 if not given. */
  readonly exhaustiveMax?: number;
  /** Random choices after the corners. 0 if not given. */
  readonly draws?: number;
  /** Of the draws. The disk's own if not given. */
  readonly seed?: number;
}

/** One state that a power cut may leave. Equal hashes are equal states. */
export interface CrashState {
  readonly choice: CrashChoice;
  readonly hash: string;
  readonly disk: SimDisk;
}

/** 2026-01-01, an arbitrary but plausible now. */
const EPOCH_MS = 1_767_225_600_000;
/** How long a reboot takes. */
const REBOOT_US = 1_000_000;

type Settings = Required<Pick<SimDiskOptions, 'epochMs' | 'timing'>> & { readonly model: CrashModel };

export class SimDisk {
  #machine: SimMachine;
  #settings: Settings;
  #main: SimProcess | undefined;
  #started = 0;
  #plan: { readonly serial: number; readonly decisions: readonly Decision[] } | undefined;

  /** @throws a `RangeError` for a sector size that is not a power of two from 64 up. */
  constructor(options: SimDiskOptions) {
    requireNoMore(arguments.length, 1, 'SimDisk');
    requireDiskOptions(options);
    const { seed, sectorBytes = 512, names = 'adversarial', fill = 'any', overwrite = 'safe' } = options;
    const { timing = 'wild', capacityBytes = Infinity, epochMs = EPOCH_MS } = options;
    if (!Number.isSafeInteger(Math.log2(sectorBytes)) || sectorBytes < 64) {
      throw new RangeError(`sectorBytes must be a power of two from 64 up, got ${sectorBytes}`);
    }
    const model: CrashModel = { names, fill, overwrite, seed };
    const limits: SimLimits = { capacityBytes, full: 'ENOSPC', fileBytesMax: Infinity, descriptorsMax: Infinity };
    this.#settings = { epochMs, timing, model };
    this.#machine = new SimMachine(new SimImage(sectorBytes), model, timing, limits, 0);
  }

  /** The file system as the present main process sees it: after `kill()`, that is a new one. Take it once for each run of a program. */
  get vfs(): Vfs {
    return this.#mainProcess().vfs;
  }

  /** Time, turns and chance of the present main process. */
  get host(): Host {
    return this.#mainProcess().host;
  }

  /** Another process on the same disk: it competes for the locks, sees the same files, and dies on its own. */
  spawn(): SimProcess {
    return new SimProcess(++this.#started, this.#machine, this.#settings.epochMs);
  }

  /**
   * As `kill -9` for every process: their calls under way stop where they are (a long write may be there in part), their locks are
   * free, and whatever they wait for never comes. Files keep their content as a process saw it. `vfs` and `host` are new ones after.
   */
  kill(): void {
    this.#machine.killAll();
    this.#main = undefined;
  }

  /** `kill()`, and the ports of the next main process. */
  restart(): { readonly vfs: Vfs; readonly host: Host } {
    this.kill();
    return { vfs: this.vfs, host: this.host };
  }

  /** Kills every process right after the nth effect or acknowledgement from the disk's beginning; resolves when that has happened. */
  async cutAfter(step: number): Promise<void> {
    requireNoMore(arguments.length, 1, 'cutAfter');
    requireCount(step, 'step', 0);
    return new Promise((died) => {
      this.#machine.cut = { afterSteps: step, died };
    });
  }

  /** Effects and acknowledgements so far. */
  get steps(): number {
    return this.#machine.steps;
  }

  /** Calls `observer` at every call, effect and acknowledgement. The result stops it. */
  observe(observer: (step: SimStep) => void): () => void {
    requireNoMore(arguments.length, 1, 'observe');
    requireObserver(observer);
    this.#machine.observers.add(observer);
    return () => {
      this.#machine.observers.delete(observer);
    };
  }

  /** The same disk once more, with its page cache and all that is unsynced, and no process on it. `seed`: the same if not given. */
  fork(seed?: number): SimDisk {
    requireNoMore(arguments.length, 1, 'fork');
    if (seed !== undefined) requireSeed(seed);
    return this.#successor(this.#machine.image.fork(), this.#machine.scheduler.nowUs, seed);
  }

  /**
   * The decisions of a power cut now, in the order of the numbers of a choice. There are none where everything was synced: then
   * exactly one state can follow.
   */
  crashPoints(): CrashPoint[] {
    const { image, model } = this.#machine;
    const paths = image.names.paths();
    return this.#decisions().map(({ kind, inode, index, options, lost }) => {
      const operation = kind === 'name' ? image.names.journal[index]?.text : undefined;
      const file = paths.get(inode) ?? `(removed file ${inode})`;
      const sector = kind === 'sector' ? `${file} sector ${index}` : file;
      const subject = operation ?? (kind === 'names' ? `journal, ${model.names}` : sector);
      return { kind, subject, options, lost };
    });
  }

  /**
   * The disk after a power cut now; this one stays as it is. Number i of `choice` answers decision i: 0 keeps the newest version, higher
   * ones go back. Any array will do: `[]` loses nothing. `seed` is that of the new disk; the same if not given.
   */
  crash(choice: CrashChoice = [], seed?: number): SimDisk {
    requireNoMore(arguments.length, 2, 'crash');
    requireChoice(choice);
    if (seed !== undefined) requireSeed(seed);
    const { image, model, scheduler } = this.#machine;
    // A fork: what the two disks share, neither may change in place, and this one goes on.
    const after = applyCrash(image.fork(), model, this.#decisions(), choice);
    return this.#successor(after, scheduler.nowUs + REBOOT_US, seed);
  }

  /** The choice that loses everything that was not synced. */
  nothingSurvives(): CrashChoice {
    return this.#decisions().map(({ lost }) => lost);
  }

  /** A choice by chance, leaning to keeping or to losing now and then. */
  drawCrash(seed: number): CrashChoice {
    requireNoMore(arguments.length, 1, 'drawCrash');
    requireSeed(seed);
    return drawChoice(this.#decisions(), seed);
  }

  /** Distinct states after a power cut now: all of them where they are few, otherwise the corners and some draws. */
  crashStates(options: CrashStatesOptions = {}): Generator<CrashState> {
    requireNoMore(arguments.length, 1, 'crashStates');
    requireStatesOptions(options, 'crashStates');
    return this.#crashStates(options);
  }

  *#crashStates(options: CrashStatesOptions): Generator<CrashState> {
    const { exhaustiveMax = 256, draws = 0, seed = this.#settings.model.seed } = options;
    // The disk may go on while its states are visited.
    const now = this.fork();
    const plan = now.#decisions();
    const seen = new Set<string>();
    function* choices(): Generator<CrashChoice> {
      if (countChoices(plan) <= exhaustiveMax) return yield* everyChoice(plan);
      yield* cornerChoices(plan);
      for (let i = 0; i < draws; i++) yield drawChoice(plan, seed + i);
    }
    // Nothing is changed on it any more, so that all states may share what is theirs.
    const { image, model, scheduler } = now.#machine;
    const memo = new CrashMemo();
    for (const choice of choices()) {
      const after = applyCrash(image, model, plan, choice, memo);
      const hash = after.hash();
      if (seen.has(hash)) continue;
      seen.add(hash);
      yield { choice, hash, disk: now.#successor(after, scheduler.nowUs + REBOOT_US) };
    }
  }

  /** Makes calls fail from now on, until the rule is used up or taken back. Forks and crashed disks begin without rules. */
  fault(rule: FaultRule): CancelFault {
    requireNoMore(arguments.length, 1, 'fault');
    requireFault(rule);
    return this.#machine.faults.add(rule);
  }

  /** The room on the disk and how it answers when it is full; may be changed at any time. */
  get limits(): SimLimits {
    return this.#machine.limits;
  }

  /** The most descriptors that a process had open at a time, so far: see `SimLimits.descriptorsMax`. */
  get descriptorsPeak(): number {
    return this.#machine.descriptorsPeak;
  }

  /** Bytes of file content in use. */
  get usedBytes(): number {
    return this.#machine.image.usedBytes((inode) => this.#machine.isOpen(inode));
  }

  /** Memory pressure: clean pages go. Shows what a failed sync has lost. All files if `path` is not given. */
  evict(path?: string): void {
    requireNoMore(arguments.length, 1, 'evict');
    if (path !== undefined) requirePath(path);
    const { image } = this.#machine;
    image.nextSerial();
    const inode = path === undefined ? undefined : this.#inodeAt(path);
    for (const file of image.files()) {
      if ((inode === undefined || file.id === inode) && file.unsynced.size > 0) image.own(file.id).evict();
    }
  }

  /** Damages what was synced. @throws an ENOENT in Node's shape where there is no such file. */
  damage(damage: Damage): void {
    requireNoMore(arguments.length, 1, 'damage');
    requireDamage(damage);
    applyDamage(this.#machine.image, this.#machine.prng, damage);
  }

  /** The content of a file as a process sees it, or nothing where there is no such file. */
  read(path: string): Uint8Array | undefined {
    requireNoMore(arguments.length, 1, 'read');
    requirePath(path);
    const { image } = this.#machine;
    const inode = image.names.lookup(path);
    const file = typeof inode === 'string' ? undefined : image.file(inode);
    if (file === undefined) return undefined;
    const bytes = new Uint8Array(file.size);
    file.read(bytes, 0, bytes.length, 0);
    return bytes;
  }

  /** Puts a durable file there, or replaces one, with the folders above it: for fixtures. */
  place(path: string, bytes: Uint8Array): void {
    requireNoMore(arguments.length, 2, 'place');
    requirePath(path);
    if (!types.isUint8Array(bytes)) throw new TypeError(`bytes must be a Uint8Array, got ${describe(bytes)}`);
    placeFile(this.#machine.image, path, bytes);
  }

  /**
   * Removes a file, or a folder with all that is in it, as somebody else with `rm -r` would: what is open stays as it is, without a name.
   * @throws an ENOENT in Node's shape where there is nothing.
   */
  remove(path: string): void {
    requireNoMore(arguments.length, 1, 'remove');
    requirePath(path);
    removeTree(this.#machine.image, path);
    this.#machine.sweep();
  }

  /** Every call so far, oldest first. */
  get calls(): readonly SimCall[] {
    return this.#machine.calls;
  }

  /**
   * Calls that broke the contract of the port, as sentences: use of a closed file, a close with calls under way, a lock that was let go while a file in its
   * folder was open for writing.
   */
  get violations(): readonly string[] {
    return this.#machine.violations;
  }

  /**
   * Something keeps a process alive: a call of the port under way, a turn that was asked for, `host.hold()`. Timers do not: where there is nothing
   * else, a real process ends before they are due, and whatever is awaited then is never told.
   */
  get isHeld(): boolean {
    return this.#machine.isHeld;
  }

  /**
   * What living processes hold: files that are open, locks, timers that are due some time, and the process itself. After a program has closed what
   * it opened there is nothing.
   */
  openHandles(): string[] {
    return this.#machine.openHandles();
  }

  /** Of all names and contents as a process sees them. After a power cut that is what is durable. */
  hash(): string {
    return this.#machine.image.hash();
  }

  /** The files and folders as a process sees them, one a line, with what of them is not durable. */
  tree(): string {
    return describeTree(this.#machine.image);
  }

  /** The history, one line a call. */
  toString(): string {
    return this.calls.map(formatCall).join('\n');
  }

  /** Throws at the first broken invariant of the simulation itself. */
  check(): void {
    for (const file of this.#machine.image.files()) checkInode(file);
  }

  #mainProcess(): SimProcess {
    // Killed on its own, or by a cut.
    if (this.#main?.alive !== true) this.#main = this.spawn();
    return this.#main;
  }

  #decisions(): readonly Decision[] {
    const { image, model } = this.#machine;
    if (this.#plan?.serial !== image.serial) {
      this.#plan = { serial: image.serial, decisions: planCrash(image, model) };
    }
    return this.#plan.decisions;
  }

  #inodeAt(path: string): number {
    const inode = this.#machine.image.names.lookup(path);
    if (typeof inode === 'string') throw new SimSystemError(inode, 'open', path);
    return inode;
  }

  #successor(image: SimImage, nowUs: number, seed: number = this.#settings.model.seed): SimDisk {
    const next = new SimDisk({ seed });
    const model = { ...this.#settings.model, seed };
    next.#settings = { ...this.#settings, model };
    next.#machine = new SimMachine(image, model, this.#settings.timing, this.#machine.limits, nowUs);
    next.#machine.sweep();
    return next;
  }
}
