/** What NATS says when it does not let somebody in, or lets him do nothing: of the sink to a stream, and of the one to a queue that stands on NATS. */
import { propertyOf, textOf } from './sink-client.js';

const NAMES: ReadonlySet<unknown> = new Set([
  'PermissionViolationError',
  'AuthorizationError',
  'UserAuthenticationExpiredError',
]);

/** Of one error, not of its causes. */
export function isNatsRefusal(error: object): boolean {
  return NAMES.has(propertyOf(error, 'name')) || /permissions violation|authorization violation/i.test(textOf(error));
}
