/**
 * Options of a delivery over a link: what can be sent, and what stays in the thread that gave it.
 */
import type { FailureClass } from '../delivery/classify.js';
import type { BatchOptions } from '../delivery/delivery-options.js';
import { describe } from '../ids.js';
import type { QueueRecord } from '../log/queue-record.js';

/** 'none', 'fifo', or one at a time of each text that records have under a header, or that a function gives. */
export type LinkedOrder = 'none' | 'fifo' | { readonly header: string } | KeyOf;

type KeyOf = (record: QueueRecord) => string | undefined;

/** As `DeliveryOptions`, but for `order`. */
export interface LinkedDeliveryOptions extends Omit<BatchOptions, 'order' | 'batch'> {
  /**
   * As of `DeliveryOptions`, or `{ header }`: of each text that records have under that header one at a time, in ID order; one without it has no order. A
   * function is called in this thread, for which each record crosses the link once more: `{ header }` is faster.
   */
  readonly order?: LinkedOrder;
}

export interface LinkedBatchOptions extends LinkedDeliveryOptions {
  readonly batch?: BatchOptions['batch'];
}

export type Classify = (error: unknown, record: QueueRecord, attempt: number) => FailureClass;

/** The order as the other end can keep it, and the options as they are everywhere. */
export function orderOf(options: LinkedBatchOptions | undefined): {
  readonly keyHeader: string | undefined;
  readonly keyOf: KeyOf | undefined;
  readonly checked: BatchOptions | undefined;
} {
  const order: unknown = typeof options === 'object' && options !== null ? options.order : undefined;
  if (options !== undefined && isKeyOf(order)) {
    return { keyHeader: undefined, keyOf: order, checked: plainOrder(options, 'none') };
  }
  if (options === undefined || typeof order !== 'object' || order === null) {
    return { keyHeader: undefined, keyOf: undefined, checked: plainOrder(options, order) };
  }
  const header: unknown = 'header' in order ? order.header : undefined;
  if (typeof header !== 'string') {
    throw new TypeError(
      `order must be 'none', 'fifo', { header } or a function that gives a key, got ${describe(order)}`,
    );
  }
  return { keyHeader: header, keyOf: undefined, checked: plainOrder(options, 'none') };
}

function isKeyOf(order: unknown): order is KeyOf {
  return typeof order === 'function';
}

function plainOrder(options: LinkedBatchOptions | undefined, order: unknown): BatchOptions | undefined {
  if (options === undefined || order === undefined) return isOptions(options) ? options : undefined;
  const plain: unknown = { ...options, order };
  return isOptions(plain) ? plain : undefined;
}

/** Whatever they are: they are looked at by whoever resolves them. */
function isOptions(options: unknown): options is BatchOptions {
  return options !== undefined;
}

interface Apart {
  readonly sent: Readonly<Record<string, unknown>>;
  readonly classify: Classify | undefined;
  readonly deadClassify: Classify | undefined;
  readonly probe: (() => Promise<void>) | undefined;
}

export function withoutFunctions(options: BatchOptions | undefined): Apart {
  const { signal: _, retry, breaker, deadLetters, ...rest } = options ?? {};
  const { classify, ...retrySent } = retry ?? {};
  const { probe, ...breakerSent } = breaker === false ? {} : (breaker ?? {});
  const deadRetry = deadLetters?.retry ?? false;
  const { classify: deadClassify, ...deadSent } = deadRetry === false ? {} : deadRetry;
  return {
    sent: structuredClone({
      ...rest,
      ...(retry === undefined ? {} : { retry: retrySent }),
      ...(breaker === undefined ? {} : { breaker: breaker === false ? false : breakerSent }),
      ...(deadRetry === false ? {} : { deadLetters: { retry: deadSent } }),
    }),
    classify,
    deadClassify,
    probe,
  };
}
