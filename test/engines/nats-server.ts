/**
 * Servers of NATS with JetStream, each on a port and folder of its own: one alone, or some that replicate. They sync before they acknowledge.
 */
import { randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from '@nats-io/transport-node';
import { freePort, Server, whyNot } from '../forward/servers.js';

export const urlOf = ({ port }: Server): string => `nats://127.0.0.1:${port}`;

/** `more`: of its configuration. */
export function startNats(more = ''): Promise<Server> {
  return Server.start({
    binary: 'nats-server',
    args: (port, folder) => ['-c', configIn(folder, port, more)],
    ready: hasJetStream,
  });
}

/** One that Debian has, where it is older; `undefined` where there is none. */
export async function startOldNats(): Promise<Server | undefined> {
  if (whyNot('/usr/sbin/nats-server') !== undefined) return undefined;
  const server = await Server.start({
    binary: '/usr/sbin/nats-server',
    args: (port, folder) => ['-a', '127.0.0.1', '-p', String(port), '-js', '-sd', folder],
    ready: hasJetStream,
  });
  if ((await levelAt(server.port)) < 2) return server;
  await server.end();
  return undefined;
}

/** So many, each of which knows the others. */
export async function startCluster(size: number): Promise<Server[]> {
  const routes = await Promise.all(Array.from({ length: size }, freePort));
  const list = routes.map((port) => `"nats-route://127.0.0.1:${port}"`).join(', ');
  return Promise.all(
    routes.map((route, i) => {
      const cluster = `server_name: "s${i}"\ncluster { name: "evaq", listen: "127.0.0.1:${route}", routes: [${list}] }`;
      return Server.start({
        binary: 'nats-server',
        args: (port, folder) => ['-c', configIn(folder, port, cluster)],
        ready: hasJetStream,
      });
    }),
  );
}

function configIn(folder: string, port: number, more: string): string {
  const file = join(folder, 'nats.conf');
  writeFileSync(
    file,
    `listen: "127.0.0.1:${port}"\njetstream { store_dir: "${join(folder, 'data')}", sync_interval: always }\n${more}\n`,
  );
  return file;
}

async function hasJetStream(port: number): Promise<void> {
  await levelAt(port);
}

/** What its API can do. */
async function levelAt(port: number): Promise<number> {
  const connection = await connect({ servers: `127.0.0.1:${port}`, reconnect: false, timeout: 1000 });
  try {
    const answer = await connection.request('$JS.API.INFO', '', { timeout: 1000 });
    const info: { api?: { level?: number }; error?: { description?: string } } = answer.json();
    if (info.error !== undefined) throw new Error(info.error.description);
    return info.api?.level ?? 0;
  } finally {
    await connection.close();
  }
}

/** Why there can be no test: a server that is not there, or that is too old. */
export async function whyNoBatches(): Promise<string | undefined> {
  const missing = whyNot('nats-server', '@nats-io/transport-node');
  if (missing !== undefined) return missing;
  let server: Server | undefined;
  try {
    server = await startNats();
    return (await levelAt(server.port)) < 2 ? 'nats-server knows no atomic batches: scripts/newer-nats.sh' : undefined;
  } catch (error) {
    // An older one does not know what its configuration says.
    return `no new nats-server: scripts/newer-nats.sh (${String(error).slice(0, 80)})`;
  } finally {
    await server?.end();
  }
}

/** For a store of its own. */
export const newName = (): string => `t-${randomUUID().slice(0, 8)}`;
