/** Bugs that show only where the clock or the IDs are somewhere else than usual: the check of such histories (`time-run.ts`) has to find each of them. */
import type { Edit, PlantedBug } from './planted-bugs.js';

function time(title: string, ...edits: readonly Edit[]): PlantedBug {
  return { title, hunts: ['time'], edits };
}

export const BUGS_IN_TIME: readonly PlantedBug[] = [
  time('times never go back', {
    file: 'queue/log-end.ts',
    find: '    beginPlace(batch, this.#active, {',
    put: '    batch.timestamp = Math.max(batch.timestamp, ...this.#options.log.segments.map(({ times }) => times.maxMs));\n    beginPlace(batch, this.#active, {',
  }),
  time('a batch has the time of its first push, however late the others come', {
    file: 'queue/push-batches.ts',
    find: 'Math.abs(timestamp - open.timestamp) <= BATCH_TIME_MS_MAX',
    put: 'timestamp >= 0',
  }),
  time('the clock is taken at its word', {
    file: 'vfs/host.ts',
    find: 'return clampTime(host.now());',
    put: 'return host.now();',
  }),
  time('the earliest time of a copy is that of its first record', {
    file: 'gc/copier.ts',
    find: '    this.#times.note(id, timestamp);',
    put: '    if (this.count === 0 || timestamp > this.#times.maxMs) this.#times.note(id, timestamp);',
  }),
  time('nobody counts the last IDs', {
    file: 'queue/push-refusal.ts',
    find: '    if (next <= IDS_AMPLE) return undefined;',
    put: '    if (next >= 0) return undefined;',
  }),
  time('those who wait are not counted where IDs are few', {
    file: 'queue/push-refusal.ts',
    find: '    next += this.#parts.batches.count;',
    put: '',
  }),
  time('the ID high water goes past the last ID', {
    file: 'queue/segment-start.ts',
    find: 'Math.min(nextId + IDS_PER_SEGMENT, Number.MAX_SAFE_INTEGER)',
    put: 'nextId + IDS_PER_SEGMENT',
  }),
  time(
    'a tombstone log is known by the name under which it was made',
    { file: 'vfs/budgeted-vfs.ts', find: '    await file.moved(to, rename);', put: '    await rename();' },
    {
      file: 'tombstone/tombstone-log.ts',
      find: "      await file.close().catch(() => undefined);\n      // By its name: a blocking sync finds it by that.\n      const named = await vfs.open(path, 'write');",
      put: '      const named = file;',
    },
  ),
];
