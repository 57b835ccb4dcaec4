/** The main calls of evaq, the same in every runtime and test runner: throws where one does not do what it says. Waits for no timer of its own. */
'use strict';

function same(found, wanted, what) {
  const [is, should] = [JSON.stringify(found), JSON.stringify(wanted)];
  if (is !== should) throw new Error(`${what}: ${is} where ${should} was expected`);
}

async function codeOf(EvaqError, call) {
  try {
    await call();
  } catch (error) {
    if (!(error instanceof EvaqError)) throw error;
    return error.code;
  }
  return 'no error';
}

const texts = (records) => records.map(({ payload }) => payload.toString());

/** `dir`: a folder that is there and empty. */
async function mainCalls({ Evaq, EvaqError }, dir) {
  const path = `${dir}/store`;
  same(await codeOf(EvaqError, () => Evaq.openReadOnly(path)), 'EVAQ_NOT_A_STORE', 'a reader of nothing');
  const evaq = await Evaq.open(path, { segmentBytes: 65_536, gc: { bytesPerSecond: 4_000_000 } });
  same(await codeOf(EvaqError, () => Evaq.open(path)), 'EVAQ_LOCKED', 'a second writer');
  same(await evaq.wal.push('one', { headers: { a: 'b' } }), 1, 'push');
  same(await evaq.wal.push(new Uint8Array([116, 119, 111])), 2, 'push of bytes');
  same(await evaq.wal.pushMany(['three', Buffer.from('four')]), { firstId: 3, lastId: 4 }, 'pushMany');
  same(evaq.wal.pushSync('five'), 5, 'pushSync');
  same(texts(await evaq.wal.read()), ['one', 'two', 'three', 'four', 'five'], 'read');
  same((await evaq.wal.get(1)).headers, { a: 'b' }, 'get');
  same((await evaq.wal.pop(1)).payload.toString(), 'one', 'pop');
  same(await codeOf(EvaqError, () => evaq.wal.pop(1)), 'EVAQ_RECORD_NOT_FOUND', 'pop again');
  same([await evaq.wal.remove(2), await evaq.wal.remove(2)], [true, false], 'remove');
  const letter = await evaq.deadLetter(3, { reason: 'r', error: Object.assign(new Error('no'), { code: 'E' }) });
  same((await evaq.deadLetters.get(letter)).error, { message: 'no', name: 'Error', code: 'E' }, 'deadLetter');
  same(await evaq.redrive(async () => true), [6], 'redrive');
  const seen = [];
  for await (const { id } of evaq.wal.records()) seen.push(id);
  same(seen, [4, 5, 6], 'records');
  const tail = evaq.wal.tail({ from: 7 });
  const next = tail.next();
  const room = Array.from({ length: 200 }, () => Buffer.alloc(1000));
  await evaq.wal.pushMany(room);
  same((await next).value.id, 7, 'tail');
  await tail.return();
  const reader = await Evaq.openReadOnly(path);
  same(texts(await reader.wal.read({ maxRecords: 2 })), ['four', 'five'], 'openReadOnly');
  const followed = reader.wal.tail({ from: 207, pollMs: 1 }).next();
  same(await evaq.wal.push('last'), 207, 'push after pushMany');
  same((await followed).value.payload.toString(), 'last', 'tail of a reader');
  await reader.close();
  await evaq.wal.removeMany(Array.from({ length: 200 }, (_, i) => 7 + i).filter((id) => id % 3 > 0));
  await evaq.wal.flush();
  await evaq.wal.compact();
  const jobs = await evaq.queue('jobs', { durability: { intervalMs: 2 ** 32 } });
  await jobs.push('x');
  await evaq.close();
  same(await codeOf(EvaqError, () => evaq.wal.push('x')), 'EVAQ_CLOSED', 'push after close');
  const again = await Evaq.open(path);
  same(
    [again.recovery.clean, texts(await again.wal.read({ maxRecords: 3 }))],
    [true, ['four', 'five', 'three']],
    'reopen',
  );
  await again.close();
}

module.exports = { mainCalls };
