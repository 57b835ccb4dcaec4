/**
 * Where `evaq forward --to` can forward to, by the scheme of a URL. The client of a destination is loaded when it is wanted, and is not one of evaq's
 * dependencies: where it is missing the line is said that installs it.
 */
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { codeOf } from '../errors.js';
import { type HttpSinkOptions, httpSink, type UndiciLike } from '../forward/http.js';
import { rabbitmqSink } from '../forward/rabbitmq.js';
import { redisSink } from '../forward/redis.js';
import type { Sink } from '../forward.js';
import { UsageError } from './exit-code.js';

export interface DestinationFlags {
  /** Of HTTP: 'raw' or 'ndjson'. */
  readonly format: 'raw' | 'ndjson';
  /** Of HTTP: sent with each request. */
  readonly headers: Readonly<Record<string, string>>;
}

export interface OpenDestination {
  readonly sink: Sink;
  /** Lets the client go. */
  readonly close: () => Promise<void>;
}

type Open = (url: URL, flags: DestinationFlags) => Promise<OpenDestination>;

const DESTINATIONS: ReadonlyMap<string, Open> = new Map([
  ['http:', openHttp],
  ['https:', openHttp],
  ['redis:', openRedis],
  ['rediss:', openRedis],
  ['amqp:', openAmqp],
  ['amqps:', openAmqp],
]);

/** Resolves when the client is there; whether the destination is shows at the first record. */
export async function openDestination(to: string, flags: DestinationFlags): Promise<OpenDestination> {
  const url = URL.canParse(to) ? new URL(to) : undefined;
  const open = url === undefined ? undefined : DESTINATIONS.get(url.protocol);
  if (url === undefined || open === undefined) {
    const known = [...DESTINATIONS.keys()].map((scheme) => `${scheme}//`);
    throw new UsageError(`--to must be a URL that begins with ${known.join(' or ')}, got '${to}'`);
  }
  try {
    return await open(url, flags);
  } catch (error) {
    // Of decoding: a percent sign with no number behind it.
    if (error instanceof URIError) throw new UsageError(`--to: '${to}' holds a % that stands for nothing`);
    throw error;
  }
}

/** By `undici` where that is installed; by the global `fetch` where it is not, which works as well and costs more. */
async function openHttp(url: URL, { format, headers }: DestinationFlags): Promise<OpenDestination> {
  const client = await undiciAgent();
  const options: HttpSinkOptions = { url, format, headers: { ...authorization(url), ...headers } };
  url.username = '';
  url.password = '';
  if (client === undefined) return { sink: httpSink(options), close: async () => undefined };
  return { sink: httpSink({ ...options, client }), close: () => client.close() };
}

/** What stands in front of the host is for basic authentication. */
function authorization({ username, password }: URL): Record<string, string> {
  if (username === '' && password === '') return {};
  const pair = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return { authorization: `Basic ${Buffer.from(pair).toString('base64')}` };
}

async function undiciAgent(): Promise<(UndiciLike & { close(): Promise<void> }) | undefined> {
  const undici = await optional('undici');
  const Agent: unknown = typeof undici === 'object' && undici !== null && 'Agent' in undici ? undici.Agent : undefined;
  if (typeof Agent !== 'function') return undefined;
  const agent: unknown = Reflect.construct(Agent, [{}]);
  return isAgent(agent) ? agent : undefined;
}

function isAgent(agent: unknown): agent is UndiciLike & { close(): Promise<void> } {
  return typeof agent === 'object' && agent !== null && 'request' in agent && 'close' in agent;
}

/** By ioredis, on a connection of its own: redis://HOST:PORT/STREAM. */
async function openRedis(url: URL): Promise<OpenDestination> {
  const { Redis } = await required<typeof import('ioredis')>('ioredis', url);
  const stream = decodeURIComponent(url.pathname.slice(1));
  if (stream === '') throw new UsageError('--to redis://HOST:PORT/STREAM: the stream is missing');
  const ids = url.searchParams.get('ids') ?? 'auto';
  if (ids !== 'auto' && ids !== 'record') throw new UsageError(`--to: ids must be auto or record, got '${ids}'`);
  const server = new URL(url);
  server.pathname = '';
  server.search = '';
  // What is lost with a connection is sent again by the queue, and by nobody else.
  const client = new Redis(server.href, { maxRetriesPerRequest: 0, autoResendUnfulfilledCommands: false });
  client.on('error', () => undefined);
  return { sink: redisSink({ client, stream, ids }), close: async () => client.disconnect() };
}

/** By amqplib: amqp://USER:PASSWORD@HOST/VHOST?exchange=NAME&key=ROUTING_KEY. */
async function openAmqp(url: URL): Promise<OpenDestination> {
  const { connect } = await required<typeof import('amqplib')>('amqplib', url);
  const { searchParams } = url;
  const exchange = searchParams.get('exchange') ?? '';
  const routingKey = searchParams.get('key') ?? undefined;
  const server = new URL(url);
  for (const own of ['exchange', 'key']) server.searchParams.delete(own);
  const key = routingKey === undefined ? {} : { routingKey };
  const sink = rabbitmqSink({ connect: () => connect(server.href), exchange, ...key });
  return { sink, close: async () => undefined };
}

/** A package that may be missing: beside evaq, or in the folder where it is called. */
async function optional(name: string): Promise<unknown> {
  try {
    return await import(name);
  } catch (error) {
    if (codeOf(error) !== 'ERR_MODULE_NOT_FOUND') throw error;
  }
  try {
    return await import(pathToFileURL(createRequire(join(process.cwd(), 'x.js')).resolve(name)).href);
  } catch (error) {
    if (codeOf(error) === 'MODULE_NOT_FOUND' || codeOf(error) === 'ERR_MODULE_NOT_FOUND') return undefined;
    throw error;
  }
}

/** A package that must be there for the destination. @throws UsageError with the line that installs it */
async function required<T extends object>(name: string, { protocol }: URL): Promise<T> {
  const loaded = await optional(name);
  if (!isModule<T>(loaded)) throw new UsageError(`--to ${protocol}// needs the package ${name}: npm install ${name}`);
  return loaded;
}

/** Whether anything was loaded; what it is its name says. */
function isModule<T extends object>(loaded: unknown): loaded is T {
  return typeof loaded === 'object' && loaded !== null;
}
