/**
 * How some of the live records of a range are taken from a picture, and what of it is handed out.
 */
import type { ReadLimits } from '../log/log-reader.js';
import type { QueueRecord } from '../log/queue-record.js';
import type { Sought } from '../log/segment-walk.js';
import type { RawPicture } from './raw-picture.js';

/** What a search looks at at a time, unless what it packs is enough before that. */
const SEARCHED: ReadLimits = { maxBytes: 16 * 1024 * 1024, maxRecords: 262_144 };

/** Some of the live records of a range, from its front on. */
export interface Taken {
  readonly records: readonly QueueRecord[];
  /** How far that is; `undefined` only where none is live there. */
  readonly lastId: number | undefined;
}

export type Take = (picture: RawPicture, from: number, to: number) => Promise<Taken>;

export const NOTHING: Taken = { records: [], lastId: undefined };

export function reading(limits: ReadLimits): Take {
  return async (picture, from, to) => {
    const { records } = await picture.read(from, to, limits);
    return { records, lastId: records.at(-1)?.id };
  };
}

export function searching(sought: Sought): Take {
  return (picture, from, to) => picture.search(from, to, SEARCHED, sought);
}
