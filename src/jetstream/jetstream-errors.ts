/** What a replicated queue says where it cannot. */
import { EvaqError } from '../errors.js';

export function closedError(what: string): EvaqError {
  return new EvaqError('EVAQ_CLOSED', `'${what}' is closed`, { hint: 'Connect again to go on.' });
}

export function unsupported(what: string, hint: string): EvaqError {
  return new EvaqError('EVAQ_UNSUPPORTED', `a replicated queue has no ${what}`, { hint });
}
