/** redis://HOST:PORT/STREAM, rediss://: by `ioredis`, on a connection of its own. */
import { requiredPackage } from './client-package.js';
import type { Destination } from './destination.js';
import { placeOf, serverOf } from './url-parts.js';

export const REDIS: Destination = {
  schemes: ['redis:', 'rediss:'],
  form: 'redis://HOST:PORT/STREAM',
  options: ['ids', 'maxLen', 'db'],
  async open(url, options) {
    const stream = placeOf(url, 'stream');
    const ids = options.choice('ids', ['auto', 'record']);
    const maxLen = options.count('maxLen');
    const db = options.count('db') ?? 0;
    const { Redis } = await requiredPackage<typeof import('ioredis')>('ioredis', `--to ${url.protocol}//`);
    // What is lost with a connection is sent again by the queue, and by nobody else.
    const client = new Redis(serverOf(url).href, {
      db,
      lazyConnect: true,
      maxRetriesPerRequest: 0,
      autoResendUnfulfilledCommands: false,
    });
    client.on('error', () => undefined);
    const { redisSink } = await import('../../forward/redis.js');
    const sink = redisSink({ client, stream, ids, ...(maxLen === undefined ? {} : { maxLen }) });
    return { sink, close: async () => client.disconnect() };
  },
};
