/**
 * What every text that matches a regular expression holds, as bytes: those payloads that do not hold it need not be decoded. Careful rather than clever:
 * whatever it does not know it takes for something that holds nothing, and where it could be wrong of the whole it says nothing. Pure.
 */

/** Escapes that stand for themselves; all others but those of `CONTROL` make it give up. */
const SYNTAX = /^[\^$\\.*+?()[\]{}|/-]$/;
const CONTROL: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t' };
/** Classes and bounds of one letter: they hold nothing that is known. */
const OPEN = /^[dDsSwWbB]$/;
/** Bytes that are no UTF-8 are decoded as this, so that it stands for others, too. */
const REPLACEMENT = '\ufffd';

/** The longest run of characters that a match must hold, in UTF-8; `undefined` where none is known. Of an expression with the flag `u`. */
export function requiredBytes(regex: RegExp): Buffer | undefined {
  if (regex.ignoreCase || !regex.unicode) return undefined;
  const runs = runsOf(Array.from(regex.source));
  if (runs === undefined) return undefined;
  const longest = runs.map((run) => Buffer.from(run)).reduce((a, b) => (b.length > a.length ? b : a), Buffer.alloc(0));
  return longest.length === 0 ? undefined : longest;
}

/** Characters that stand for themselves alone, from the first to the last. */
const LITERAL = /^(?:[^\\^$.*+?()[\]{}|\ufffd\ud800-\udfff]|\\[\^$\\.*+?()[\]{}|/-])+$/u;

/**
 * What a payload holds if and only if its text matches: of an expression that is nothing but characters. `undefined` of all others. UTF-8 in the middle of
 * bytes that are none is decoded as itself.
 */
export function literalBytes(regex: RegExp): Buffer | undefined {
  return regex.flags === 'u' && LITERAL.test(regex.source) ? requiredBytes(regex) : undefined;
}

/** What stands in a match in any case, and in a row; `undefined` where there are alternatives, or something unknown. */
function runsOf(source: readonly string[]): string[] | undefined {
  const runs: string[] = [];
  let run: string[] = [];
  const close = (): void => {
    if (run.length > 0) runs.push(run.join(''));
    run = [];
  };
  for (let at = 0; at < source.length; ) {
    const character = source[at] ?? '';
    let literal: string | undefined;
    if (character === '|') return undefined;
    if (character === '(' || character === '[') {
      const end = character === '(' ? behindGroup(source, at) : behindClass(source, at);
      if (end === undefined) return undefined;
      at = end;
    } else if (character === '\\') {
      const escaped = source[at + 1] ?? '';
      literal = SYNTAX.test(escaped) ? escaped : CONTROL[escaped];
      if (literal === undefined && !OPEN.test(escaped)) return undefined;
      at += 2;
    } else {
      if (!/^[.^$]$/.test(character)) literal = character;
      at++;
    }
    if (literal !== undefined && (literal === REPLACEMENT || isSurrogate(literal))) literal = undefined;
    const { end, least } = quantifierAt(source, at);
    if (literal === undefined || least === 0) close();
    else run.push(literal);
    // However often it stands there, what follows it follows one of it; what it follows does not go on.
    if (end > at) close();
    at = end;
  }
  close();
  return runs;
}

/** Behind `*`, `+`, `?` or `{…}` with what may stand behind those; `end` is `at` where there is none, and `least` how often at least. */
function quantifierAt(source: readonly string[], at: number): { end: number; least: number } {
  const first = source[at];
  let end = at;
  let least = 1;
  if (first === '*' || first === '?' || first === '+') {
    end = at + 1;
    least = first === '+' ? 1 : 0;
  } else if (first === '{') {
    const close = source.indexOf('}', at);
    end = close < 0 ? source.length : close + 1;
    least =
      Number(
        source
          .slice(at + 1, end)
          .join('')
          .split(/[,}]/)[0],
      ) >= 1
        ? 1
        : 0;
  }
  if (end > at && source[end] === '?') end++;
  return { end, least };
}

/** Behind the group that begins at `at`. */
function behindGroup(source: readonly string[], at: number): number | undefined {
  let depth = 0;
  for (let i = at; i < source.length; i++) {
    const character = source[i];
    if (character === '\\') i++;
    else if (character === '[') i = (behindClass(source, i) ?? source.length) - 1;
    else if (character === '(') depth++;
    else if (character === ')' && --depth === 0) return i + 1;
  }
  return undefined;
}

function behindClass(source: readonly string[], at: number): number | undefined {
  for (let i = at + 1; i < source.length; i++) {
    if (source[i] === '\\') i++;
    else if (source[i] === ']') return i + 1;
  }
  return undefined;
}

/** Half a pair: nothing that was decoded holds one. */
function isSurrogate(character: string): boolean {
  const code = character.codePointAt(0) ?? 0;
  return code >= 0xd800 && code <= 0xdfff;
}
