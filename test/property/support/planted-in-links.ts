/** Bugs of links: what a thread that died had is kept from others or lost, errors that are not what they were (`link-run.ts`). */
import type { Edit, PlantedBug } from './planted-bugs.js';

function link(title: string, ...edits: readonly Edit[]): PlantedBug {
  return { title, hunts: ['link'], seed: 1, edits };
}

const DELIVERIES = 'link/store-deliveries.ts';
const THROWN = 'link/packed-thrown.ts';

export const BUGS_IN_LINKS: readonly PlantedBug[] = [
  link('what a thread had in its handlers is not given back when it dies', {
    file: DELIVERIES,
    find: '    for (const run of this.#runs.keys()) this.#take(run)?.reject(new HandlerDied());\n',
    put: '',
  }),
  link('the death of a thread is no death to what was in its handlers', {
    file: DELIVERIES,
    find: '    for (const run of this.#runs.keys()) this.#take(run)?.reject(new HandlerDied());\n',
    put: "    for (const run of this.#runs.keys()) this.#take(run)?.reject(new Error('gone'));\n",
  }),
  link('what was in the handlers of a thread that died comes beside others', {
    file: 'delivery/settlement.ts',
    find: '    this.#work.dispatcher.suspect(lease.id);\n',
    put: '',
  }),
  link('what becomes of a handler is noted though the delivery log is closed', {
    file: 'delivery/delivery-log.ts',
    find: '    if (this.#closed) return Promise.resolve();\n',
    put: '',
  }),
  link('a pop goes on whose thread has died', {
    file: 'link/store-link.ts',
    find: '    this.#living.abort();\n',
    put: '',
  }),
  link('an EvaqError loses its code over a link', {
    file: THROWN,
    find: "isCode(code) ? code : 'EVAQ_FAILED'",
    put: "isCode(code) ? 'EVAQ_FAILED' : 'EVAQ_IO'",
  }),
  link(
    'what a handler throws loses its code over a link',
    {
      file: THROWN,
      find: '    if (APART.has(key)) continue;',
      put: "    if (APART.has(key) || (key === 'code' && !(error instanceof EvaqError))) continue;",
    },
    { file: THROWN, find: "for (const key of ['code', ", put: 'for (const key of [' },
  ),
  link('keys that a thread was asked for are those of other records', {
    file: 'delivery/asked-keys.ts',
    find: '      const found = keys[i];\n',
    put: '      const found = keys[i - 1] ?? keys[i];\n',
  }),
  link('what comes again has lost its key', {
    file: 'delivery/asked-keys.ts',
    find: '        if (record !== undefined) await withKeys([record]);\n',
    put: '        if (record !== undefined) asked.found.set(record, { key: undefined });\n',
  }),
  link('what a handler throws loses its cause over a link', {
    file: THROWN,
    find: '...(cause === undefined || isDeepest ? {} : { cause: packThrown(cause, depth + 1) }),',
    put: '',
  }),
];
