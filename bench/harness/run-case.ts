/**
 * Runs a case: all contenders are set up in processes of their own, then take turns, round by round, so that a disk that drifts drifts
 * for all of them.
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { UnavailableError } from '../contenders/contender.js';
import { Contestant } from './contestant.js';
import { PEERS, type Verdict } from './goal.js';
import type { OlderVersion } from './older-version.js';
import type { Row } from './row.js';
import { type Measured, type MemoryUse, type Sample, summarize } from './sample.js';
import type { Scale } from './scale.js';
import { isOurs, twinOf } from './side-by-side.js';
import { type OrderTaker, Worker } from './worker.js';
import type { Order } from './worker-protocol.js';

export interface RunOptions {
  readonly scale: Scale;
  readonly engine: string;
  readonly dir: string;
  readonly peers: boolean;
  readonly cpuProfDir: string | undefined;
  /** Takes its turns beside the engine. */
  readonly older?: OlderVersion | undefined;
}

export interface CaseResult {
  readonly row: string;
  readonly label: string;
  readonly contenders: Readonly<Record<string, Measured>>;
  /** Contenders that took no part, and why. */
  readonly absent: Readonly<Record<string, string>>;
  readonly goals: readonly Verdict[];
}

interface Entrant {
  readonly name: string;
  readonly worker: OrderTaker;
  readonly samples: Sample[];
}

function sameProcess(): OrderTaker {
  const contestant = new Contestant();
  return {
    async ask<T>(order: Order): Promise<T | undefined> {
      // As over there: each order is answered with its type.
      return (await contestant.carryOut(order)) as T;
    },
    close: async () => undefined,
  };
}

export async function runCase(row: Row, caseIndex: number, options: RunOptions): Promise<CaseResult> {
  const { scale } = options;
  const one = row.cases(scale)[caseIndex];
  if (one === undefined) throw new RangeError('no such case');
  const absent: Record<string, string> = {};
  let entrants: Entrant[] = [];
  const dir = join(options.dir, `${row.name}-${caseIndex}`);

  const leave = async (entrant: Entrant, error: unknown): Promise<void> => {
    const reason = error instanceof Error ? error.message : String(error);
    absent[entrant.name] = error instanceof UnavailableError ? reason : `failed: ${reason}`;
    entrants = entrants.filter((other) => other !== entrant);
    await entrant.worker.close();
  };

  try {
    for (const [at, { name, contender, engine }] of contestantsOf(one.contenders, options).entries()) {
      if (!options.peers && PEERS.includes(name)) {
        absent[name] = 'peers were not asked for';
        continue;
      }
      const worker = scale.ownProcesses
        ? new Worker({ cpuProfDir: name.startsWith('evaq') ? options.cpuProfDir : undefined })
        : sameProcess();
      const entrant = { name, worker, samples: [] };
      entrants.push(entrant);
      try {
        await worker.ask({
          order: 'start',
          row: row.name,
          caseIndex,
          contender,
          scale: scale.name,
          engine,
          dir: join(dir, String(at)),
        });
      } catch (error) {
        await leave(entrant, error);
      }
    }
    const slow = row.slow === true;
    const rounds = slow ? scale.slowRounds : scale.rounds;
    for (let round = slow ? 0 : -scale.warmups; round < rounds; round++) {
      for (const entrant of entrants) {
        try {
          const sample = await entrant.worker.ask<Sample>({ order: 'round' });
          if (sample === undefined) throw new Error('its process died');
          if (round >= 0) entrant.samples.push(sample);
        } catch (error) {
          await leave(entrant, error);
        }
      }
    }
    const contenders: Record<string, Measured> = {};
    for (const entrant of entrants) {
      const memory = await entrant.worker.ask<MemoryUse>({ order: 'memory' });
      contenders[entrant.name] = summarize(entrant.samples, memory);
      await entrant.worker.ask({ order: 'end' });
    }
    // Goals are about what is there now.
    const judged = Object.fromEntries(Object.entries(contenders).filter(([name]) => one.contenders.includes(name)));
    const goals = one.goals.flatMap((goal) => goal(judged) ?? []);
    return { row: row.name, label: one.label, contenders, absent, goals };
  } finally {
    for (const { worker } of entrants) await worker.close();
    rmSync(dir, { recursive: true, force: true });
  }
}

interface Starter {
  readonly name: string;
  readonly contender: string;
  readonly engine: string;
}

/** Each contender, and right after one of ours the same of the older version, if there is one. */
function contestantsOf(contenders: readonly string[], { engine, older }: RunOptions): Starter[] {
  return contenders.flatMap((contender) => {
    const one = { name: contender, contender, engine };
    if (older === undefined || !isOurs(contender)) return [one];
    return [one, { name: twinOf(contender, older.name), contender, engine: older.engine }];
  });
}
