// What a destination refuses goes to the dead letter queue, with the reason and the time of the next attempt; the rest is not held up.
// Run it with: node examples/dead-letter-retry.mjs
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Evaq } from 'evaq';

/** Stands for a destination that does not know customer 3 yet, for three calls. */
let refusals = 0;
async function send({ customer }) {
  if (customer === 3 && refusals < 3) {
    refusals++;
    throw Object.assign(new Error('customer 3 is not known'), { code: 'UNKNOWN_CUSTOMER' });
  }
}

/** 20 ms, 40 ms, 80 ms and so on, times chance: those that failed together do not come back together. */
const backoffMs = (attempts) => Math.round(10 * 2 ** attempts * (0.5 + Math.random() / 2));

const folder = await mkdtemp(join(tmpdir(), 'evaq-example-'));
const evaq = await Evaq.open(join(folder, 'store'));
try {
  for (const customer of [1, 2, 3, 4]) await evaq.pushWal(JSON.stringify({ customer }));

  for await (const record of evaq.wal.records()) {
    const message = JSON.parse(record.payload.toString());
    try {
      await send(message);
      await evaq.removeWal(record.id);
      console.log(`customer ${message.customer}: delivered`);
    } catch (error) {
      // One atomic move: after a crash the record is in one of the two queues, never in both or in none.
      const id = await evaq.deadLetter(record.id, { reason: 'refused', error, delayMs: backoffMs(1) });
      console.log(`customer ${message.customer}: refused (${error.code}), now dead letter ${id}`);
    }
  }

  // When which dead letter is next. The first time is on disk with the record; later ones live in memory here, so that after a restart
  // everything that is due is simply tried.
  const attemptsOf = new Map();
  const dueMsOf = new Map();
  while (evaq.deadLetters.size > 0) {
    const letters = await evaq.firstNBytesFromDeadLetterQueue(0, 64 * 1024);
    const done = [];
    for (const letter of letters) {
      if (Date.now() < (dueMsOf.get(letter.id) ?? letter.dueMs ?? 0)) continue;
      const attempts = (attemptsOf.get(letter.id) ?? letter.attempts ?? 1) + 1;
      try {
        await send(JSON.parse(letter.payload.toString()));
        done.push(letter.id);
        console.log(
          `dead letter ${letter.id} (${letter.reason}: ${letter.error?.code}): delivered at attempt ${attempts}`,
        );
      } catch {
        attemptsOf.set(letter.id, attempts);
        dueMsOf.set(letter.id, Date.now() + backoffMs(attempts));
        console.log(`dead letter ${letter.id}: refused at attempt ${attempts}`);
      }
    }
    await evaq.doneRetryItems(done);
    if (done.length === 0) await sleep(5);
  }
  console.log(`left: ${evaq.wal.size} records, ${evaq.deadLetters.size} dead letters`);
} finally {
  await evaq.close();
  await rm(folder, { recursive: true });
}
