/** Bugs of queues that may hold so much: room that is not kept, lines that are jumped, records that go though they are handled (`limits-run.ts`). */
import type { Edit, PlantedBug } from './planted-bugs.js';

function limits(title: string, seed: number, ...edits: readonly Edit[]): PlantedBug {
  return { title, hunts: ['limits'], seed, edits };
}

const PUSHES = 'queue/limited-pushes.ts';
const DROPPING = 'queue/dropping.ts';
const COUNT = 'log/live-bytes-count.ts';

export const BUGS_OF_LIMITS: readonly PlantedBug[] = [
  limits('the oldest record is dropped though a handler has it', 1, {
    file: DROPPING,
    find: '      if (claims.isLeased(id) || !log.isLive(id)) continue;\n',
    put: '      if (claims.isLeased(-id) || !log.isLive(id)) continue;\n',
  }),
  limits('a record expires under its handler', 1, {
    file: DROPPING,
    find: '      if (!claims.isLeased(id)) ids.push(id);',
    put: '      ids.push(id);',
  }),
  limits('a push that fits overtakes those that wait', 1, {
    file: PUSHES,
    find: "this.#line.size > 0 ? 'wait' : this.#judge(need)",
    put: 'this.#judge(need)',
  }),
  limits('what is there when a queue is opened takes no room', 1, {
    file: COUNT,
    find: '      this.#unknown.set(segment, { live: live.liveCount, bytes });\n      this.#liveBytes += bytes;\n',
    put: '',
  }),
  limits('a removal makes room before it is durable', 1, {
    file: PUSHES,
    find: 'records: log.liveCount + heldRecords + this.#pendingRecords,\n      bytes: liveBytes + heldBytes + this.#pendingBytes,',
    put: 'records: log.liveCount + this.#pendingRecords,\n      bytes: liveBytes + this.#pendingBytes,',
  }),
  limits('pushes of one turn do not see each other', 1, {
    file: PUSHES,
    find: '    this.#pendingRecords += records;\n    this.#pendingBytes += bytes;\n',
    put: '    this.#pendingRecords += 0 * records;\n',
  }),
  limits('a push that failed keeps its room', 1, {
    file: PUSHES,
    find: '      failed: () => {\n        settle();\n',
    put: '      failed: () => {\n',
  }),
  limits('a push that is withdrawn keeps others waiting', 1, {
    file: 'queue/push-line.ts',
    find: '      if (next.isWithdrawn) {',
    put: "      if (next.isWithdrawn && next.ask() !== 'wait') {",
  }),
  limits('a date that goes ahead for a while is believed', 1, {
    file: 'queue/record-age.ts',
    find: '    if (elapsedMs - sinceMs < this.#believedMs) return this.#dateMs;\n',
    put: '',
  }),
  limits('records of an earlier run never expire', 1, {
    file: 'queue/record-expiry.ts',
    find: '      if (through < id) return;\n',
    put: '      if (through >= 0) return;\n',
  }),
];
