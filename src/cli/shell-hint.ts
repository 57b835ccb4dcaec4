/** What to do, in the words of who has a shell: hints of the library speak of its options and calls. */
import { EvaqError } from '../errors.js';

const WORDS: readonly (readonly [library: string, shell: string])[] = [
  ['Leave out create: false', 'Leave out --no-create'],
  [", or open with onCorruption: 'quarantine'.", '.'],
  [
    "; open with onCorruption: 'quarantine' to set it aside and go on with the rest.",
    "; 'evaq repair' shows how it is set aside, to go on with the rest.",
  ],
  [
    'wait for it (lockTimeoutMs), or open read-only, which is always possible',
    'wait for it; a command that only reads (cat, export, verify) needs no lock',
  ],
  ['can be read with openReadOnly', "can be read (by 'evaq cat', say)"],
  ['can be read, with openReadOnly too', "can be read (by 'evaq cat', say)"],
  ['Reading is always possible: Evaq.openReadOnly.', 'Commands that only read are always possible.'],
  ['Reading takes no lock: Evaq.openReadOnly.', 'Commands that only read take no lock.'],
  ["raise 'recordBytesMax' if lines are that long", 'a record may have no more bytes than that'],
];

export function inShellWords(hint: string): string {
  const words = hint.replace(/evaq\.queue\('([^']*)'\)/, "'evaq push <dir> -q $1' does it");
  return WORDS.reduce((text, [library, shell]) => text.replace(library, shell), words);
}

/** The same error, with a hint for the shell. */
export function withShellHint(error: unknown): unknown {
  if (!(error instanceof EvaqError) || error.hint === undefined) return error;
  const { code, message, details, cause, hint } = error;
  return new EvaqError(code, message, { details, cause, hint: inShellWords(hint) });
}
