/**
 * What is needed of `mqtt` (MQTT.js), which is never imported here, and what the reason codes of MQTT 5 mean.
 */
import { describe } from '../../ids.js';
import { propertyOf, requireText, textOf, unavailable } from '../sink-client.js';
import { SinkError, type SinkErrorKind } from '../sink-error.js';

export interface MqttPublishOptions {
  readonly qos: 0 | 1 | 2;
  readonly retain: boolean;
  readonly properties?: { readonly userProperties: Record<string, string> };
}

/** What `connect` or `connectAsync` of `mqtt` gives. */
export interface MqttClientLike {
  readonly connected: boolean;
  readonly options: {
    readonly protocolVersion?: number | undefined;
    readonly clean?: boolean | undefined;
    readonly properties?: { readonly sessionExpiryInterval?: number | undefined } | undefined;
  };
  publish(topic: string, payload: Buffer, options: MqttPublishOptions, done: (error?: Error | null) => void): unknown;
}

/**
 * Whether the broker knows this client again. QoS 2 is two steps: one that has forgotten the first says yes to the second all the same, and the message
 * is gone.
 */
export function keepsSession({ options }: MqttClientLike): boolean {
  if (options.clean !== false) return false;
  return options.protocolVersion !== 5 || (options.properties?.sessionExpiryInterval ?? 0) > 0;
}

const TOPIC_BYTES_MAX = 65_535;

export function isTopic(topic: unknown): topic is string {
  return (
    typeof topic === 'string' && topic !== '' && !/[+#\0]/.test(topic) && Buffer.byteLength(topic) <= TOPIC_BYTES_MAX
  );
}

/** Throws for what no message can be published to: a broker closes the connection for it, and the client sends it again on the next one, for ever. */
export function requireTopic(topic: unknown): asserts topic is string {
  requireText(topic, 'topic');
  if (!isTopic(topic)) {
    throw new SinkError('rejected', `no topic to publish to: ${describe(topic)}`, { reason: 'MQTT 144' });
  }
}

/** By the reason code of an acknowledgement. What is not here is the broker's affair. */
const KINDS: ReadonlyMap<unknown, readonly [SinkErrorKind, string]> = new Map([
  [131, ['retry', 'MQTT 131']],
  [135, ['unauthorized', 'MQTT 135']],
  [144, ['rejected', 'MQTT 144']],
  [149, ['rejected', 'too-large']],
  [153, ['rejected', 'MQTT 153']],
  [154, ['unauthorized', 'MQTT 154']],
  [155, ['unauthorized', 'MQTT 155']],
] as const);

export function mqttErrorOf(error: unknown): SinkError {
  const text = textOf(error);
  const code: unknown = typeof error === 'object' && error !== null ? propertyOf(error, 'code') : undefined;
  const [kind, reason] = KINDS.get(code) ?? [];
  if (kind === undefined || reason === undefined) return unavailable('mqtt', error);
  return new SinkError(kind, text, { reason, cause: error });
}
