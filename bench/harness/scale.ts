/**
 * How much is done: one place for all counts and times.
 */
export type ScaleName = 'smoke' | 'quick' | 'full';

export interface Scale {
  readonly name: ScaleName;
  /** Each contender in a process of its own; without, only what has to be killed. */
  readonly ownProcesses: boolean;
  readonly rounds: number;
  /** Rounds of rows that are slow. */
  readonly slowRounds: number;
  /** Rounds in front that are not counted. */
  readonly warmups: number;
  /** How long a round of a time-boxed row takes. */
  readonly roundMs: number;
  /** A time-boxed round ends early when it has written so much, so that disk and page cache are not what is measured. */
  readonly roundBytesMax: number;
  /** Payload sizes of the rows that have several. */
  readonly sizes: readonly number[];
  /** Records of rows that need many of them, ascending; the last is what the goals speak of at full size. */
  readonly populations: readonly number[];
  /** Records of the rows about removals. */
  readonly removals: number;
  /** Payload bytes of the rows that read everything or leave something behind. */
  readonly dataBytes: number;
  /** Segments of the rows in which segments have to come and go. */
  readonly segmentBytes: number;
  /** How long space may take to come back before a row gives up waiting. */
  readonly patienceMs: number;
  /** Backlogs of the row about push latency. */
  readonly backlogs: readonly number[];
}

const KIB = 1024;
const MIB = 1024 * KIB;

export const SCALES: Readonly<Record<ScaleName, Scale>> = {
  smoke: {
    name: 'smoke',
    ownProcesses: false,
    rounds: 1,
    slowRounds: 1,
    warmups: 0,
    roundMs: 10,
    roundBytesMax: 4 * MIB,
    sizes: [100],
    populations: [5_000],
    removals: 5_000,
    dataBytes: 2 * MIB,
    segmentBytes: 256 * KIB,
    patienceMs: 200,
    backlogs: [1_000, 5_000],
  },
  quick: {
    name: 'quick',
    ownProcesses: true,
    rounds: 5,
    slowRounds: 2,
    warmups: 1,
    roundMs: 50,
    roundBytesMax: 64 * MIB,
    sizes: [100, KIB, 16 * KIB],
    populations: [1_000_000],
    removals: 50_000,
    dataBytes: 16 * MIB,
    segmentBytes: 2 * MIB,
    patienceMs: 3_500,
    backlogs: [1_000, 10_000, 100_000, 1_000_000],
  },
  full: {
    name: 'full',
    ownProcesses: true,
    rounds: 5,
    slowRounds: 5,
    warmups: 1,
    roundMs: 1_000,
    roundBytesMax: 512 * MIB,
    sizes: [100, KIB, 16 * KIB],
    populations: [1_000_000, 10_000_000],
    removals: 1_000_000,
    dataBytes: 512 * MIB,
    segmentBytes: 64 * MIB,
    patienceMs: 15_000,
    backlogs: [1_000, 10_000, 100_000, 1_000_000, 10_000_000],
  },
};
