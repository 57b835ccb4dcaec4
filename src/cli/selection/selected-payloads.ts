/**
 * The payloads of selected records in a row, where nothing else of them is wanted and their place and their bytes alone decide: then no record is made.
 * What it comes to is what `selected-records.ts` does.
 */
import type { PackedPayloads } from '../../raw.js';
import { literalBytes } from './required-bytes.js';
import { rangeOf, type SelectedFrom } from './selected-records.js';
import { hasTimes, type Selection } from './selection.js';

/** Each with `behind` behind it. `undefined` where records have to be made and looked at. */
export function selectedPayloads(
  queue: SelectedFrom,
  selection: Selection,
  behind: Uint8Array,
): AsyncGenerator<PackedPayloads, void, undefined> | undefined {
  const { payloads } = queue;
  const { grep, headers, reason, count } = selection;
  if (payloads === undefined || hasTimes(selection) || headers.length > 0 || reason !== undefined || count !== Infinity)
    return undefined;
  const holding = grep === undefined ? undefined : literalBytes(grep);
  if (grep !== undefined && holding === undefined) return undefined;
  return payloadsBetween(
    queue,
    payloads.bind(queue),
    selection,
    holding === undefined ? { behind } : { behind, holding },
  );
}

async function* payloadsBetween(
  queue: SelectedFrom,
  payloads: NonNullable<SelectedFrom['payloads']>,
  selection: Selection,
  wanted: { readonly behind: Uint8Array; readonly holding?: Uint8Array },
): AsyncGenerator<PackedPayloads, void, undefined> {
  const { first, last } = await rangeOf(queue, selection);
  if (first <= last) yield* payloads(Object.assign({ from: first, to: last }, wanted));
}
