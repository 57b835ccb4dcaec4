/** What is said of a failure, cut to the room that a record leaves it: it never keeps a record from its dead letter queue. */
import type { RecordMeta } from '../frame/metadata.js';

/** Of each text, one after the other until it fits. */
const CUTS = [1024, 256, 64];
const REASON_MIN = 16;

/** The same where it fits into so many bytes; else with a shorter reason and error, and at last without the error. */
export function fittedMeta(meta: RecordMeta, bytesMax: number): RecordMeta {
  if (fits(meta, bytesMax)) return meta;
  for (const length of CUTS) {
    const cut = cutMeta(meta, length);
    if (fits(cut, bytesMax)) return cut;
  }
  const { error: _tooLong, ...rest } = meta;
  return cutMeta(rest, REASON_MIN);
}

/** Causes go, texts are cut. */
function cutMeta(meta: RecordMeta, length: number): RecordMeta {
  const { reason, error, ...rest } = meta;
  const { name, code } = error ?? {};
  return {
    ...rest,
    ...(reason === undefined ? {} : { reason: reason.slice(0, length) }),
    ...(error === undefined
      ? {}
      : {
          error: {
            ...(name === undefined ? {} : { name: name.slice(0, length) }),
            message: error.message.slice(0, length),
            ...(code === undefined ? {} : { code: code.slice(0, length) }),
          },
        }),
  };
}

function fits(meta: RecordMeta, bytesMax: number): boolean {
  return Buffer.byteLength(JSON.stringify(meta)) <= bytesMax;
}
