/** The programs of docs/forwarding.md, one for each destination, run as their readers run them, against the real servers. */
import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { build } from 'esbuild';
import { expect, onTestFinished, test } from 'vitest';
import { projectRoot } from '../cli/support/bundle.js';
import { because } from './brokers.js';
import { GROUNDS, type Ground, type GroundName, whyNoGround } from './grounds.js';

const run = promisify(execFile);
const FOLDER = join(projectRoot, 'examples/forward');
const NAMES: readonly GroundName[] = ['http', 'kafka', 'mqtt', 'nats', 'postgres', 'rabbitmq', 'redis', 's3'];

/** With the sources in place of an installed package. */
async function built(name: string): Promise<string> {
  const outfile = join(projectRoot, 'node_modules/.cache/evaq-test', `program-${name}-${process.pid}.mjs`);
  onTestFinished(() => rmSync(outfile, { force: true }));
  await build({
    entryPoints: [join(FOLDER, `${name}.mjs`)],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20.19',
    alias: {
      evaq: join(projectRoot, 'src/evaq.ts'),
      'evaq/forward': join(projectRoot, 'src/forward.ts'),
      [`evaq/forward/${name}`]: join(projectRoot, `src/forward/${name}.ts`),
    },
    packages: 'external',
    logLevel: 'error',
  });
  return outfile;
}

/** What the program is called with to find it. */
function argumentsFor(name: GroundName, { url, env }: Ground): string[] {
  const { protocol, host, hostname, port, username, password } = new URL(url);
  const address = hostname === '' ? host : `${hostname}:${port}`;
  switch (name) {
    case 'http':
      return [url];
    case 'kafka':
    case 'nats':
      return [address];
    case 'mqtt':
      return [`mqtt://${address}`, 'open'];
    case 'postgres':
      return [url.slice(0, url.lastIndexOf('/'))];
    case 's3':
      return [`${env?.['AWS_ENDPOINT_URL']}/bucket/orders`];
    default:
      return [`${protocol}//${password === '' ? '' : `${username}:${password}@`}${address}`];
  }
}

test('there is one for each destination, and the page names it', () => {
  expect(readdirSync(FOLDER).sort()).toEqual(NAMES.map((name) => `${name}.mjs`));
  const page = readFileSync(join(projectRoot, 'docs/forwarding.md'), 'utf8');
  for (const name of NAMES) expect(page).toContain(`(../examples/forward/${name}.mjs)`);
});

for (const name of NAMES) {
  const missing = whyNoGround(name);
  test.skipIf(missing !== undefined)(`examples/forward/${name}.mjs${because(missing)}`, async () => {
    const program = await built(name);
    const cwd = mkdtempSync(join(tmpdir(), 'evaq-program-'));
    onTestFinished(() => rmSync(cwd, { recursive: true, force: true }));
    const ground = await GROUNDS[name]({ isEmpty: true });
    onTestFinished(() => ground.end());
    const { stdout, stderr } = await run(process.execPath, [program, ...argumentsFor(name, ground)], {
      cwd,
      env: { ...process.env, ...ground.env },
      timeout: 60_000,
    });
    expect({ stdout, stderr }).toEqual({ stdout: 'arrived: 3, dead letters: 0\n', stderr: '' });
    const arrived = await ground.arrived();
    expect(arrived.map(({ payload }) => payload.toString()).sort()).toEqual([
      '{"customer":"ann"}',
      '{"customer":"ann"}',
      '{"customer":"bob"}',
    ]);
    expect(new Set(arrived.map(({ deliveryId }) => deliveryId)).size).toBe(3);
  });
}
