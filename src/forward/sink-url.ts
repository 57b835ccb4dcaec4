/**
 * What sinks over HTTP have in common: where they send to, and how long a destination wants to be left alone.
 */
import { describe } from '../ids.js';

/** @throws TypeError for what is no URL of HTTP */
export function urlOf(url: unknown, name: string): URL {
  if (typeof url !== 'string' && !isUrl(url)) throw new TypeError(`${name} must be a URL, got ${describe(url)}`);
  const parsed = URL.canParse(String(url)) ? new URL(String(url)) : undefined;
  if (parsed?.protocol !== 'http:' && parsed?.protocol !== 'https:') {
    throw new TypeError(`${name} must be an http or https URL, got ${describe(url)}`);
  }
  return parsed;
}

/** Of whatever realm. */
function isUrl(url: unknown): boolean {
  return typeof url === 'object' && url !== null && 'href' in url && typeof url.href === 'string';
}

/** Seconds, or a date. */
export function retryAfterOf(value: string | null): number | undefined {
  if (value === null) return undefined;
  if (/^\d+$/.test(value.trim())) return Math.min(Number(value) * 1000, 86_400_000);
  const at = Date.parse(value);
  return Number.isNaN(at) ? undefined : Math.min(Math.max(0, at - Date.now()), 86_400_000);
}
