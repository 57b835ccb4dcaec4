/** A part of a layout, for those who show bytes to people: it stands beside the codec whose layout it is, and nothing is read or written by it. */
export interface Field {
  readonly name: string;
  /** From the front of what it is part of. */
  readonly at: number;
  readonly bytes: number;
  /** A number, little-endian, or bytes as they are. */
  readonly as: 'number' | 'bytes';
}

export type FieldPart = readonly [name: string, bytes: number, as?: 'bytes'];

/** Fields in a row, from `at` on, of their names and sizes. */
export function fieldsInRow(at: number, parts: readonly FieldPart[]): Field[] {
  let next = at;
  return parts.map(([name, bytes, as]) => {
    const field: Field = { name, at: next, bytes, as: as ?? 'number' };
    next += bytes;
    return field;
  });
}
