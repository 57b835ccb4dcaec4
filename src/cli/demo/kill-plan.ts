/**
 * When the drill kills: by chance, but not only at moments of rest. The same seed makes the same plan; where exactly a kill strikes
 * is the machine's choice.
 */
import { Prng } from '../../sim/sim-prng.js';

/** What the application must have said last: a recovery, a push or a request is then under way. `any`: nothing. */
export type KillMoment = 'opening' | 'pushing' | 'sending' | 'any';

export interface PlannedKill {
  /** After the process was started (`pushing`, `sending`: was ready) so long until the moment counts. */
  readonly afterMs: number;
  readonly moment: KillMoment;
  /** After the moment has come. */
  readonly delayMs: number;
}

/** `spanMs` is about how long the work takes: the kills are spread over it. */
export function planKills(seed: number, kills: number, spanMs: number): PlannedKill[] {
  const random = new Prng(seed);
  const uniform = (max: number): number => random.below(1000) * (max / 1000);
  return Array.from({ length: kills }, () => {
    const draw = random.below(100);
    // Opening takes a few milliseconds.
    if (draw < 15) return { afterMs: 0, moment: 'opening', delayMs: uniform(12) };
    const afterMs = uniform((2 * spanMs) / kills);
    if (draw < 45) return { afterMs, moment: 'pushing', delayMs: uniform(0.8) };
    if (draw < 75) return { afterMs, moment: 'sending', delayMs: uniform(20) };
    return { afterMs, moment: 'any', delayMs: 0 };
  });
}
