/**
 * Payloads that vouch for themselves: a key, and bytes that follow from it. Whoever reads one back knows whether every
 * byte of it is as it was pushed, without having kept it.
 */
import { Prng } from '../../src/sim/sim-prng.js';

const KEY_BYTES = 8;

/** The payload of `key`: mostly short, now and then longer than a segment of 64 KiB. */
export function payloadOf(key: number): Buffer {
  const random = new Prng(key);
  const payload = Buffer.alloc(KEY_BYTES + sizeOf(random));
  payload.writeBigUInt64LE(BigInt(key));
  random.fill(payload.subarray(KEY_BYTES));
  return payload;
}

function sizeOf(random: Prng): number {
  const draw = random.below(1000);
  if (draw < 700) return random.below(200);
  if (draw < 950) return 200 + random.below(1800);
  if (draw < 998) return 2000 + random.below(6000);
  return 70_000 + random.below(20_000);
}

/** The key of a payload that was read. Throws unless it is that key's payload, byte for byte. */
export function keyOf(payload: Buffer): number {
  if (payload.length < KEY_BYTES) throw new Error(`P3: a payload of ${payload.length} B was never pushed`);
  const key = Number(payload.readBigUInt64LE());
  if (!payloadOf(key).equals(payload)) throw new Error(`P3: the payload of key ${key} is not what was pushed`);
  return key;
}
