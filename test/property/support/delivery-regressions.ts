/** Scripts of a delivery that once found something, or that chance finds seldom. */
import type { Deed, DeliveryScript, DeliveryStep } from './delivery-script.js';

const CALM: Omit<DeliveryScript, 'steps'> = {
  seed: 2,
  timing: 'steady',
  durability: 'sync',
  order: 'none',
  shape: 'single',
  concurrency: 4,
  maxAttempts: 4,
  maxCrashes: 3,
  breaker: false,
  rate: false,
};

const push = (count: number, deeds: readonly Deed[], delayMs: number = 0): DeliveryStep => ({
  op: 'push',
  count,
  keys: 1,
  delayMs,
  deeds,
});
const wait = (ms: number): DeliveryStep => ({ op: 'wait', ms });
/** How long a handler takes goes by the number of its record: the fifth is the first of the slow ones. */
const FOUR_QUICK: readonly DeliveryStep[] = [push(4, []), wait(150)];

export const DELIVERY_REGRESSIONS: readonly { readonly title: string; readonly scripts: readonly DeliveryScript[] }[] =
  [
    {
      title: 'the last of several suspects is at work, and others wait',
      scripts: [{ ...CALM, steps: [push(1, ['kill']), push(11, []), wait(150)] }],
    },
    {
      title: 'the breaker opens while one of those whose failures opened it is in a handler',
      scripts: [14, 16, 18, 20, 22, 24, 26, 28, 30].map((delayMs) => ({
        ...CALM,
        concurrency: 16,
        breaker: 3,
        steps: [...FOUR_QUICK, push(1, ['fail', 'hang']), push(2, ['fail'], delayMs), wait(150)],
      })),
    },
    {
      title: 'a record is removed that is in the second half of a batch',
      scripts: [1, 5, 6, 7, 10, 11].map((ms) => ({
        ...CALM,
        shape: 'whole',
        concurrency: 1,
        steps: [
          ...FOUR_QUICK,
          push(6, ['fail']),
          wait(5),
          ...Array.from({ length: ms }, () => wait(1)),
          { op: 'remove', nth: 4 },
          wait(150),
        ],
      })),
    },
    {
      title: 'a failure that opens the breaker is its own, and says that the destination is down',
      scripts: [
        {
          ...CALM,
          breaker: 3,
          steps: [push(1, ['fail', 'unavailable', 'ok']), push(1, ['unavailable'], 15), wait(800)],
        },
      ],
    },
    {
      title: 'an ordered line whose head is in a handler of a delivery that has stopped',
      scripts: (['fifo', 'key'] as const).map((order) => ({
        ...CALM,
        order,
        steps: [push(5, ['hangLong']), wait(5), { op: 'stop', graceMs: 0 }, wait(30)],
      })),
    },
    {
      title: 'one that failed before, in a batch of an ordered queue',
      scripts: [{ ...CALM, order: 'fifo', shape: 'named', steps: [push(1, ['fail']), push(6, []), wait(150)] }],
    },
    {
      title: 'one that failed before comes due behind others, while nothing is handed out',
      scripts: [
        {
          ...CALM,
          shape: 'named',
          steps: [
            push(1, ['fail', 'fail']),
            wait(5),
            { op: 'pause' },
            push(3, []),
            wait(150),
            { op: 'resume' },
            wait(150),
          ],
        },
      ],
    },
    {
      title: 'a batch in order that fails in part, when its delivery has stopped',
      scripts: [1, 3].map((seed) => ({
        ...CALM,
        seed,
        order: 'fifo',
        shape: 'named',
        steps: [push(1, ['hangLong']), push(4, []), wait(30), { op: 'stop', graceMs: 0 }, wait(800)],
      })),
    },
    {
      title: 'one that was put off, over a restart',
      scripts: [{ ...CALM, order: 'key', steps: [push(4, ['later']), wait(5), { op: 'reopen' }, wait(150)] }],
    },
    {
      title: 'a log that cannot be written when its delivery ends',
      scripts: ([{ op: 'reopen' }, { op: 'stop', graceMs: 5000 }] as const).flatMap((end) =>
        [1, 2, 3, 4].map((times) => ({
          ...CALM,
          maxAttempts: 1,
          maxCrashes: 1,
          steps: [
            push(4, ['later', 'later']),
            wait(1),
            { op: 'fault', on: 'write', at: 'log', times } as const,
            end,
            push(1, []),
            wait(150),
          ],
        })),
      ),
    },
    {
      title: 'suspects are removed before they have their turn',
      scripts: [
        {
          ...CALM,
          seed: 169_305,
          concurrency: 16,
          maxAttempts: 1,
          maxCrashes: 2,
          breaker: 5,
          steps: [
            push(12, ['hangOk', 'ok', 'fail', 'ok', 'hang']),
            wait(5),
            { op: 'powerCut', draw: 697_603 },
            { op: 'push', count: 5, keys: 2, delayMs: 40, deeds: ['dead'] },
            wait(30),
            { op: 'removeThrough', nth: 8 },
          ],
        },
      ],
    },
    {
      title: 'one of several suspects kills again',
      scripts: [true, false].map((isKilled) => ({
        ...CALM,
        concurrency: 16,
        steps: [
          push(6, ['hang', 'kill']),
          wait(5),
          { op: 'kill' } as const,
          wait(isKilled ? 800 : 5),
          { op: 'reopen' } as const,
          wait(800),
        ],
      })),
    },
  ];
