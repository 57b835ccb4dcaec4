/** Each destination's real server as the tests of sinks, of the command line and the large script need it. Why one cannot be had says `WHY_NOT`. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Pool } from 'pg';
import { freePort, otherThanRoot, outputOf, Server, type ServerSpec, whyNot } from './servers.js';

export type BrokerName = 'redis' | 'rabbitmq' | 'nats' | 'mqtt' | 'postgres' | 'kafka';

/** What is missing for a destination; `undefined`: nothing. */
export const WHY_NOT: Readonly<Record<BrokerName, string | undefined>> = {
  redis: whyNot('redis-server', 'ioredis'),
  rabbitmq: whyNot('rabbitmq-server', 'amqplib') ?? whyNot('epmd'),
  nats: whyNot('nats-server', '@nats-io/jetstream') ?? whyNot('nats-server', '@nats-io/transport-node'),
  mqtt: whyNot('mosquitto', 'mqtt'),
  postgres: whyNot('postgres', 'pg') ?? whyNot('initdb'),
  kafka: whyNot('kcat', 'kafkajs'),
};

/** For the title of a test that is skipped. */
export function because(missing: string | undefined): string {
  return missing === undefined ? '' : ` [skipped: ${missing}]`;
}

/** What it has acknowledged is on disk. */
export function startRedis(): Promise<Server> {
  return Server.start({
    binary: 'redis-server',
    args: (port, folder) =>
      `--port ${port} --bind 127.0.0.1 --dir ${folder} --appendonly yes --appendfsync always`.split(' '),
  });
}

/** With JetStream. Who says nothing may do all; the user `few`, password `x`, may publish nothing. */
export function startNats(): Promise<Server> {
  return Server.start({
    binary: 'nats-server',
    args: (port, folder) => {
      const config = join(folder, 'nats.conf');
      const user = '{ user: all, password: x }, { user: few, password: x, permissions: { publish: "_INBOX.>" } }';
      writeFileSync(
        config,
        `listen: "127.0.0.1:${port}"\njetstream { store_dir: "${folder}" }\nno_auth_user: all\nauthorization { users: [${user}] }\n`,
      );
      return ['-c', config];
    },
  });
}

/** Topics below `open` may be written, those below `closed` only read. */
export function startMosquitto(): Promise<Server> {
  return Server.start({
    binary: 'mosquitto',
    args: (port, folder) => {
      const config = join(folder, 'mosquitto.conf');
      const access = join(folder, 'access');
      writeFileSync(access, 'topic readwrite open/#\ntopic read closed/#\n', { mode: 0o644 });
      const limits = 'max_inflight_messages 0\nmax_queued_messages 0\nmessage_size_limit 10000\n';
      writeFileSync(
        config,
        `listener ${port} 127.0.0.1\nallow_anonymous true\nuser root\nacl_file ${access}\n${limits}`,
      );
      return ['-c', config];
    },
  });
}

export async function newPool(port: number): Promise<Pool> {
  const { Pool: PgPool } = await import('pg');
  return new PgPool({ host: '127.0.0.1', port, user: 'evaq', database: 'postgres' });
}

/** The user `evaq` is let in without a password. */
export function startPostgres(): Promise<Server> {
  const user = otherThanRoot('postgres');
  return Server.start({
    binary: 'postgres',
    user,
    args: (port, folder) => {
      const data = join(folder, 'data');
      if (!existsSync(data)) outputOf('initdb', ['-D', data, '-U', 'evaq', '-A', 'trust', '-E', 'UTF8', '-N'], user);
      return ['-D', data, '-p', String(port), '-h', '127.0.0.1', '-c', 'unix_socket_directories='];
    },
    ready: async (port) => {
      const pool = await newPool(port);
      try {
        await pool.query('SELECT 1');
      } finally {
        await pool.end();
      }
    },
  });
}

export interface Rabbitmq {
  readonly server: Server;
  readonly url: string;
  end(): Promise<void>;
}

/** With an epmd of its own, so that none is left behind. */
export async function startRabbitmq(): Promise<Rabbitmq> {
  const mapper = await Server.start({
    binary: 'epmd',
    args: (port) => ['-port', String(port), '-address', '127.0.0.1'],
  });
  const server = await Server.start(rabbitmqSpec(mapper.port, await freePort()));
  return {
    server,
    url: `amqp://guest:guest@127.0.0.1:${server.port}`,
    end: async () => {
      await server.end();
      await mapper.end();
    },
  };
}

function rabbitmqSpec(mapperPort: number, distPort: number): ServerSpec {
  return {
    binary: 'rabbitmq-server',
    args: () => [],
    env: (port, folder) => {
      writeFileSync(join(folder, 'plugins'), '[].\n');
      const settings = 'vm_memory_high_watermark.absolute = 2GB\ndisk_free_limit.absolute = 1MB\n';
      writeFileSync(join(folder, 'rabbitmq.conf'), `listeners.tcp.1 = 127.0.0.1:${port}\n${settings}`);
      return {
        HOME: folder,
        RABBITMQ_NODENAME: `evaq${port}@localhost`,
        RABBITMQ_MNESIA_BASE: join(folder, 'mnesia'),
        RABBITMQ_LOG_BASE: join(folder, 'log'),
        RABBITMQ_CONFIG_FILE: join(folder, 'rabbitmq.conf'),
        RABBITMQ_ENABLED_PLUGINS_FILE: join(folder, 'plugins'),
        RABBITMQ_PID_FILE: join(folder, 'pid'),
        RABBITMQ_DIST_PORT: String(distPort),
        ERL_EPMD_ADDRESS: '127.0.0.1',
        ERL_EPMD_PORT: String(mapperPort),
        ADDITIONAL_ERL_ARGS: '+S 1:1',
      };
    },
    pids: (folder) => [Number(readFileSync(join(folder, 'pid'), 'utf8'))],
  };
}

export interface KafkaMock {
  readonly server: Server;
  /** `host:port`. */
  readonly broker: string;
}

const ADDRESS = /bootstrap\.servers=([^\s,]+)/;

/** The mock of librdkafka: it keeps all in its memory, and knows no idempotent producer of kafkajs. */
export async function startKafkaMock(): Promise<KafkaMock> {
  const server = await Server.start({
    binary: 'kcat',
    // It lives as long as its input is open.
    args: () => '-P -b mock -t keepalive -X test.mock.num.brokers=1 -d mock'.split(' '),
    ready: async (_port, _folder, said) => {
      if (!ADDRESS.test(said)) throw new Error('no address yet');
    },
  });
  return { server, broker: ADDRESS.exec(server.said)?.[1] ?? '' };
}
