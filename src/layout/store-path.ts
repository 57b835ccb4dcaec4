/**
 * The path of a store as callers give it: a text, or a URL of the file scheme. What cannot be a path is a TypeError, before the disk is asked.
 */
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { requireWellFormed } from '../arguments.js';
import { EvaqError } from '../errors.js';
import { describe } from '../ids.js';

/** More than one letter, which on Windows is that of a disk. */
const SCHEME = /^([a-z][a-z0-9+.-]+:)\/\//i;

/** Absolute. Throws a TypeError where it is no path; `argument` names it. EVAQ_IO where it is relative to a folder that is gone. */
export function storePathOf(path: unknown, argument = 'path'): string {
  const url = urlOf(path, argument);
  const text = url === undefined ? path : fileURLToPath(url);
  if (text === '') throw new TypeError(`${argument} must be a non-empty string, got ""`);
  if (typeof text !== 'string') {
    throw new TypeError(`${argument} must be a non-empty string or a file URL, got ${describe(path)}`);
  }
  if (text.includes('\0')) throw new TypeError(`${argument} must not hold a NUL character, got ${describe(text)}`);
  requireWellFormed(text, argument);
  return absolute(text);
}

function absolute(path: string): string {
  try {
    return resolve(path);
  } catch (cause) {
    throw new EvaqError('EVAQ_IO', `${path} leads nowhere: the current folder is gone`, {
      details: { path },
      cause,
      hint: 'Go to another folder, or give an absolute path.',
    });
  }
}

/** A URL of any realm, or what reads as one; only those of files name a path, and all that such a one says has to be in it. */
function urlOf(path: unknown, argument: string): URL | undefined {
  let href: unknown = path;
  if (typeof path === 'object' && path !== null && 'href' in path && 'protocol' in path) href = path.href;
  else if (typeof path !== 'string' || !SCHEME.test(path)) return undefined;
  if (typeof href !== 'string' || !URL.canParse(href)) return undefined;
  const url = new URL(href);
  if (url.protocol !== 'file:')
    throw new TypeError(`${argument} must be a file URL, got one of the scheme ${url.protocol}`);
  if (url.search !== '' || url.hash !== '') {
    throw new TypeError(
      `${argument} must be a file URL without ${url.search === '' ? 'a fragment' : 'a query'}: use pathToFileURL for a path that has # or ? in it`,
    );
  }
  return url;
}
