/**
 * Where `evaq forward --to` can forward to, by the scheme of a URL: a table of what stands in `destinations/`. What sends is loaded
 * when its destination is opened.
 */
import { AMQP } from './destinations/amqp.js';
import type { Destination, DestinationFlags, OpenDestination } from './destinations/destination.js';
import { EVAQ_NATS } from './destinations/evaq-nats.js';
import { HTTP } from './destinations/http.js';
import { KAFKA } from './destinations/kafka.js';
import { MQTT } from './destinations/mqtt.js';
import { NATS } from './destinations/nats.js';
import { POSTGRES } from './destinations/postgres.js';
import { REDIS } from './destinations/redis.js';
import { S3 } from './destinations/s3.js';
import { UrlOptions } from './destinations/url-options.js';
import { UsageError } from './exit-code.js';

const ALL: readonly Destination[] = [HTTP, KAFKA, AMQP, NATS, EVAQ_NATS, REDIS, MQTT, S3, POSTGRES];
const BY_SCHEME: ReadonlyMap<string, Destination> = new Map(
  ALL.flatMap((destination) => destination.schemes.map((scheme) => [scheme, destination] as const)),
);

/** Resolves when the client is there; whether the destination is shows at the first record. @throws UsageError */
export async function openDestination(to: string, flags: DestinationFlags): Promise<OpenDestination> {
  const url = URL.canParse(to) ? new URL(to) : undefined;
  const destination = url === undefined ? undefined : BY_SCHEME.get(url.protocol);
  if (url === undefined || destination === undefined) {
    throw new UsageError(`--to must be a URL: ${ALL.map(({ form }) => form).join(', ')}; got '${withoutSecrets(to)}'`);
  }
  if (url.hash !== '') throw new UsageError(`--to: what stands behind # is of no use, got '${withoutSecrets(to)}'`);
  const { options } = destination;
  try {
    return await destination.open(
      url,
      options === 'any' ? new UrlOptions('--to', serverAlone(url), []) : new UrlOptions('--to', url, options),
      flags,
    );
  } catch (error) {
    // Of decoding: a percent sign with no number behind it.
    if (error instanceof URIError) {
      throw new UsageError(`--to: '${withoutSecrets(to)}' holds a % that stands for nothing`);
    }
    throw error;
  }
}

function serverAlone(url: URL): URL {
  const bare = new URL(url);
  bare.search = '';
  return bare;
}

/** A URL as it may be shown: without name, password and options. */
export function withoutSecrets(to = ''): string {
  if (!URL.canParse(to)) return to.replace(/\/\/[^/]*@/, '//');
  const url = new URL(to);
  url.username = '';
  url.password = '';
  url.search = '';
  url.hash = '';
  return url.href;
}
