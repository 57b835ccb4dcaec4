/**
 * One command, by whatever the caller has: `ioredis` or `redis`. Neither is imported here.
 */
import { isClient, requireClient } from '../sink-client.js';

export type RedisArgument = string | Buffer;

/** What is needed of a connection of `ioredis`. */
export interface IoredisLike {
  call(command: string, ...args: RedisArgument[]): Promise<unknown>;
}

/** What is needed of a client of `redis`. */
export interface NodeRedisLike {
  sendCommand(args: RedisArgument[]): Promise<unknown>;
}

/** Commands of one turn go out in their order, without waiting for each other. Rejects with what the server says, or where there was no answer. */
export type RedisCommand = (command: string, ...args: RedisArgument[]) => Promise<unknown>;

export function commandBy(client: IoredisLike | NodeRedisLike): RedisCommand {
  // ioredis has a sendCommand, too, which takes something else.
  if (isIoredis(client)) return async (command, ...args) => client.call(command, ...args);
  requireClient(client, 'client', 'a client of ioredis or redis', ['sendCommand']);
  return async (command, ...args) => client.sendCommand([command, ...args]);
}

function isIoredis(client: IoredisLike | NodeRedisLike): client is IoredisLike {
  return isClient(client, ['call']);
}
