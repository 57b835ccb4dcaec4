/** mqtt://HOST:PORT/TOPIC?qos=2, mqtts://: by `mqtt`, with MQTT 5 unless the URL says otherwise. */
import { randomUUID } from 'node:crypto';
import type { MqttClient } from 'mqtt';
import type { MqttClientLike, MqttSinkOptions } from '../../forward/mqtt.js';
import { UsageError } from '../exit-code.js';
import { requiredPackage } from './client-package.js';
import type { Destination } from './destination.js';
import { credentialsOf, decoded, placeOf, serverOf } from './url-parts.js';

const CONNECT_MS = 5000;
/** Of a session that keeps QoS 2 what it is while a connection is away. */
const SESSION_S = 3600;
/** Answers of a broker that lets nobody in: of MQTT 3.1.1, and of MQTT 5. */
const REFUSALS: ReadonlySet<unknown> = new Set([4, 5, 134, 135, 138, 140]);
/** What the sink takes for "nobody is let in". */
const NOT_AUTHORIZED = 135;

type Client = typeof import('mqtt');

export const MQTT: Destination = {
  schemes: ['mqtt:', 'mqtts:'],
  form: 'mqtt://HOST:PORT/TOPIC',
  options: ['qos', 'retain', 'protocolVersion', 'clientId', 'recordBytesMax'],
  async open(url, options) {
    const topic = placeOf(url, 'topic');
    if (/[+#\0]/.test(decoded(url.pathname))) throw new UsageError('--to: a topic to publish to holds no + and no #');
    const qos = options.choice('qos', ['1', '2']) === '2' ? 2 : 1;
    const retain = options.flag('retain');
    const protocolVersion = options.choice('protocolVersion', ['5', '4']) === '4' ? 4 : 5;
    const givenId = options.text('clientId');
    const recordBytesMax = options.count('recordBytesMax');
    if (qos === 2 && givenId !== undefined) {
      throw new UsageError('--to: qos=2 has a session for each run, so a clientId cannot be given');
    }
    const clientId = givenId ?? `evaq-${randomUUID().slice(0, 18)}`;
    const own = credentialsOf(url);
    const mqtt = await requiredPackage<Client | { default: Client }>('mqtt', `--to ${url.protocol}//`);
    const { connect } = 'default' in mqtt ? mqtt.default : mqtt;
    const server = serverOf(url);
    server.username = '';
    server.password = '';
    const session =
      qos === 1
        ? {}
        : { clean: false, ...(protocolVersion === 5 ? { properties: { sessionExpiryInterval: SESSION_S } } : {}) };
    const client = connect(server.href, {
      manualConnect: true,
      protocolVersion,
      connectTimeout: CONNECT_MS,
      ...session,
      ...(own === undefined ? {} : { username: own.user, password: own.password }),
      clientId,
    });
    const settings: Omit<MqttSinkOptions, 'client'> = { topic, qos, retain };
    const late = new LateClient(client);
    const { mqttSink } = await import('../../forward/mqtt.js');
    const sink = mqttSink({
      client: late,
      ...settings,
      ...(recordBytesMax === undefined ? {} : { recordBytesMax }),
    });
    return { sink, close: () => late.end() };
  },
};

/** Connects at the first message; after that the client does so by itself, and says whether it is connected. */
class LateClient implements MqttClientLike {
  readonly #client: MqttClient;
  #first: Promise<void> | undefined;
  #isTried = false;
  #refusal: Error | undefined;

  constructor(client: MqttClient) {
    this.#client = client;
    client.on('error', (error) => {
      if ('code' in error && REFUSALS.has(error.code)) this.#refusal = error;
    });
    client.on('connect', () => {
      this.#refusal = undefined;
    });
  }

  /** Before it has been tried nobody knows; a refusal is to be told. */
  get connected(): boolean {
    return this.#client.connected || !this.#isTried || this.#refusal !== undefined;
  }

  get options(): MqttClientLike['options'] {
    return this.#client.options;
  }

  publish(...args: Parameters<MqttClientLike['publish']>): void {
    const [topic, payload, options, done] = args;
    this.#first ??= this.#tryFirst();
    void this.#first.then(() => {
      const refusal = this.#refusal;
      if (refusal !== undefined) done(Object.assign(new Error(refusal.message), { code: NOT_AUTHORIZED }));
      else if (!this.#client.connected) done(new Error('the client has no connection'));
      else this.#client.publish(topic, payload, options, done);
    });
  }

  async end(): Promise<void> {
    await this.#client.endAsync(true);
  }

  /** Resolves however it ends. */
  async #tryFirst(): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, CONNECT_MS);
      const over = (): void => {
        clearTimeout(timer);
        resolve();
      };
      this.#client.once('connect', over);
      this.#client.once('close', over);
      this.#client.connect();
    });
    this.#isTried = true;
  }
}
