/**
 * Figures of other software that were measured elsewhere, for orientation only: another machine, another disk. Nothing here is compared with
 * by a goal.
 */
export interface ReferenceFigure {
  readonly what: string;
  readonly figure: string;
}

export interface Reference {
  readonly name: string;
  readonly figures: readonly ReferenceFigure[];
}

export const REFERENCE_NOTE: string =
  'measured elsewhere, on a machine of that kind; not part of this run, and no goal speaks of them';

export const REFERENCES: readonly Reference[] = [
  {
    name: 'the Rust library of the same name (fjall)',
    figures: [
      { what: 'push, unsynced, 100 B', figure: '420 K/s' },
      { what: 'push, unsynced, 1 KiB', figure: '206 K/s' },
      { what: 'durable push, one at a time', figure: '4.8 K/s' },
      { what: 'durable push, 64 threads', figure: '5.0 K/s' },
      { what: 'push + remove', figure: '177 K pairs/s' },
      { what: 'open with 1 M records', figure: '0.74 s' },
      { what: 'left on disk after 512 MB were removed', figure: '566 MB' },
    ],
  },
  {
    name: 'RocksDB',
    figures: [
      { what: 'push, unsynced, 100 B', figure: '256 K/s' },
      { what: 'push, unsynced, 1 KiB', figure: '155 K/s' },
      { what: 'durable push, one at a time', figure: '4.5 K/s' },
      { what: 'durable push, 64 threads', figure: '33.5 K/s' },
      { what: 'durable push in batches of 100', figure: '276 K/s' },
    ],
  },
];
