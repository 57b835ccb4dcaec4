/**
 * Whose fault a failed delivery is, by what was thrown.
 *
 *     'retry'        perhaps the record's: an attempt is spent
 *     'unavailable'  the destination's, or the way there: nobody's attempt is spent
 *     'dead'         the record's, for good: to the dead letters
 *     'drop'         nobody wants it: removed
 */

export type FailureClass = 'retry' | 'unavailable' | 'dead' | 'drop';

/** Errors of the network and of clients, by `code`: nothing was wrong with what was sent. */
const UNAVAILABLE_CODES: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'EHOSTDOWN',
  'ENETUNREACH',
  'ENETDOWN',
  'ENOTFOUND',
  'EAI_AGAIN',
  'UND_ERR_CONNECT_TIMEOUT',
  'UND_ERR_HEADERS_TIMEOUT',
  'UND_ERR_BODY_TIMEOUT',
  'UND_ERR_SOCKET',
]);

/** HTTP: who may not, is too fast, or found nobody at home. A token that has expired is not the record's fault either. */
const UNAVAILABLE_STATUS: ReadonlySet<number> = new Set([401, 403, 407, 408, 425, 429, 502, 503, 504]);

/** HTTP: this request will be refused whenever it comes. */
const DEAD_STATUS: ReadonlySet<number> = new Set([400, 413, 415, 422]);

const CAUSES_MAX = 8;

/** By `code` and `status` (or `statusCode`) of what was thrown, or of its causes: `fetch` hides what happened one level down. */
export function classifyFailure(error: unknown): FailureClass {
  let at = error;
  for (let depth = 0; depth < CAUSES_MAX && typeof at === 'object' && at !== null; depth++) {
    const code = propertyOf(at, 'code');
    if (typeof code === 'string' && UNAVAILABLE_CODES.has(code)) return 'unavailable';
    const status = propertyOf(at, 'status') ?? propertyOf(at, 'statusCode');
    if (typeof status === 'number') {
      if (UNAVAILABLE_STATUS.has(status)) return 'unavailable';
      if (DEAD_STATUS.has(status)) return 'dead';
    }
    at = propertyOf(at, 'cause');
  }
  return 'retry';
}

/** Of anything: a getter that throws says nothing. */
function propertyOf(value: object, name: string): unknown {
  try {
    return Reflect.get(value, name);
  } catch {
    return undefined;
  }
}
