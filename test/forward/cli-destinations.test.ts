/** `evaq forward --to URL` for each destination, against its real server, as a user runs it. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { openDestination } from '../../src/cli/destinations.js';
import { Evaq } from '../../src/evaq.js';
import { ReadOnlyEvaq } from '../../src/raw.js';
import { type CliResult, cliPath, evaq, finished, startEvaq } from '../cli/support/evaq-cli.js';
import {
  because,
  newPool,
  startKafkaMock,
  startMosquitto,
  startNats,
  startPostgres,
  startRabbitmq,
  startRedis,
  WHY_NOT,
} from './brokers.js';
import { BUCKET_KEYS, Bucket } from './bucket.js';
import { freePort } from './servers.js';

const PAYLOADS = ['a', 'b', 'c'];
const ARRIVED = { code: 0, stderr: 'evaq: 3 records arrived\n' };

beforeAll(async () => {
  await cliPath();
});

async function newStore(payloads: readonly string[] = PAYLOADS): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'evaq-destinations-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const dir = join(folder, 'store');
  const store = await Evaq.open(dir);
  await store.wal.pushMany(payloads.map((payload) => ({ payload, headers: { kind: `of-${payload}` } })));
  await store.close();
  return dir;
}

async function sizeOf(dir: string): Promise<number> {
  await using reader = await ReadOnlyEvaq.open(dir);
  return (await (await reader.queue('wal')).stats()).live;
}

async function run(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<CliResult> {
  return finished(await startEvaq(args, { env: { ...process.env, NO_COLOR: '1', ...env } }));
}

/** What holds for each: a dry run sends nothing and asks nobody; then all is sent, with keys. */
async function forwardsTo(to: string, env: Readonly<Record<string, string>> = {}): Promise<string> {
  const dir = await newStore();
  const dry = await run(['forward', dir, '--to', to, '--dry-run'], env);
  expect(dry).toMatchObject({ code: 0, stderr: expect.stringContaining('would send 3 records') });
  expect(await sizeOf(dir)).toBe(3);
  const sent = await run(['forward', dir, '--key', 'header:kind', '--rate', '1000'], { ...env, EVAQ_TO: to });
  expect({ code: sent.code, stderr: sent.stderr }).toEqual(ARRIVED);
  expect(await sizeOf(dir)).toBe(0);
  const store = await Evaq.open(dir);
  const { storeId } = store;
  await store.close();
  return storeId;
}

describe('evaq forward --to', () => {
  test.skipIf(WHY_NOT.redis !== undefined)(`redis://${because(WHY_NOT.redis)}`, async () => {
    const server = await startRedis();
    onTestFinished(() => server.end());
    await forwardsTo(`redis://127.0.0.1:${server.port}/orders?ids=record`);
    const { Redis } = await import('ioredis');
    const client = new Redis(server.port, '127.0.0.1');
    onTestFinished(() => client.disconnect());
    const entries = await client.xrange('orders', '-', '+');
    expect(entries.map(([id, fields]) => [id, fields[3], fields[7]])).toEqual([
      ['1-0', 'a', 'of-a'],
      ['2-0', 'b', 'of-b'],
      ['3-0', 'c', 'of-c'],
    ]);
    await forwardsTo(`redis://127.0.0.1:${server.port}/orders.{key}?db=1&maxLen=100`);
    await client.select(1);
    expect((await client.keys('*')).sort()).toEqual(['orders.of-a', 'orders.of-b', 'orders.of-c']);
  });

  test.skipIf(WHY_NOT.rabbitmq !== undefined)(`amqp://${because(WHY_NOT.rabbitmq)}`, async () => {
    const rabbitmq = await startRabbitmq();
    onTestFinished(() => rabbitmq.end());
    const { connect } = await import('amqplib');
    const connection = await connect(rabbitmq.url);
    onTestFinished(() => connection.close());
    const channel = await connection.createChannel();
    await channel.assertQueue('orders', { durable: true });
    await channel.assertQueue('of-b', { durable: true });
    const storeId = await forwardsTo(`${rabbitmq.url}?key=orders&heartbeat=10`);
    for (const [i, payload] of PAYLOADS.entries()) {
      const message = await channel.get('orders', { noAck: true });
      if (message === false) throw new Error('it is not there');
      expect(message.content.toString()).toBe(payload);
      expect(message.properties.messageId).toBe(`${storeId}:wal:${i + 1}`);
    }
    // The key is the routing key; what no queue takes is a dead letter.
    const dir = await newStore();
    const { code, stderr } = await run(['forward', dir, '--to', rabbitmq.url, '--key', 'header:kind']);
    expect({ code, stderr }).toEqual({ code: 7, stderr: 'evaq: 1 record arrived, 2 dead letters\n' });
  });

  test.skipIf(WHY_NOT.nats !== undefined)(`nats://${because(WHY_NOT.nats)}`, async () => {
    const server = await startNats();
    onTestFinished(() => server.end());
    const { connect } = await import('@nats-io/transport-node');
    const { jetstreamManager } = await import('@nats-io/jetstream');
    const connection = await connect({ port: server.port });
    onTestFinished(() => connection.close());
    const manager = await jetstreamManager(connection);
    await manager.streams.add({ name: 'ORDERS', subjects: ['orders.>'] });
    const host = `127.0.0.1:${server.port}`;
    const storeId = await forwardsTo(`nats://${host}/orders.new?stream=ORDERS&hosts=127.0.0.1:1`);
    for (const [i, payload] of PAYLOADS.entries()) {
      const message = await manager.streams.getMessage('ORDERS', { seq: i + 1 });
      expect(Buffer.from(message?.data ?? []).toString()).toBe(payload);
      expect(message?.header.get('Nats-Msg-Id')).toBe(`${storeId}:wal:${i + 1}`);
      expect(message?.header.get('evaq-key')).toBe(`of-${payload}`);
    }
    await forwardsTo(`nats://${host}/orders.{key}`);
    const { state } = await manager.streams.info('ORDERS', { subjects_filter: '>' } as never);
    expect(Object.keys(state.subjects ?? {}).sort()).toEqual([
      'orders.new',
      'orders.of-a',
      'orders.of-b',
      'orders.of-c',
    ]);
    const dir = await newStore();
    const refused = await run(['forward', dir, '--to', `nats://few:x@${host}/orders.new`]);
    expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining('lets nobody in') });
    const stranger = await run(['forward', dir, '--to', `nats://few:wrong@${host}/orders.new`]);
    expect(stranger).toMatchObject({ code: 1, stderr: expect.stringContaining('lets nobody in') });
    expect(stranger.stderr).not.toContain('wrong');
    expect(await sizeOf(dir)).toBe(3);
  });

  test.skipIf(WHY_NOT.mqtt !== undefined)(`mqtt://${because(WHY_NOT.mqtt)}`, async () => {
    const server = await startMosquitto();
    onTestFinished(() => server.end());
    const { connectAsync } = await import('mqtt');
    const receiver = await connectAsync({ port: server.port, protocolVersion: 5 });
    onTestFinished(() => receiver.endAsync(true));
    const arrived: (readonly [string, string, unknown])[] = [];
    receiver.on('message', (topic, payload, { properties }) => {
      arrived.push([topic, payload.toString(), properties?.userProperties?.['evaq-id']]);
    });
    await receiver.subscribeAsync('#', { qos: 2 });
    const storeId = await forwardsTo(`mqtt://127.0.0.1:${server.port}/open/orders`);
    expect(arrived).toEqual(PAYLOADS.map((payload, i) => ['open/orders', payload, `${storeId}:wal:${i + 1}`]));
    arrived.length = 0;
    await forwardsTo(`mqtt://127.0.0.1:${server.port}/open/{key}?qos=2&protocolVersion=4`);
    expect(arrived.map(([topic]) => topic).sort()).toEqual(['open/of-a', 'open/of-b', 'open/of-c']);
    const dir = await newStore();
    const refused = await run(['forward', dir, '--to', `mqtt://127.0.0.1:${server.port}/closed/orders`]);
    expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining('lets nobody in') });
  });

  test.skipIf(WHY_NOT.kafka !== undefined)(`kafka://${because(WHY_NOT.kafka)}`, async () => {
    const { server, broker } = await startKafkaMock();
    onTestFinished(() => server.end());
    const storeId = await forwardsTo(`kafka://${broker}/orders?hosts=127.0.0.1:1`);
    const { default: kafkajs } = await import('kafkajs');
    const kafka = new kafkajs.Kafka({ brokers: [broker], logLevel: kafkajs.logLevel.NOTHING });
    const consumer = kafka.consumer({ groupId: 'reader' });
    onTestFinished(() => consumer.disconnect());
    await consumer.connect();
    await consumer.subscribe({ topic: 'orders', fromBeginning: true });
    const consumed: (readonly [string, string, string])[] = [];
    await new Promise<void>((resolve, reject) => {
      const eachMessage = async ({
        message,
      }: {
        message: { key: Buffer | null; value: Buffer | null; headers?: object };
      }) => {
        const id: unknown = Reflect.get(message.headers ?? {}, 'evaq-id');
        consumed.push([String(message.value), String(message.key), String(id)]);
        if (consumed.length === PAYLOADS.length) resolve();
      };
      consumer.run({ eachMessage }).catch(reject);
    });
    expect(new Set(consumed.map(String))).toEqual(
      new Set(PAYLOADS.map((one, i) => `${one},of-${one},${storeId}:wal:${i + 1}`)),
    );
  });

  test.skipIf(WHY_NOT.postgres !== undefined)(`postgres://${because(WHY_NOT.postgres)}`, async () => {
    const server = await startPostgres();
    onTestFinished(() => server.end());
    const pool = await newPool(server.port);
    onTestFinished(() => pool.end());
    await pool.query('CREATE SCHEMA app');
    await pool.query('CREATE TABLE app.orders (id text PRIMARY KEY, payload text, about jsonb, kind text)');
    const url = `postgres://evaq@127.0.0.1:${server.port}/postgres/app/orders`;
    const storeId = await forwardsTo(`${url}?deliveryId=id&headers=about&key=kind&payloadType=text`);
    const { rows } = await pool.query('SELECT * FROM app.orders ORDER BY id');
    expect(rows).toEqual(
      PAYLOADS.map((payload, i) => ({
        id: `${storeId}:wal:${i + 1}`,
        payload,
        about: { kind: `of-${payload}` },
        kind: `of-${payload}`,
      })),
    );
  });

  test('s3://', async () => {
    const bucket = new Bucket();
    await bucket.start();
    onTestFinished(() => bucket.kill());
    const env = {
      AWS_ACCESS_KEY_ID: BUCKET_KEYS.accessKeyId,
      AWS_SECRET_ACCESS_KEY: BUCKET_KEYS.secretAccessKey,
      AWS_ENDPOINT_URL: `http://127.0.0.1:${bucket.port}`,
      AWS_REGION: BUCKET_KEYS.region,
    };
    const storeId = await forwardsTo('s3://bucket/orders', env);
    expect([...bucket.objects.keys()]).toEqual([expect.stringMatching(`^/bucket/orders/${storeId}/wal/0+1-0+3-`)]);
    expect(bucket.arrived().map(({ payload }) => payload.toString())).toEqual(PAYLOADS);
    const dir = await newStore();
    const stranger = { ...env, AWS_SECRET_ACCESS_KEY: 'another' };
    const refused = await run(['forward', dir, '--to', 's3://bucket/orders'], stranger);
    expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining('lets nobody in') });
  });

  test('a destination that is down: the line says so, what is there stays, and Ctrl-C ends it', async () => {
    const port = await freePort();
    const to = ['redis', 'amqp', 'nats', 'mqtt', 'kafka', 'postgres'].map((scheme) => `${scheme}://127.0.0.1:${port}`);
    const downs = to.map(async (server) => {
      const dir = await newStore();
      const place = server.startsWith('postgres') ? `${server}/db/t` : `${server}/place`;
      const child = await startEvaq(['forward', dir, '--to', place]);
      const result = finished(child);
      let said = '';
      child.stderr?.on('data', (text: Buffer) => {
        said += text.toString();
        if (said.includes('is down')) child.kill('SIGINT');
      });
      const { code } = await result;
      expect({ place, code, size: await sizeOf(dir) }).toEqual({ place, code: 130, size: 3 });
    });
    await Promise.all(downs);
  });

  test('what is wrong with a URL is a line', async () => {
    const dir = await newStore();
    const wrong: Readonly<Record<string, RegExp>> = {
      'redis://127.0.0.1:1/': /the stream is missing/,
      'redis://127.0.0.1:1/s?ids=mine': /ids must be auto or record, got 'mine'/,
      'redis://127.0.0.1:1/s?id=record': /redis:\/\/ has no option 'id'; it has ids, maxLen, db/,
      'redis://127.0.0.1:1/s?ids=auto&ids=record': /ids is there twice/,
      'redis://127.0.0.1:1/s?maxLen=0': /maxLen must be a whole number/,
      'redis://me:secret@127.0.0.1:1/%ff': /holds a % that stands for nothing/,
      's3://b/%zz': /holds a % that stands for nothing/,
      'evaq+nats://127.0.0.1:1/%zz': /holds a % that stands for nothing/,
      'kafka://me:%zz@127.0.0.1:1/x': /the password holds a % that stands for nothing/,
      'kafka://127.0.0.1:1/x?hosts=,': /hosts are HOST:PORT,HOST:PORT/,
      'mqtt://127.0.0.1:1/a/+/b': /holds no \+ and no #/,
      'mqtt://127.0.0.1:1/a/%23': /holds no \+ and no #/,
      'redis://127.0.0.1:1/s#x': /behind # is of no use/,
      'amqp://127.0.0.1:1/?exchnage=x': /amqp:\/\/ has no option 'exchnage'/,
      'nats://127.0.0.1:1/': /the subject is missing/,
      'nats:///x': /the host is missing/,
      'nats://127.0.0.1:1/x?mode=both': /mode must be single or atomic/,
      'mqtt://127.0.0.1:1/': /the topic is missing/,
      'mqtt://127.0.0.1:1/x?qos=0': /qos must be 1 or 2/,
      'mqtt://127.0.0.1:1/x?qos=2&clientId=a': /a clientId cannot be given/,
      'kafka://127.0.0.1:1/x?sasl=plain': /sasl needs a name and a password/,
      'kafka://127.0.0.1:1/x?partitions=1': /kafka:\/\/ has no option 'partitions'/,
      'postgres://127.0.0.1:1/db': /POSTGRES|DATABASE\/TABLE/i,
      'postgres://127.0.0.1:1/db/t?colums=x': /postgres:\/\/ has no option 'colums'/,
      's3:///x': /the bucket is missing/,
      's3://b/x?endpoint=here': /the endpoint must be an http or https URL/,
      's3://b/x?gzip=yes': /gzip must be false or true/,
      'ftp://x': /--to must be a URL: http:\/\/HOST:PORT\/PATH, kafka:/,
    };
    const flags = { format: 'raw', headers: {}, follow: false } as const;
    for (const [to, message] of Object.entries(wrong)) {
      const error = await openDestination(to, flags).catch((thrown: unknown) => thrown);
      expect(error, to).toMatchObject({ name: 'UsageError', message: expect.stringMatching(message) });
      expect(String(error)).not.toContain('secret');
    }
    const { code, stderr } = await evaq(['forward', dir, '--to', 'redis://127.0.0.1:1/s?id=record']);
    expect({ code, stderr }).toEqual({
      code: 2,
      stderr: "evaq: --to: redis:// has no option 'id'; it has ids, maxLen, db\n",
    });
  });

  test('a client that is not installed: the line that installs it', async () => {
    const dir = await newStore();
    const child = await startEvaq(['forward', dir, '--to', 's3://bucket/x'], {
      // It is looked for there, too.
      cwd: dir,
      env: {
        ...process.env,
        AWS_ACCESS_KEY_ID: 'x',
        AWS_SECRET_ACCESS_KEY: 'x',
        NODE_OPTIONS: `--no-deprecation --import=${moduleOf(`
          import { register } from 'node:module';
          register(${JSON.stringify(moduleOf(HIDING))});`)}`,
      },
    });
    const { code, stderr } = await finished(child);
    expect({ code, stderr }).toEqual({
      code: 2,
      stderr: 'evaq: --to s3:// needs the package aws4fetch: npm install aws4fetch\n',
    });
  });
});

/** Hides a package, as if it were not there. */
const HIDING = `export async function resolve(name, context, next) {
  if (name === 'aws4fetch') throw Object.assign(new Error('hidden'), { code: 'ERR_MODULE_NOT_FOUND' });
  return next(name, context);
}`;

function moduleOf(code: string): string {
  return `data:text/javascript,${encodeURIComponent(code)}`;
}
