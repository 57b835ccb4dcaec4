/**
 * What a picture says of IDs that damage has taken, or may have: asked before it is read, so that what is lost is told and not passed over. Pure.
 */
import { EvaqError } from '../errors.js';
import { recordsText } from '../ids.js';
import { isOfRemovals } from '../log/damage.js';
import { IDS_UNKNOWN } from '../log/queue-evidence.js';
import type { LostRange } from './raw-lost.js';
import type { RawPicture } from './raw-picture.js';

/**
 * - 'live': it is there, and not removed;
 * - 'removed': it was, or its push was never acknowledged; its bytes may still be on disk;
 * - 'lost': damage has taken it, or may have;
 * - 'future': not given to a record yet.
 */
export type RecordState = 'live' | 'removed' | 'lost' | 'future';

export function lostIn(picture: RawPicture, from: number, to: number): LostRange | undefined {
  const lost = picture.lost.find((range) => range.last >= from && range.first <= to);
  return lost === undefined || lost.first >= from ? lost : { ...lost, first: from };
}

export function vagueIn({ vague }: RawPicture, from: number, to: number): LostRange | undefined {
  const next = vague.find(({ first, last }) => last >= from && first <= to);
  return next && { ...next, first: Math.max(next.first, from), last: Math.min(next.last, to) };
}

export function stateIn(picture: RawPicture, id: number): RecordState {
  if (picture.log.isLive(id)) return 'live';
  if ((lostIn(picture, id, id) ?? vagueIn(picture, id, id)) !== undefined) return 'lost';
  return id >= picture.nextId ? 'future' : 'removed';
}

export function lostError(queue: string, { first, last, damage }: LostRange): EvaqError {
  const { file, offset, bytes, fromMs, toMs, what, vague } = damage;
  const ids = recordsText(first, last);
  const some = first === last ? ids : `some of ${ids}`;
  // Nothing tells how many there were.
  const isBoundless = last === IDS_UNKNOWN - 1;
  const which = isBoundless ? 'what was pushed to it cannot be read' : `${vague === true ? some : ids} cannot be read`;
  const cost = isOfRemovals(damage) ? `${some} may have been removed` : which;
  const next = isBoundless ? 'Run' : `Read on from ID ${last + 1}; run`;
  return new EvaqError('EVAQ_CORRUPT', `queue '${queue}': ${file} is damaged at offset ${offset}: ${cost} (${what})`, {
    details: {
      queue,
      path: file,
      offset,
      bytes,
      id: first,
      lastId: last,
      ...(fromMs === undefined ? {} : { fromMs }),
      ...(toMs === undefined ? {} : { toMs }),
    },
    hint: `${next} 'evaq verify' on the store to see all damage.`,
  });
}
