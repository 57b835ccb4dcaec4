/**
 * What is needed of a producer of `kafkajs`, or of one of its shape, which is never imported here; and what its errors mean.
 */
import { causesOf, propertyOf, textOf, unavailable } from '../sink-client.js';
import { SinkError, type SinkErrorKind } from '../sink-error.js';

export interface KafkaMessage {
  key: string | null;
  value: Buffer;
  headers: Record<string, string>;
  /** In ms since the epoch. */
  timestamp: string;
  partition?: number;
}

export interface KafkaSend {
  topic: string;
  messages: KafkaMessage[];
  /** Absent where it is the producer's to say. */
  acks?: -1;
  compression?: number;
}

/** A producer that is connected. */
export interface KafkaProducerLike {
  send(record: KafkaSend): Promise<unknown>;
}

/** By the name of an error of the protocol; `kafkajs` calls it `type`, librdkafka writes `ERR_` before it. What is not here is about the cluster. */
const KINDS: readonly (readonly [RegExp, SinkErrorKind])[] = [
  [/^(?:MESSAGE_TOO_LARGE|MSG_SIZE_TOO_LARGE|RECORD_LIST_TOO_LARGE)$/, 'rejected'],
  [
    /^(?:INVALID_RECORD|INVALID_TIMESTAMP|INVALID_MSG|CORRUPT_MESSAGE|INVALID_TOPIC_EXCEPTION|TOPIC_EXCEPTION)$/,
    'rejected',
  ],
  [
    /_AUTHORIZATION_FAILED$|^SASL_AUTHENTICATION_FAILED$|^ILLEGAL_SASL_STATE$|^UNSUPPORTED_SASL_MECHANISM$/,
    'unauthorized',
  ],
  [/^INVALID_REQUIRED_ACKS$|^POLICY_VIOLATION$/, 'unauthorized'],
];

export function kafkaErrorOf(error: unknown): SinkError {
  // Outermost is often that it has been tried often enough.
  for (const cause of causesOf(error)) {
    const name = propertyOf(cause, 'name');
    if (name === 'KafkaJSSASLAuthenticationError') {
      return new SinkError('unauthorized', textOf(cause), { cause: error });
    }
    const type = propertyOf(cause, 'type');
    if (typeof type !== 'string') continue;
    const word = type.replace(/^ERR__?/, '');
    const kind = KINDS.find(([pattern]) => pattern.test(word))?.[1];
    if (kind === undefined) continue;
    const reason = word.endsWith('TOO_LARGE') ? 'too-large' : word;
    return new SinkError(kind, textOf(cause), { reason, cause: error });
  }
  return unavailable('kafka', error);
}
