/** Contenders by name. */
import type { OpenContender } from './contender.js';
import { openDevice } from './device-contender.js';
import { openEvaq, openEvaqBlocking, openEvaqRecycled } from './evaq-contender.js';
import { openLeveldb } from './leveldb-contender.js';
import { openLmdb } from './lmdb-contender.js';
import { openSqlite } from './sqlite-contender.js';

const CONTENDERS: Readonly<Record<string, OpenContender>> = {
  evaq: openEvaq,
  'evaq recycled': openEvaqRecycled,
  'evaq pushSync': openEvaqBlocking,
  device: openDevice,
  lmdb: openLmdb,
  leveldb: openLeveldb,
  sqlite: openSqlite,
};

export function contenderNamed(name: string): OpenContender {
  const contender = CONTENDERS[name];
  if (contender === undefined) throw new RangeError(`no contender is called '${name}'`);
  return contender;
}
