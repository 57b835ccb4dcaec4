/** Bugs in delivery: random scripts of it (`delivery-run.ts`) have to find each of them. */
import type { Edit, PlantedBug } from './planted-bugs.js';

function delivery(title: string, ...edits: readonly Edit[]): PlantedBug {
  return { title, hunts: ['delivery'], edits };
}

const DISPATCHER = 'delivery/dispatcher.ts';
const FINDER = 'delivery/finder.ts';

export const BUGS_IN_DELIVERY: readonly PlantedBug[] = [
  delivery('an attempt is not counted after the death of the process', {
    file: 'delivery/queue-deliveries.ts',
    find: 'attempts: (before?.attempts ?? 0) + 1,',
    put: 'attempts: before?.attempts ?? 0,',
  }),
  delivery('a record whose handler is past its time is given to another one', {
    file: 'delivery/jobs.ts',
    find: '      job.signal.abort(new HandlerTimeout(options.timeoutMs));',
    put: "      job.signal.abort(new HandlerTimeout(options.timeoutMs));\n      this.#ended(job, { kind: 'threw', error: undefined });",
  }),
  delivery('a key goes on behind a record that is tried again', {
    file: DISPATCHER,
    find: '  putBack({ id }: Lease): void {\n    const { entry } = this.#end(id);',
    put: '  putBack({ id, key }: Lease): void {\n    const { entry } = this.#end(id);\n    this.#finder.gone(key, id);',
  }),
  delivery('failures while the destination is down count', {
    file: 'delivery/pace.ts',
    find: '    const counts = counted && forgiven === undefined;',
    put: '    const counts = true;',
  }),
  delivery('suspects are handed out together', {
    file: DISPATCHER,
    find: '    if (isSuspect) this.#alone = id;',
    put: '',
  }),
  delivery('a delayed record is handed out early', {
    file: FINDER,
    find: '      if (delayMs <= 0) {',
    put: '      if (delayMs <= 30) {',
  }),
  delivery('a dead letter is written, and its record stays', {
    file: 'store/move.ts',
    find: '    await from.removing.removeMoved(claim);',
    put: "    claim.end('given back');",
  }),
  delivery('a half of a batch holds what was removed', {
    file: 'delivery/judge.ts',
    find: '    const live = leases.filter(({ id }) => source.isLive(id));\n    this.#settlement.giveBack(leases.filter(({ id }) => !source.isLive(id)));',
    put: '    const live = leases;\n    if (live.length < 0) source.isLive(0);',
  }),
  delivery('one read that fails ends a delivery', {
    file: FINDER,
    find: "error.code === 'EVAQ_IO'",
    put: "error.code === 'EVAQ_QUEUE_FULL'",
  }),
  delivery('a record that is put off loses its place over a restart', {
    file: FINDER,
    find: '      if (entry === undefined) continue;',
    put: '      if ((entry?.attempts ?? 0) === 0) continue;',
  }),
  delivery('a record that failed before goes to its handler beside the rest of its batch', {
    file: DISPATCHER,
    find: '      if (isLoner && taken.length > 0) break;',
    put: '',
  }),
  delivery('what a stopped delivery still has in a handler does not hold its line', {
    file: FINDER,
    find: '        this.#passOver(record);',
    put: '        this.table.hold(record.id);',
  }),
  delivery('an attempt is not given back to a record that is in a handler', {
    file: DISPATCHER,
    find: '      lease.forgiven += count;',
    put: '',
  }),
  delivery('a log that could not be written names the victims of a death that was none', {
    file: 'delivery/delivery-log.ts',
    find: '    if (!isTold) await this.#closeAnew();',
    put: '',
  }),
  {
    title: 'drained waits for what comes after the call',
    hunts: ['delivery beside loads'],
    edits: [
      {
        file: 'delivery/delivery.ts',
        find: '    const upTo = this.#parts.source.lastVisibleId();',
        put: '    const upTo = Infinity;',
      },
    ],
  },
  delivery('a suspect that was removed holds up all others', {
    file: DISPATCHER,
    find: '      suspect = this.#nextSuspect();\n    }',
    put: '      break;\n    }',
  }),
  delivery('suspects that have not had their turn are forgotten over a restart', {
    file: 'delivery/queue-deliveries.ts',
    find: '  const suspects = [...state.entries].filter(([, entry]) => isUntried(entry)).map(([id]) => id);',
    put: '  const suspects: number[] = [];',
  }),
  delivery('a dead letter is written twice', {
    file: 'store/move.ts',
    find: '    newId = await to.commits.push(record.payload, meta);',
    put: '    await to.commits.push(record.payload, meta);\n    newId = await to.commits.push(record.payload, meta);',
  }),
];
