/** All rows, in the order in which they are run and printed. */
import type { Row } from '../harness/row.js';
import { APPEND_ROWS } from './append-rows.js';
import { BACKLOG_ROWS } from './backlog-rows.js';
import { DELIVERY_ROWS } from './delivery-rows.js';
import { READ_ROWS } from './read-rows.js';
import { SPACE_ROWS } from './space-rows.js';
import { STEADY_ROWS } from './steady-rows.js';
import { WORKER_ROWS } from './worker-rows.js';

export const ALL_ROWS: readonly Row[] = [
  ...APPEND_ROWS,
  ...STEADY_ROWS,
  ...DELIVERY_ROWS,
  ...WORKER_ROWS,
  ...READ_ROWS,
  ...BACKLOG_ROWS,
  ...SPACE_ROWS,
];

export function rowNamed(name: string): Row {
  const row = ALL_ROWS.find((one) => one.name === name);
  if (row === undefined) {
    throw new RangeError(`no row is called '${name}'; there are ${ALL_ROWS.map((one) => one.name).join(', ')}`);
  }
  return row;
}
