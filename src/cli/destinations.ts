/**
 * Where `evaq forward --to` can forward to, by the scheme of a URL. The client of a destination is loaded when it is wanted, and is not one of evaq's
 * dependencies: where it is missing the line is said that installs it.
 */
import { codeOf } from '../errors.js';
import { type HttpSinkOptions, httpSink, type UndiciLike } from '../forward/http.js';
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
]);

/** Resolves when the client is there; whether the destination is shows at the first record. */
export async function openDestination(to: string, flags: DestinationFlags): Promise<OpenDestination> {
  const url = URL.canParse(to) ? new URL(to) : undefined;
  const open = url === undefined ? undefined : DESTINATIONS.get(url.protocol);
  if (url === undefined || open === undefined) {
    const known = [...DESTINATIONS.keys()].map((scheme) => `${scheme}//`);
    throw new UsageError(`--to must be a URL that begins with ${known.join(' or ')}, got '${to}'`);
  }
  return open(url, flags);
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
  const Agent: unknown = undici?.['Agent'];
  if (typeof Agent !== 'function') return undefined;
  const agent: unknown = Reflect.construct(Agent, [{}]);
  return isAgent(agent) ? agent : undefined;
}

function isAgent(agent: unknown): agent is UndiciLike & { close(): Promise<void> } {
  return typeof agent === 'object' && agent !== null && 'request' in agent && 'close' in agent;
}

/** A package that may be missing. */
export async function optional(name: string): Promise<Readonly<Record<string, unknown>> | undefined> {
  try {
    const loaded: unknown = await import(name);
    return typeof loaded === 'object' && loaded !== null ? { ...loaded } : undefined;
  } catch (error) {
    if (codeOf(error) === 'ERR_MODULE_NOT_FOUND' || codeOf(error) === 'MODULE_NOT_FOUND') return undefined;
    throw error;
  }
}

/** A package that must be there for what was asked for. @throws UsageError with the line that installs it */
export async function required(name: string, purpose: string): Promise<Readonly<Record<string, unknown>>> {
  const loaded = await optional(name);
  if (loaded === undefined) throw new UsageError(`${purpose} needs the package ${name}: npm install ${name}`);
  return loaded;
}
