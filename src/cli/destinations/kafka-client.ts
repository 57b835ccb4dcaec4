/** A client of `kafkajs` made of a URL: `kafka://USER:PASSWORD@HOST:PORT/…?hosts=…&tls=true&sasl=plain`. */
import type { ICustomPartitioner, Kafka, KafkaConfig, SASLOptions } from 'kafkajs';
import { UsageError } from '../exit-code.js';
import { requiredPackage } from './client-package.js';
import type { UrlOptions } from './url-options.js';
import { credentialsOf, hostsOf } from './url-parts.js';

export const KAFKA_OPTIONS: readonly string[] = ['hosts', 'tls', 'sasl'];
const DEFAULT_PORT = 9092;
const CONNECT_MS = 3000;
/** With its retries below the 10 s after which a sink gives up on a batch. */
const REQUEST_MS = 4000;

type Client = typeof import('kafkajs');

export interface KafkaClient {
  readonly kafka: Kafka;
  readonly partitioner: ICustomPartitioner;
}

/** `flag` is what the URL was given by. */
export async function kafkaOf(flag: string, url: URL, options: UrlOptions): Promise<KafkaClient> {
  const brokers = hostsOf(url, DEFAULT_PORT, options.text('hosts'));
  const sasl = saslOf(url, options);
  const ssl = options.flag('tls');
  const loaded = await requiredPackage<Client | { default: Client }>('kafkajs', `${flag} ${url.protocol}//`);
  const { Kafka: KafkaClass, logLevel, Partitioners } = 'default' in loaded ? loaded.default : loaded;
  const config: KafkaConfig = {
    clientId: 'evaq',
    brokers,
    ssl,
    logLevel: logLevel.NOTHING,
    connectionTimeout: CONNECT_MS,
    requestTimeout: REQUEST_MS,
    retry: { retries: 3, initialRetryTime: 100 },
    ...(sasl === undefined ? {} : { sasl }),
  };
  return { kafka: new KafkaClass(config), partitioner: Partitioners.DefaultPartitioner };
}

function saslOf(url: URL, options: UrlOptions): SASLOptions | undefined {
  const own = credentialsOf(url);
  const mechanism = options.choice('sasl', ['plain', 'scram-sha-256', 'scram-sha-512']);
  if (own === undefined) {
    if (options.text('sasl') === undefined) return undefined;
    throw new UsageError('kafka://: sasl needs a name and a password in front of the host');
  }
  const { user: username, password } = own;
  switch (mechanism) {
    case 'plain':
      return { mechanism: 'plain', username, password };
    case 'scram-sha-256':
      return { mechanism: 'scram-sha-256', username, password };
    case 'scram-sha-512':
      return { mechanism: 'scram-sha-512', username, password };
  }
}
