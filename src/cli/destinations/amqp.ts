/** amqp://USER:PASSWORD@HOST/VHOST?exchange=NAME&key=ROUTING_KEY, amqps://: by `amqplib`. */
import { requiredPackage } from './client-package.js';
import type { Destination } from './destination.js';

const OWN = ['exchange', 'key'] as const;
/** `amqplib` reads them in its URL. */
const OF_CLIENT = ['heartbeat', 'frameMax', 'channelMax', 'locale'] as const;

const CONNECT_MS = 5000;

export const AMQP: Destination = {
  schemes: ['amqp:', 'amqps:'],
  form: 'amqp://HOST:PORT/VHOST?key=QUEUE',
  options: [...OWN, ...OF_CLIENT],
  async open(url, options) {
    const exchange = options.text('exchange') ?? '';
    const routingKey = options.text('key');
    const { connect } = await requiredPackage<typeof import('amqplib')>('amqplib', `--to ${url.protocol}//`);
    const server = new URL(url);
    for (const own of OWN) server.searchParams.delete(own);
    const { rabbitmqSink } = await import('../../forward/rabbitmq.js');
    const sink = rabbitmqSink({
      // A broker that takes the connection, and says nothing.
      connect: () => connect(server.href, { timeout: CONNECT_MS }),
      exchange,
      ...(routingKey === undefined ? {} : { routingKey }),
    });
    return { sink, close: async () => undefined };
  },
};
