/**
 * `--format`: a line of one's own for each record. In it
 *
 *     %i ID   %t time   %T ms since the epoch   %q queue   %s payload bytes   %p payload   %h{NAME} a header   %H all headers as JSON
 *     %r reason   %a attempts   %m message ID   %o offset in the file   %%   and the escapes \n \t \0 \\
 *
 * What a record has not is nothing.
 */

import { isoTime } from '../record-format.js';
import type { ShownRecord } from './shown-record.js';

/** What stands there of a record; the payload as bytes. */
type Field = (shown: ShownRecord) => string | Buffer;

/** A text of the template itself, or a field. */
export type TemplatePart = string | Field;

const FIELDS: Readonly<Record<string, Field>> = {
  i: ({ record }) => String(record.id),
  t: ({ record }) => isoTime(record.timestamp),
  T: ({ record }) => String(record.timestamp),
  q: ({ queue }) => queue ?? '',
  s: ({ record }) => String(record.payload.length),
  p: ({ record }) => record.payload,
  H: ({ record }) => JSON.stringify(record.headers ?? {}),
  r: ({ record }) => record.reason ?? '',
  a: ({ record }) => String(record.attempts ?? 0),
  m: ({ record }) => record.messageId ?? '',
  o: ({ offset }) => (offset === undefined ? '' : String(offset)),
  '%': () => '%',
};

const ESCAPES: Readonly<Record<string, string>> = { n: '\n', t: '\t', '0': '\0', '\\': '\\' };

export const TEMPLATE_HELP = '%i %t %q %s %p %h{name} …';

/** A text that says what is wrong with it, or its parts. */
export function parseTemplate(format: string): readonly TemplatePart[] | string {
  const parts: TemplatePart[] = [];
  let text = '';
  const flush = (): void => {
    if (text !== '') parts.push(text);
    text = '';
  };
  for (let at = 0; at < format.length; at++) {
    const one = format[at] ?? '';
    const next = format[at + 1] ?? '';
    if (one === '\\') {
      const character = ESCAPES[next];
      if (character === undefined) return `there is no escape '\\${next}'`;
      text += character;
      at++;
    } else if (one !== '%') {
      text += one;
    } else if (next === 'h') {
      const name = /^\{([^}]+)\}/.exec(format.slice(at + 2))?.[1];
      if (name === undefined) return '%h needs the name of a header behind it: %h{content-type}';
      flush();
      parts.push(({ record: { headers } }) =>
        headers !== undefined && Object.hasOwn(headers, name) ? (headers[name] ?? '') : '',
      );
      at += name.length + 3;
    } else {
      const field = Object.hasOwn(FIELDS, next) ? FIELDS[next] : undefined;
      if (field === undefined) return `there is no field '%${next}'`;
      flush();
      parts.push(field);
      at++;
    }
  }
  flush();
  return parts;
}
