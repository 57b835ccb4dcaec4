/**
 * evaq/forward/mqtt: a sink that publishes records to an MQTT broker. This is a public entry: named re-exports, nothing else.
 */
export type { MqttClientLike, MqttPublishOptions } from './mqtt/mqtt-client.js';
export { type MqttSinkOptions, mqttSink } from './mqtt/mqtt-sink.js';
