/** STORE made anew: by the UUID that most files name, the time of the oldest of them, and the queues that are there. */
import { describe, expect, it } from 'vitest';
import { encodeFileHeader, type FileHeader } from '../../../src/frame/file-header.js';
import { readStore } from '../../../src/layout/store-file.js';
import { findStoreUuid, remakeStoreFile } from '../../../src/raw/repair-store-file.js';
import { SimDisk } from '../../../src/sim/sim-disk.js';

const STORE = '/store';
const OWN = Buffer.alloc(16, 1);
const FOREIGN = Buffer.alloc(16, 2);
const SEGMENT = '00000000000000000001-0000000000000001.seg';
const LOG = '0000000000000002.tomb';

function header(kind: FileHeader['kind'], storeUuid: Buffer, createdMs: number): Buffer {
  return encodeFileHeader({ kind, flags: 0, storeUuid, fileId: 1, baseId: 1, idHighWater: 0, createdMs, salt: 3 });
}

function newDisk(): SimDisk {
  return new SimDisk({ seed: 1, timing: 'steady', fill: 'zeros' });
}

/** A queue with a segment and a log of removals. */
function placeQueue(disk: SimDisk, name: string, uuid: Buffer, createdMs: number): void {
  disk.place(`${STORE}/queues/${name}/${SEGMENT}`, header('segment', uuid, createdMs));
  disk.place(`${STORE}/queues/${name}/${LOG}`, header('tombstones', uuid, createdMs + 5));
}

describe('P15: STORE that is gone', () => {
  it('has the UUID that most files name, whichever comes first', async () => {
    for (const [first, second] of [
      [OWN, FOREIGN],
      [FOREIGN, OWN],
    ] as const) {
      const disk = newDisk();
      disk.place(`${STORE}/queues/a/${SEGMENT}`, header('segment', first, 10));
      disk.place(`${STORE}/queues/b/${SEGMENT}`, header('segment', second, 10));
      for (const name of ['c', 'd']) placeQueue(disk, name, OWN, 10);
      expect(await findStoreUuid(disk.vfs, STORE)).toEqual(OWN);
    }
  });

  it('has none where no file names one: other files do not count, nor do folders, nor headers that are bad', async () => {
    const disk = newDisk();
    expect(await findStoreUuid(disk.vfs, STORE)).toBeUndefined();
    const queue = `${STORE}/queues/wal`;
    disk.place(`${queue}/notes.txt`, header('segment', OWN, 10));
    disk.place(`${queue}/${SEGMENT}.tmp`, header('segment', OWN, 10));
    disk.place(`${queue}/${LOG}.tmp`, header('tombstones', OWN, 10));
    // Of another kind than its name says.
    disk.place(`${queue}/${LOG}`, header('segment', OWN, 10));
    disk.place(`${queue}/${SEGMENT}/any`, Buffer.alloc(1));
    disk.place(`${queue}/00000000000000000001-0000000000000002.seg`, Buffer.alloc(500));
    expect(await findStoreUuid(disk.vfs, STORE)).toBeUndefined();
    disk.place(`${queue}/0000000000000003.tomb`, header('tombstones', OWN, 10));
    expect(await findStoreUuid(disk.vfs, STORE)).toEqual(OWN);
  });

  it('was made when the oldest file of its own was, and has the queues that are whole', async () => {
    const disk = newDisk();
    placeQueue(disk, 'wal', OWN, 2000);
    placeQueue(disk, 'other', OWN, 1000);
    placeQueue(disk, 'strange', FOREIGN, 10);
    disk.place(`${STORE}/queues/bare/${SEGMENT}`, header('segment', OWN, 3000));
    disk.place(`${STORE}/queues/dead/${LOG}`, header('tombstones', OWN, 3000));
    // A folder in the place of a segment: the queue cannot be listed.
    disk.place(`${STORE}/queues/odd/${SEGMENT}/any`, Buffer.alloc(1));
    disk.place(`${STORE}/STORE`, await remakeStoreFile(disk.vfs, STORE, OWN));
    const made = await readStore(disk.vfs, STORE);
    expect(made).toMatchObject({ uuid: OWN, createdMs: 1000, damaged: false });
    expect([...(made?.register.names ?? [])].sort()).toEqual(['other', 'strange', 'wal']);
  });

  it('was made at no time that is known where no file is its own', async () => {
    const disk = newDisk();
    placeQueue(disk, 'wal', FOREIGN, 2000);
    disk.place(`${STORE}/STORE`, await remakeStoreFile(disk.vfs, STORE, OWN));
    expect(await readStore(disk.vfs, STORE)).toMatchObject({ uuid: OWN, createdMs: 0 });
  });
});
