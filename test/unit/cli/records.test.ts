/** How records are shown. */
import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { recordToJson } from '../../../src/cli/record-format.js';
import { harmless, harmlessBytes } from '../../../src/cli/records/harmless.js';
import { hexdump } from '../../../src/cli/records/hexdump.js';
import { parseTemplate } from '../../../src/cli/records/record-template.js';

describe('text that is made harmless', () => {
  it.each([
    ['plain\ttext é 漢 🙂', 'plain\ttext é 漢 🙂'],
    ['\u001b[31mred\u0007', '\\x1b[31mred\\x07'],
    ['a\r\nb', 'a\\r\\nb'],
    ['\u009b2J \u007f', '\\x9b2J \\x7f'],
    ['abc\u202edef\u2066', 'abc\\u202edef\\u2066'],
  ])('%j is shown as %j', (text, shown) => {
    expect(harmless(text)).toBe(shown);
    expect(harmlessBytes(Buffer.from(text))).toBe(shown);
  });

  it('bytes that are no text are shown, too', () => {
    expect(harmlessBytes(Buffer.from([0x61, 0xff, 0x9b, 0x0a, 0x62]))).toBe('a\\xff\\x9b\\nb');
  });
});

describe('a hexdump', () => {
  it('is that of hexdump -C', () => {
    expect(hexdump(Buffer.from('0123456789abcdef\u001bxyz'), 0x20)).toBe(
      '00000020  30 31 32 33 34 35 36 37  38 39 61 62 63 64 65 66  |0123456789abcdef|\n' +
        '00000030  1b 78 79 7a                                       |.xyz|\n',
    );
    const bytes = Buffer.from(Array.from({ length: 100 }, (_, i) => (i * 37) % 256));
    let theirs: string;
    try {
      theirs = execFileSync('hexdump', ['-C'], { input: bytes, encoding: 'utf8' });
    } catch {
      return;
    }
    expect(theirs.startsWith(hexdump(bytes))).toBe(true);
  });
});

describe('a line of JSON', () => {
  it('of a record that no text can hold is an error that names the record', () => {
    const payload = Buffer.from([0xff]);
    // As it fails with half a gigabyte.
    payload.toString = () => {
      throw new RangeError('Invalid string length');
    };
    expect(() => recordToJson({ record: { id: 17, timestamp: 0, payload }, queue: 'jobs' })).toThrow(
      expect.objectContaining({
        code: 'EVAQ_RECORD_TOO_LARGE',
        message: expect.stringContaining("record 17 of queue 'jobs'"),
      }),
    );
  });
});

describe('a template', () => {
  const record = { id: 7, timestamp: 1000, payload: Buffer.from('pay'), headers: { a: 'x' }, reason: 'why' };

  function filled(format: string): string {
    const parts = parseTemplate(format);
    if (typeof parts === 'string') throw new Error(parts);
    return parts.map((part) => (typeof part === 'string' ? part : part({ record, queue: 'wal' }).toString())).join('');
  }

  it('has a field for each thing', () => {
    expect(filled('%i|%t|%T|%q|%s|%p|%h{a}|%h{b}|%H|%r|%a|%m|%o|%%')).toBe(
      '7|1970-01-01T00:00:01.000Z|1000|wal|3|pay|x||{"a":"x"}|why|0|||%',
    );
    expect(filled('a\\t\\n\\0\\\\b')).toBe('a\t\n\0\\b');
    expect(filled('%h{toString}')).toBe('');
  });

  it.each([
    ['%x', "there is no field '%x'"],
    ['100%', "there is no field '%'"],
    ['%h', '%h needs'],
    ['%h{}', '%h needs'],
    ['\\q', "there is no escape '\\q'"],
    ['%constructor', "there is no field '%c'"],
  ])('%j says what is wrong with it', (format, message) => {
    expect(parseTemplate(format)).toContain(message);
  });
});
