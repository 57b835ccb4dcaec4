/** Why a store with `onCorruption: 'fail'` is not opened: damage that costs something. */
import { EvaqError } from '../errors.js';
import { missingHint } from '../layout/queue-names.js';
import { queueDir } from '../layout/store-file.js';
import type { Damage } from '../log/damage.js';

/** An EVAQ_CORRUPT that tells of the first of it; undefined where none costs anything. */
export function damageRefusal(path: string, damage: readonly Damage[]): EvaqError | undefined {
  const losing = damage.filter(({ lossless }) => !lossless);
  const [first] = losing;
  if (first === undefined) return undefined;
  const more = losing.length > 1 ? ` (and ${losing.length - 1} more)` : '';
  const isMissing = first.bytes === 0 && first.file === queueDir(path, first.queue);
  const where = isMissing ? first.file : `${first.file} is damaged at offset ${first.offset}`;
  return new EvaqError('EVAQ_CORRUPT', `${where}: ${first.what}${more}`, {
    details: {
      path: first.file,
      queue: first.queue,
      offset: first.offset,
      bytes: first.bytes,
      ...(first.firstId === undefined ? {} : { id: first.firstId }),
      ...(first.lastId === undefined ? {} : { lastId: first.lastId }),
      ...(first.fromMs === undefined ? {} : { fromMs: first.fromMs }),
      ...(first.toMs === undefined ? {} : { toMs: first.toMs }),
    },
    hint: isMissing
      ? missingHint(path)
      : `See all of it with 'evaq verify ${path}'; open with onCorruption: 'quarantine' to set it aside and go on with the rest.`,
  });
}
