/**
 * WebAssembly as bytes: the few instructions that the checksum's kernel needs, and a module around them.
 * https://webassembly.github.io/spec/core/binary/
 *
 * A piece of code is a byte, or pieces in a row. Operands come first, as on the machine's stack: `[local(0), i32(4), ADD]`.
 * Addresses are bytes in the module's only memory; loads and stores need no alignment.
 */
export type Code = number | readonly Code[];

/** The types of values. */
export const I32 = 0x7f;
export const V128 = 0x7b;

export const ADD = 0x6a;
export const SUB = 0x6b;
export const AND = 0x71;
export const XOR = 0x73;
export const SHL = 0x74;
export const SHR_U = 0x76;
export const GE_U = 0x4f;
export const LE_S = 0x4c;
export const V128_XOR: Code = [0xfd, 0x51];
export const V128_ZERO: Code = [0xfd, 0x0c, Array.from({ length: 16 }, () => 0)];

const END = 0x0b;
const NO_RESULT = 0x40;

export const local = (index: number): Code => [0x20, unsigned(index)];
export const setLocal = (index: number): Code => [0x21, unsigned(index)];
export const call = (index: number): Code => [0x10, unsigned(index)];
export const i32 = (value: number): Code => [0x41, signed(value)];
export const load32 = (offset: number): Code => [0x28, 0, unsigned(offset)];
export const load8 = (offset: number): Code => [0x2d, 0, unsigned(offset)];
export const store32 = (offset: number): Code => [0x36, 0, unsigned(offset)];
export const load128 = (offset: number): Code => [0xfd, 0x00, 0, unsigned(offset)];
export const store128 = (offset: number): Code => [0xfd, 0x0b, 0, unsigned(offset)];
/** The 16 bytes from `first` on of the 32 that two vectors have end to end. */
export const bytesFrom = (first: number): Code => [0xfd, 0x0d, Array.from({ length: 16 }, (_, i) => first + i)];

/** `body`, if `condition` leaves no zero. */
export const when = (condition: Code, body: Code): Code => [condition, 0x04, NO_RESULT, body, END];

/** `body`, again and again, as long as `condition` leaves no zero. */
export const loopWhile = (condition: Code, body: Code): Code => [
  0x03,
  NO_RESULT,
  when(condition, [body, 0x0c, 1]),
  END,
];

export interface WasmFunction {
  /** All are of type i32, as is the result. */
  readonly params: number;
  /** Those behind the parameters, zero at first: how many of which type. */
  readonly locals: readonly (readonly [count: number, type: number])[];
  /** Leaves the result. */
  readonly body: Code;
}

/** A module with a memory of so many pages of 64 KiB, exported as `memory`; its last function is exported as `name`. */
export function wasmModule(pages: number, functions: readonly WasmFunction[], name: string): Uint8Array {
  const types = functions.map(({ params }) => [0x60, vector(Array.from({ length: params }, () => I32)), vector([I32])]);
  const indices = functions.map((_, i) => unsigned(i));
  const exports = [
    [text('memory'), 2, 0],
    [text(name), 0, unsigned(functions.length - 1)],
  ];
  const codes = functions.map(({ locals, body }) =>
    sized([vector(locals.map(([count, type]) => [unsigned(count), type])), body, END]),
  );
  const module: number[] = [0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0];
  append(module, section(1, types));
  append(module, section(3, indices));
  append(module, section(5, [[1, unsigned(pages), unsigned(pages)]]));
  append(module, section(7, exports));
  append(module, section(10, codes));
  return Uint8Array.from(module);
}

const section = (id: number, items: readonly Code[]): Code => [id, sized(vector(items))];
const vector = (items: readonly Code[]): Code => [unsigned(items.length), items];
const text = (name: string): Code => sized([...Buffer.from(name, 'utf8')]);

function sized(code: Code): Code {
  const bytes: number[] = [];
  append(bytes, code);
  return [unsigned(bytes.length), bytes];
}

function append(bytes: number[], code: Code): void {
  if (typeof code === 'number') bytes.push(code);
  else for (let i = 0; i < code.length; i++) append(bytes, code[i] ?? 0);
}

/** LEB128 of 32 bits. */
function unsigned(value: number): Code {
  if (value < 0x80) return value;
  return [(value & 0x7f) | 0x80, unsigned(value >>> 7)];
}

function signed(value: number): Code {
  if (value >= -0x40 && value < 0x40) return value & 0x7f;
  return [(value & 0x7f) | 0x80, signed(value >> 7)];
}
