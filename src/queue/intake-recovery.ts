/**
 * Opening: what the unsealed segments tell of what came in is brought into the intake log, before they are sealed.
 */
import { isNoSpace } from '../errors.js';
import { IntakeLog } from '../intake/intake-log.js';
import type { LoadedQueue } from '../log/log-load.js';
import type { RecoveryEnvironment } from './queue-recovery.js';

/** False where there is no space for it: then no segment may be sealed. */
export async function settleIntake(env: RecoveryEnvironment, loaded: LoadedQueue): Promise<boolean> {
  const { dir, intake, clean } = loaded;
  const hasDamage = intake.damaged.size > 0;
  const log = new IntakeLog({ ...env, dir }, intake);
  const owes = log.owes(Number.MAX_SAFE_INTEGER);
  if (!owes && !hasDamage && (clean || intake.file === undefined)) return true;
  try {
    // A log that a crash has left may hold what is in the page cache alone.
    await env.reserve.spend(() => log.renew(Number.MAX_SAFE_INTEGER));
    return true;
  } catch (error) {
    if (!isNoSpace(error)) throw error;
    await log.rewriteTail();
    return !owes;
  }
}
