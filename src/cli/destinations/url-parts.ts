/**
 * Parts of a URL of ours: who and where, and a place (a topic, a subject, a stream) that may be another for each key.
 */
import type { SinkRecord } from '../../forward/sink.js';
import { SinkError } from '../../forward/sink-error.js';
import { UsageError } from '../exit-code.js';

/** `HOST:PORT`, and those that the option `hosts` has beside it. */
export function hostsOf(url: URL, defaultPort: number, further: string | undefined): string[] {
  if (url.hostname === '') throw new UsageError(`${url.protocol}//: the host is missing`);
  const first = `${url.hostname}:${url.port === '' ? defaultPort : url.port}`;
  const others = further?.split(',').map((host) => host.trim()) ?? [];
  if (others.includes('')) throw new UsageError(`${url.protocol}//: hosts are HOST:PORT,HOST:PORT, got '${further}'`);
  return [first, ...others];
}

/** A part of a URL that `flag` was given. @throws UsageError for a percent sign with no number behind it */
export function decoded(part: string, flag: string = '--to'): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw new UsageError(`${flag} holds a % that stands for nothing`);
  }
}

/** `undefined` where it has none. */
export function credentialsOf({ username, password }: URL): { user: string; password: string } | undefined {
  if (username === '' && password === '') return undefined;
  return { user: decoded(username, 'the name'), password: decoded(password, 'the password') };
}

/** The URL without its path and its options. */
export function serverOf(url: URL): URL {
  const server = new URL(url);
  server.pathname = '';
  server.search = '';
  server.hash = '';
  return server;
}

const KEY = '{key}';

/** The path as a place: a text, or, where it holds `{key}`, a function that puts the key of a record there. `what` is the word for it. */
export function placeOf({ pathname, protocol }: URL, what: string): string | ((record: SinkRecord) => string) {
  const place = decoded(pathname.slice(1));
  if (place === '') throw new UsageError(`--to ${protocol}//HOST:PORT/${what.toUpperCase()}: the ${what} is missing`);
  if (!place.includes(KEY)) return place;
  return ({ key }) => {
    if (key === undefined) {
      throw new SinkError('rejected', `the ${what} is ${place}, and the record has no key`, { reason: 'no-key' });
    }
    return place.replaceAll(KEY, () => key);
  };
}
