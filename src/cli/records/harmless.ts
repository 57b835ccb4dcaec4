/**
 * Text that somebody else wrote, so that it does nothing to the terminal that it is shown on: what would move the cursor, change colours, the title or
 * the direction of writing is shown as an escape instead. Tabs stay.
 */
import { isUtf8 } from 'node:buffer';

/** Controls, line and paragraph separators, marks of direction, and the byte order mark. */
const ACTING = /[\p{Cc}\p{Zl}\p{Zp}\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/gu;

export function harmless(text: string): string {
  return text.replace(ACTING, escaped);
}

/** Of bytes that are no UTF-8 those above 127 are escapes, too. */
export function harmlessBytes(bytes: Buffer): string {
  if (isUtf8(bytes)) return harmless(bytes.toString());
  return bytes.toString('latin1').replace(/[^\t\u0020-\u007e]/g, escaped);
}

function escaped(character: string): string {
  if (character === '\t') return character;
  if (character === '\n') return '\\n';
  if (character === '\r') return '\\r';
  const code = character.charCodeAt(0);
  return code < 256 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u${code.toString(16).padStart(4, '0')}`;
}
