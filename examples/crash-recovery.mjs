// A process is killed in the middle of its work (SIGKILL, nothing can be tidied up). The next one opens the store, and everything that was
// acknowledged is there.
// Run it with: node examples/crash-recovery.mjs
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Evaq } from 'evaq';

/** The process that dies: it pushes without end, and says which pushes were acknowledged. */
async function victim(path) {
  const evaq = await Evaq.open(path);
  for (let n = 1; ; n++) {
    const id = await evaq.pushWal(`payment ${n}`);
    writeSync(1, `${id}\n`);
    if (n % 10 === 0) await evaq.removeWal(id);
  }
}

async function main() {
  const folder = await mkdtemp(join(tmpdir(), 'evaq-example-'));
  try {
    const path = join(folder, 'store');
    const child = spawn(process.execPath, [fileURLToPath(import.meta.url), path], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let said = '';
    child.stdout.on('data', (chunk) => {
      said += chunk;
      if (said.length > 1_000) child.kill('SIGKILL');
    });
    await once(child, 'close');
    // The last line may be cut by the kill: then that acknowledgement was never heard.
    const acknowledged = said.slice(0, said.lastIndexOf('\n')).split('\n').map(Number);
    console.log(`killed with ${child.signalCode} after it had acknowledged payments`);

    const evaq = await Evaq.open(path);
    const { clean, durationMs, torn } = evaq.recovery;
    console.log(`opened again in ${Math.round(durationMs)} ms: clean ${clean}, ${torn.length} torn tails cut off`);
    const found = new Map();
    for await (const { id, payload } of evaq.wal.records()) found.set(id, payload.toString());
    // Every tenth was removed, or was about to be.
    const lost = acknowledged.filter((id) => id % 10 !== 0 && found.get(id) !== `payment ${id}`);
    console.log(`acknowledged and lost: ${lost.length}`);
    const next = await evaq.pushWal('the first payment of the new process');
    console.log(`IDs go on: ${next > Math.max(...acknowledged)}`);
    await evaq.close();
  } finally {
    await rm(folder, { recursive: true });
  }
}

const [path] = process.argv.slice(2);
await (path === undefined ? main() : victim(path));
