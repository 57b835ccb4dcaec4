/** Bugs of observation: health that keeps something to itself, events that are not told, or told of what was not so (`observed-run.ts`). */
import type { PlantedBug } from './planted-bugs.js';

function observed(title: string, file: string, find: string, put: string): PlantedBug {
  return { title, hunts: ['observation'], seed: 1, edits: [{ file, find, put }] };
}

const HEALTH = 'store/health.ts';
const COMMITS = 'queue/commit-trace.ts';
const TRACES = 'delivery/delivery-trace.ts';

export const BUGS_OF_OBSERVATION: readonly PlantedBug[] = [
  observed(
    'health does not name a sync that failed',
    HEALTH,
    "  if (failure !== undefined) reasons.push({ code: 'failed', message: failure.message, error: failure });\n",
    '',
  ),
  observed(
    'a store that has stopped is only degraded',
    HEALTH,
    "failure !== undefined ? 'failed' : reasons",
    'reasons',
  ),
  observed(
    'nobody is told that a store stops',
    'store/store-health.ts',
    '    store.failStop.onStop(() => host.soon(() => this.#telling.note(this.#judge(undefined, UNBOUNDED))));\n',
    '',
  ),
  observed(
    'the end of a commit is not told',
    COMMITS,
    '    if (failure === undefined) COMMITS.over(trace);\n    else COMMITS',
    '    if (failure !== undefined) COMMITS',
  ),
  observed(
    'a commit that failed is told as any other',
    COMMITS,
    '    if (this.#underWay?.batch === batch) this.#underWay.failure ??= { error };\n',
    '    void [batch, error];\n',
  ),
  observed('what a pushSync commits is not told', COMMITS, 'if (batches.length === 0 ||', 'if (batches.length > 0 ||'),
  observed(
    'a round of removals is told without its last range',
    'queue/removal-trace.ts',
    'const lastId = ranges.at(-1)?.last ?? 0;',
    'const lastId = ranges[0]?.first ?? 0;',
  ),
  observed(
    'a push that was refused is told as one that succeeded',
    'tracing.ts',
    '      this.failed(context, error);\n      throw error;',
    '      this.over(context);\n      throw error;',
  ),
  observed(
    'a handler is not told of',
    'delivery/jobs.ts',
    'isDeliverObserved() ?',
    'isDeliverObserved() && job.leases.length > 1 ?',
  ),
  observed(
    'nobody is told which records of a batch failed',
    TRACES,
    '  trace.failed = failed;',
    '  trace.failed = [];',
  ),
  observed(
    'what was dropped is not told',
    'queue/dropping.ts',
    '    DROPPED.publish(message);',
    "    if (cause === 'expired') DROPPED.publish(message);",
  ),
  observed(
    'a breaker that closes tells nobody',
    TRACES,
    '  if (!BREAKERS.isObserved) return;',
    "  if (!BREAKERS.isObserved || state.kind === 'closed') return;",
  ),
  observed(
    'a destination that is back is remembered as down',
    'delivery/queue-deliveries.ts',
    '    if (streak > 0 || before === 0) return;',
    '    if (streak >= 0 || before === 0) return;',
  ),
];
