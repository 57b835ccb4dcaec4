/**
 * Times of the clock, in whole milliseconds since the epoch, as files hold them: 48 bits. A clock is not to be trusted: it may go ahead or
 * back, stand before the epoch or behind the last time there is, or be no number at all. It is taken as it is, and never waited for; what a file
 * cannot hold becomes the nearest that it can.
 */

/** The latest time that a file holds: in the year 10889. */
export const TIME_MS_MAX: number = 2 ** 48 - 1;

/** The nearest time that a file holds; 0 for what is no number. */
export function clampTime(ms: number): number {
  if (!(ms > 0)) return 0;
  return ms < TIME_MS_MAX ? Math.floor(ms) : TIME_MS_MAX;
}
