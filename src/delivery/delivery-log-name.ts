/**
 * Names of the delivery logs in a queue's folder: `<generation, 16 hex>.dlv`, and `.dlv.tmp` for one in the making, which the next one sweeps away.
 */
export interface DeliveryFileName {
  readonly kind: 'log' | 'unfinished';
  readonly generation: number;
}

const LOG = /^([0-9a-f]{16})\.dlv(\.tmp)?$/;

export function deliveryFileName(generation: number): string {
  return `${generation.toString(16).padStart(16, '0')}.dlv`;
}

export function unfinishedDeliveryFileName(generation: number): string {
  return `${deliveryFileName(generation)}.tmp`;
}

export function parseDeliveryFileName(name: string): DeliveryFileName | undefined {
  const match = LOG.exec(name);
  if (match?.[1] === undefined) return undefined;
  const generation = Number.parseInt(match[1], 16);
  if (!Number.isSafeInteger(generation)) return undefined;
  return { kind: match[2] === undefined ? 'log' : 'unfinished', generation };
}

/** By its path. */
export function isDeliveryFile(path: string): boolean {
  return parseDeliveryFileName(path.slice(path.lastIndexOf('/') + 1)) !== undefined;
}
