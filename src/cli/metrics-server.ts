/**
 * Metrics of a store over HTTP, for Prometheus. On the loopback alone: whoever wants them elsewhere has a proxy.
 */
import { InvalidArgumentError } from 'commander';
import { codeOf, messageOf } from '../errors.js';
import type { Evaq } from '../evaq.js';
import { UsageError } from './exit-code.js';

/** `:PORT`, of the loopback. */
export function parsePort(text: string): number {
  const port = Number(/^(?:localhost|127\.0\.0\.1)?:(\d{1,5})$/.exec(text)?.[1]);
  if (!(port <= 65_535)) throw new InvalidArgumentError('It is :PORT; the metrics are served on 127.0.0.1.');
  return port;
}

/** Resolves when they can be asked for; with a function that ends that. */
export async function serveMetrics(evaq: Evaq, port: number): Promise<() => Promise<void>> {
  const client = await promClient();
  const { createServer } = await import('node:http');
  const { registerMetrics } = await import('../prometheus.js');
  const registry = new client.Registry();
  const leave = registerMetrics(evaq, { client, registry });
  const server = createServer((request, response) => {
    if (request.url !== '/metrics') {
      response.writeHead(404).end();
      return;
    }
    registry.metrics().then(
      (text) => response.writeHead(200, { 'content-type': registry.contentType }).end(text),
      (error: unknown) => response.writeHead(500).end(messageOf(error)),
    );
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(new UsageError(`--metrics :${port}: ${error.message}`)));
    server.listen(port, '127.0.0.1', resolve);
  });
  return async () => {
    leave();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
}

async function promClient(): Promise<typeof import('prom-client')> {
  try {
    return (await import('prom-client')).default;
  } catch (error) {
    if (codeOf(error) !== 'ERR_MODULE_NOT_FOUND') throw error;
    throw new UsageError('--metrics needs the package prom-client: npm install prom-client');
  }
}
