/** What the client of NATS throws, known by its names: it may be another copy of it than ours. */
import { EvaqError, messageOf } from '../errors.js';

const REFUSALS: ReadonlySet<string> = new Set([
  'AuthorizationError',
  'PermissionViolationError',
  'UserAuthenticationExpiredError',
]);
const UNFIT: ReadonlySet<string> = new Set(['InvalidArgumentError', 'InvalidSubjectError']);

/** Nobody listens to the subject: it was not done. */
export function isNobody(error: unknown): boolean {
  return namesOf(error).includes('NoRespondersError');
}

/** The client itself refuses it. */
export function isUnfit(error: unknown): boolean {
  return namesOf(error).some((name) => UNFIT.has(name)) || /max_payload|maximum payload/i.test(messageOf(error));
}

/** The server refuses us, or what we ask: no wait helps. */
export function isUnauthorized(error: unknown): boolean {
  return namesOf(error).some((name) => REFUSALS.has(name));
}

/** Why there is no connection. `where`: ' at HOST:PORT', or nothing. */
export function connectError(cause: unknown, where: string): EvaqError {
  if (isUnauthorized(cause)) return unauthorizedError(cause);
  return new EvaqError('EVAQ_IO', `NATS cannot be reached${where}: ${messageOf(cause)}`, { cause });
}

export function unauthorizedError(cause: unknown): EvaqError {
  return new EvaqError('EVAQ_UNAUTHORIZED', `NATS does not let us: ${messageOf(cause)}`, {
    cause,
    hint: 'Look at user and password, and at what that user may publish and subscribe to.',
  });
}

export function unfitError(cause: unknown): EvaqError {
  return new EvaqError('EVAQ_IO', `NATS does not take it: ${messageOf(cause)}`, { cause });
}

/** Names of an error and of its causes. */
function namesOf(error: unknown): string[] {
  const names: string[] = [];
  let one: unknown = error;
  for (let depth = 0; depth < 4 && typeof one === 'object' && one !== null; depth++) {
    const name: unknown = Reflect.get(one, 'name');
    if (typeof name === 'string') names.push(name);
    one = Reflect.get(one, 'cause');
  }
  return names;
}
