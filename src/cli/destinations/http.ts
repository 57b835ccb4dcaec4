/** http://… and https://…: by `undici` where that is installed; by the global `fetch` where it is not, which works as well and costs more. */
import type { HttpSinkOptions, UndiciLike } from '../../forward/http.js';
import { optionalPackage } from './client-package.js';
import type { Destination, DestinationFlags, OpenDestination } from './destination.js';
import { credentialsOf } from './url-parts.js';

export const HTTP: Destination = {
  schemes: ['http:', 'https:'],
  form: 'http://HOST:PORT/PATH',
  options: 'any',
  open: (url, _options, flags) => open(url, flags),
};

async function open(url: URL, { format, headers }: DestinationFlags): Promise<OpenDestination> {
  const { httpSink } = await import('../../forward/http.js');
  const client = await undiciAgent();
  const target = new URL(url);
  target.username = '';
  target.password = '';
  const options: HttpSinkOptions = { url: target, format, headers: { ...authorization(url), ...headers } };
  if (client === undefined) return { sink: httpSink(options), close: async () => undefined };
  return { sink: httpSink({ ...options, client }), close: () => client.close() };
}

/** What stands in front of the host is for basic authentication. */
function authorization(url: URL): Record<string, string> {
  const own = credentialsOf(url);
  if (own === undefined) return {};
  return { authorization: `Basic ${Buffer.from(`${own.user}:${own.password}`).toString('base64')}` };
}

type Agent = UndiciLike & { close(): Promise<void> };

async function undiciAgent(): Promise<Agent | undefined> {
  const undici = await optionalPackage('undici');
  const Class: unknown = typeof undici === 'object' && undici !== null && 'Agent' in undici ? undici.Agent : undefined;
  if (typeof Class !== 'function') return undefined;
  const agent: unknown = Reflect.construct(Class, [{}]);
  return isAgent(agent) ? agent : undefined;
}

function isAgent(agent: unknown): agent is Agent {
  return typeof agent === 'object' && agent !== null && 'request' in agent && 'close' in agent;
}
