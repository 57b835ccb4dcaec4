/**
 * What all processes on one simulated disk share: the state of the disk, time, chance, faults, locks, the history. Every call of the
 * port goes through `perform`, which decides when it takes effect and when its caller hears of it.
 */
import { unreachable } from '../assert.js';
import { inTurn } from '../vfs/own-timers.js';
import type { SimCall, SimCallName, SimStep } from './sim-call.js';
import type { CrashModel } from './sim-crash.js';
import { type SimErrorName, SimSystemError } from './sim-error.js';
import { type FaultRule, SimFaults } from './sim-fault.js';
import type { SimImage } from './sim-image.js';
import type { SimInode } from './sim-inode.js';
import { ROOT } from './sim-names.js';
import { Prng } from './sim-prng.js';
import { type SimEvent, SimScheduler } from './sim-scheduler.js';

/** What the machine has to know of a process. */
export interface Incarnation {
  readonly id: number;
  readonly alive: boolean;
  /** Counts one more handle on `inode`; the result takes it back. */
  opened(inode: number, isWritable: boolean): () => void;
  isOpen(inode: number): boolean;
  /** Handles, all together. */
  readonly openCount: number;
  /** Inodes with how many handles there are on each. */
  readonly handles: ReadonlyMap<number, number>;
  /** The inode of each handle that may write. */
  readonly written: readonly number[];
  /** Timers that are neither due nor cancelled yet. */
  readonly timers: number;
  /** Who holds the process, without having let go. */
  readonly holds: number;
  kill(): void;
}

export interface SimLimits {
  /** Bytes of file content that fit; Infinity for a disk that never fills up. */
  capacityBytes: number;
  /** How a full disk answers: as a full disk, or as a user's exhausted share of it. */
  full: 'ENOSPC' | 'EDQUOT';
  /** No file grows past this (EFBIG). */
  fileBytesMax: number;
  /** No process has more descriptors at a time (EMFILE): of files, of locks, and of a folder while it is listed or synced. */
  descriptorsMax: number;
}

/** One call, as `perform` takes it. */
export interface Performance<T> {
  readonly name: SimCallName;
  readonly path: string;
  readonly detail?: string;
  /** What Node's error calls it. */
  readonly syscall: string;
  /** The paths that Node's error shows: none for calls on a descriptor. */
  readonly errorPaths?: readonly string[];
  readonly costUs: number;
  readonly inode?: number;
  /** In how many pieces it takes effect, each at a time of its own; 1 if not given. */
  readonly pieces?: number;
  /** Changes the disk. Called once for each piece; the result of the last one counts. Throws a system error. */
  readonly effect: (piece: number) => T;
  /** What happens to the disk when the call runs into a fault. */
  readonly whenFaulty?: (fault: FaultRule) => void;
  /** Its caller hears of the outcome now. */
  readonly whenTold?: () => void;
}

interface LoggedCall extends SimCall {
  outcome: string;
  endedUs: number | undefined;
}

export class SimMachine {
  readonly image: SimImage;
  readonly model: CrashModel;
  readonly timing: 'wild' | 'steady';
  readonly limits: SimLimits;
  readonly scheduler: SimScheduler;
  readonly prng: Prng;
  readonly faults: SimFaults = new SimFaults();
  readonly calls: LoggedCall[] = [];
  /** Calls that broke the contract of the port. */
  readonly violations: string[] = [];
  /** The holder of the lock on an inode. */
  readonly locks: Map<number, Incarnation> = new Map();
  readonly processes: Set<Incarnation> = new Set();
  readonly observers: Set<(step: SimStep) => void> = new Set();
  /** Effects and acknowledgements so far. */
  steps = 0;
  /** The most that a process had at a time. */
  descriptorsPeak = 0;
  cut: { readonly afterSteps: number; readonly died: () => void } | undefined;

  constructor(image: SimImage, model: CrashModel, timing: 'wild' | 'steady', limits: SimLimits, nowUs: number) {
    this.image = image;
    this.model = model;
    this.timing = timing;
    this.limits = { ...limits };
    this.scheduler = new SimScheduler(nowUs);
    this.prng = new Prng(model.seed);
  }

  perform<T>(who: Incarnation, what: Performance<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      // The dead hear nothing: a promise of theirs is never settled.
      if (!who.alive) return;
      const call = this.begin(who, what.name, what.path, what.detail);
      const fault = this.faults.hit(what.name, call);
      const pieces = fault === undefined ? (what.pieces ?? 1) : 1;
      const [untilEffect, untilAck] = this.#delays(what.costUs);
      const under = new CallUnderWay(
        this,
        who,
        what,
        call,
        fault,
        pieces,
        untilEffect / pieces,
        untilAck,
        resolve,
        reject,
      );
      this.scheduler.add(under.pieceUs, under);
    });
  }

  begin(who: Incarnation, name: SimCallName, path: string, detail = ''): SimCall {
    const call: LoggedCall = {
      index: this.calls.length + 1,
      process: who.id,
      name,
      path,
      detail,
      calledUs: this.scheduler.nowUs,
      outcome: 'under way',
      endedUs: undefined,
    };
    this.calls.push(call);
    this.#notify('call', call);
    return call;
  }

  end(call: SimCall, outcome: string): void {
    const logged = this.calls[call.index - 1];
    if (logged === undefined) return;
    logged.outcome = outcome;
    logged.endedUs = this.scheduler.nowUs;
  }

  /** Counts, tells the observers, and kills every process where a cut is due. */
  step(phase: 'effect' | 'ack', call: SimCall): void {
    this.steps++;
    this.#notify(phase, call);
    if (this.cut === undefined || this.steps < this.cut.afterSteps) return;
    const { died } = this.cut;
    this.cut = undefined;
    this.killAll();
    // After all that the last acknowledgement set off.
    inTurn(died);
  }

  killAll(): void {
    for (const process of this.processes) process.kill();
  }

  isOpen(inode: number): boolean {
    for (const process of this.processes) if (process.isOpen(inode)) return true;
    return false;
  }

  /** A call broke the contract of the port: a sentence for whoever asks. */
  violate(sentence: string): void {
    this.violations.push(sentence);
  }

  /** `who` lets go of the lock at `path`: what that protects it may not have open for writing any more. */
  requireNothingWritten(path: string, who: Incarnation): void {
    const folder = path.slice(0, path.lastIndexOf('/') + 1);
    const paths = this.image.names.paths();
    for (const inode of new Set(who.written)) {
      const file = paths.get(inode);
      if (file?.startsWith(folder)) this.violate(`release of ${path} while ${file} is open for writing`);
    }
  }

  openHandles(): string[] {
    const found: string[] = [];
    const paths = this.image.names.paths();
    const nameOf = (inode: number): string => (inode === ROOT ? '/' : (paths.get(inode) ?? `(removed file ${inode})`));
    for (const { id, handles, timers, holds } of this.processes) {
      for (const [inode, count] of handles)
        found.push(`p${id} file ${nameOf(inode)}${count > 1 ? ` ${count} times` : ''}`);
      if (timers > 0) found.push(`p${id} ${timers} timers`);
      if (holds > 0) found.push(`p${id} ${holds} holds`);
    }
    for (const [inode, { id }] of this.locks) found.push(`p${id} lock ${nameOf(inode)}`);
    return found;
  }

  /** Something keeps a process alive. */
  get isHeld(): boolean {
    if (this.scheduler.isBusy) return true;
    for (const { holds } of this.processes) if (holds > 0) return true;
    return false;
  }

  sweep(): void {
    this.image.sweep((inode) => this.isOpen(inode));
  }

  /** A process is about to open something. @throws EMFILE */
  requireDescriptor(who: Incarnation, syscall: string, path: string): void {
    let open = who.openCount;
    for (const holder of this.locks.values()) if (holder === who) open++;
    if (open >= this.limits.descriptorsMax) throw new SimSystemError('EMFILE', syscall, path);
    this.descriptorsPeak = Math.max(this.descriptorsPeak, open + 1);
  }

  freeBytes(): number {
    if (this.limits.capacityBytes === Infinity) return Infinity;
    return Math.max(0, this.limits.capacityBytes - this.image.usedBytes((inode) => this.isOpen(inode)));
  }

  /** Writes as much as fits and throws where that is not all. */
  write(inode: number, source: Uint8Array, offset: number, length: number, position: number): void {
    const file = this.image.own(inode);
    const below = Math.max(0, Math.min(length, this.limits.fileBytesMax - position));
    const free = this.freeBytes();
    const fits = free === Infinity ? below : file.bytesThatFit(position, below, free);
    file.write(source, offset, fits, position, this.image.nextSerial());
    if (fits < below) throw new SimSystemError(this.limits.full, 'write');
    if (below < length) throw new SimSystemError('EFBIG', 'write');
  }

  /** A write that a fault cuts short. */
  writeFaulty(fault: FaultRule, inode: number, source: Uint8Array, offset: number, length: number, at: number): void {
    const prefix = fault.alsoDone === true ? length : Math.min(length, fault.afterBytes ?? this.prng.below(length + 1));
    this.write(inode, source, offset, prefix, at);
  }

  failSync(inode: number): SimInode {
    this.image.nextSerial();
    const file = this.image.own(inode);
    file.failSync();
    file.errorUnreported = true;
    return file;
  }

  fail<T>(fault: FaultRule, what: Performance<T>): never {
    if (what.whenFaulty !== undefined) what.whenFaulty(fault);
    else if (fault.alsoDone === true) what.effect(0);
    const error: SimErrorName = fault.error ?? 'EIO';
    throw new SimSystemError(error, what.syscall, ...(what.errorPaths ?? []));
  }

  /** How long until a call takes effect, and from there until its caller hears of it. */
  #delays(costUs: number): [number, number] {
    switch (this.timing) {
      case 'steady':
        return [costUs, 0];
      case 'wild': {
        const { prng } = this;
        // One call in 25 is slow, as behind a device that cleans up: enough to overtake and be overtaken by everything.
        const stretch = prng.chance(0.04) ? 10 + prng.below(40) : 0.2 + prng.below(1000) / 600;
        const total = costUs * stretch;
        const share = prng.below(1001) / 1000;
        return [total * share, total * (1 - share)];
      }
      default:
        return unreachable(this.timing);
    }
  }

  #notify(phase: SimStep['phase'], call: SimCall): void {
    if (this.observers.size === 0) return;
    for (const observer of this.observers) observer({ phase, step: this.steps, call });
  }
}

/** A call of the port between its beginning and its end: due when it takes effect, piece by piece, and once more when its caller hears of it. */
class CallUnderWay<T> implements SimEvent {
  dueUs = 0;
  order = 0;
  isPending = false;
  readonly kind = 'io';
  readonly machine: SimMachine;
  readonly who: Incarnation;
  readonly what: Performance<T>;
  readonly call: SimCall;
  readonly fault: FaultRule | undefined;
  readonly pieces: number;
  readonly pieceUs: number;
  readonly untilAckUs: number;
  readonly resolve: (result: T) => void;
  readonly reject: (error: unknown) => void;
  piece = 0;
  outcome = '';
  tell: (() => void) | undefined;

  constructor(
    machine: SimMachine,
    who: Incarnation,
    what: Performance<T>,
    call: SimCall,
    fault: FaultRule | undefined,
    pieces: number,
    pieceUs: number,
    untilAckUs: number,
    resolve: (result: T) => void,
    reject: (error: unknown) => void,
  ) {
    this.machine = machine;
    this.who = who;
    this.what = what;
    this.call = call;
    this.fault = fault;
    this.pieces = pieces;
    this.pieceUs = pieceUs;
    this.untilAckUs = untilAckUs;
    this.resolve = resolve;
    this.reject = reject;
  }

  /** Of the effects to come alone. */
  get inode(): number | undefined {
    return this.tell === undefined ? this.what.inode : undefined;
  }

  isWanted(): boolean {
    return this.who.alive;
  }

  happen(): boolean {
    const { machine, call } = this;
    if (this.tell !== undefined) {
      machine.end(call, this.outcome);
      this.what.whenTold?.();
      this.tell();
      machine.step('ack', call);
      return false;
    }
    this.#takeEffect();
    // Whoever watches may do something about it.
    return machine.observers.size === 0;
  }

  #takeEffect(): void {
    const { machine, what, fault, call } = this;
    let result: T;
    try {
      if (fault !== undefined && fault.flip !== true) machine.fail(fault, what);
      result = what.effect(this.piece);
      if (fault !== undefined) what.whenFaulty?.(fault);
    } catch (error) {
      machine.step('effect', call);
      this.#settle(error instanceof SimSystemError ? error.code : 'failed', () => this.reject(error));
      return;
    }
    machine.step('effect', call);
    if (++this.piece < this.pieces) machine.scheduler.add(this.pieceUs, this);
    else this.#settle('ok', () => this.resolve(result));
  }

  #settle(outcome: string, tell: () => void): void {
    this.outcome = outcome;
    this.tell = tell;
    this.machine.scheduler.add(this.untilAckUs, this);
  }
}
