/** Claims, leases and barriers by themselves, on records of a pipeline. */
import { describe, expect, it } from 'vitest';
import { Claim, Claims } from '../../../src/queue/claims.js';
import { SimDisk } from '../../../src/sim/sim-disk.js';
import { newPipeline, thrownBy } from './pipeline-fixture.js';

const RECORDS = 6;

interface Setting {
  readonly claims: Claims;
  readonly owned: Set<number>;
  readonly isLive: (id: number) => boolean;
}

async function newClaims(): Promise<Setting> {
  const { pipeline, log } = await newPipeline(new SimDisk({ seed: 1, timing: 'steady', fill: 'zeros' }));
  await pipeline.pushMany(Array.from({ length: RECORDS }, (_, i) => Buffer.from(`${i}`)));
  const owned = new Set<number>();
  const claims = new Claims({
    log,
    onEnded: () => undefined,
    onFreed: () => undefined,
    ownsLease: (id) => owned.has(id),
  });
  return { claims, owned, isLive: (id) => log.find(id) !== undefined && log.isLive(id) };
}

/** Resolves when whoever can go on has gone on. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** What a promise came to by now. */
async function stateOf(promise: Promise<unknown>): Promise<unknown> {
  let state: unknown = 'pending';
  promise.then(
    (value) => {
      state = value;
    },
    (reason: unknown) => {
      state = reason;
    },
  );
  await turn();
  return state;
}

function requireClaim(claim: Claim | 'gone' | 'busy' | undefined): Claim {
  if (!(claim instanceof Claim)) throw new Error(`it was not claimed: ${claim}`);
  return claim;
}

describe('a claimed record', () => {
  it('is taken by the next who waits, if it is given back', async () => {
    const { claims, isLive } = await newClaims();
    const first = requireClaim(await claims.take(2));
    expect(isLive(2)).toBe(false);
    const second = claims.take(2);
    expect(await stateOf(second)).toBe('pending');
    first.end('given back');
    const taken = requireClaim(await second);
    expect(taken.id).toBe(2);
    taken.end('removed');
    expect(await claims.take(2)).toBeUndefined();
    expect(claims.size).toBe(0);
    expect(claims.takeIfFree(2)).toBe('gone');
  });

  it('tells its outcome to those who ask behind its end, and ends once', async () => {
    const { claims } = await newClaims();
    const claim = requireClaim(claims.takeIfFree(1));
    claim.end('removed');
    expect(await claim.outcome).toBe('removed');
    expect(thrownBy(() => claim.end('given back'))).toMatchObject({ message: expect.stringContaining('ends once') });
  });

  it('is found among the others, by its ID and from any place', async () => {
    const { claims } = await newClaims();
    expect(claims.nextClaimed(1)).toBeUndefined();
    expect(claims.touches(1, RECORDS)).toBe(false);
    requireClaim(claims.takeIfFree(2));
    requireClaim(claims.takeIfFree(4));
    expect([1, 2, 3, 4, 5].map((from) => claims.nextClaimed(from))).toEqual([2, 2, 4, 4, undefined]);
    expect([claims.touches(1, 1), claims.touches(1, 2), claims.touches(3, 3), claims.touches(5, 9)]).toEqual([
      false,
      true,
      false,
      false,
    ]);
    expect(claims.within(2, 4).map(({ id }) => id)).toEqual([2, 4]);
    expect(claims.within(3, 3)).toEqual([]);
    expect(claims.all().map(({ id }) => id)).toEqual([2, 4]);
    expect(claims.at(3)).toBeUndefined();
  });
});

describe('P2: whoever removes a range', () => {
  it('waits for the claims in it that concern it, and for no other', async () => {
    const { claims } = await newClaims();
    const [one, three, five] = [1, 3, 5].map((id) => requireClaim(claims.takeIfFree(id)));
    const done = claims.whenFree(
      2,
      4,
      () => true,
      () => 'removed',
    );
    expect(await stateOf(done)).toBe('pending');
    three?.end('given back');
    expect(await stateOf(done)).toBe('removed');
    const unconcerned = claims.whenFree(
      1,
      5,
      (id) => id === 2,
      () => 'removed',
    );
    expect(await stateOf(unconcerned)).toBe('removed');
    one?.end('given back');
    five?.end('given back');
  });

  it('keeps new claims out of it until it has, and only out of it', async () => {
    const { claims } = await newClaims();
    const held = requireClaim(claims.takeIfFree(3));
    const step: string[] = [];
    const done = claims.whenFree(
      2,
      4,
      (id) => id !== 4,
      () => step.push('removed'),
    );
    expect(claims.takeIfFree(2)).toBe('busy');
    for (const free of [1, 4, 5]) requireClaim(claims.takeIfFree(free)).end('given back');
    claims.lease(2);
    expect(claims.takeLeased(2)).toBeUndefined();
    claims.endLease(2);
    const late = claims.take(2).then((claim) => step.push(claim === undefined ? 'gone' : 'claimed'));
    expect(await stateOf(late)).toBe('pending');
    held.end('given back');
    await done;
    await late;
    expect(step).toEqual(['removed', 'claimed']);
  });

  it('lets claims in again where its step throws', async () => {
    const { claims } = await newClaims();
    const failing = claims.whenFree(
      1,
      9,
      () => true,
      () => {
        throw new Error('no');
      },
    );
    expect(await stateOf(failing)).toMatchObject({ message: 'no' });
    requireClaim(claims.takeIfFree(1));
  });
});

describe('P16: a leased record', () => {
  it('is claimed by whoever has the lease alone, and by others when that is over', async () => {
    const { claims, owned } = await newClaims();
    claims.lease(1);
    expect([claims.isLeased(1), claims.isLeased(2)]).toEqual([true, false]);
    expect(claims.takeIfFree(1)).toBe('busy');
    const other = claims.take(1);
    expect(await stateOf(other)).toBe('pending');
    const own = requireClaim(claims.takeLeased(1));
    expect(claims.takeLeased(1)).toBeUndefined();
    own.end('given back');
    owned.add(1);
    requireClaim(claims.takeIfFree(1)).end('given back');
    owned.clear();
    expect(await stateOf(other)).toBe('pending');
    claims.endLease(1);
    expect(requireClaim(await other).id).toBe(1);
    expect(thrownBy(() => claims.endLease(1))).toMatchObject({ message: expect.stringContaining('a lease ends once') });
  });

  it('is leased once at a time, and claimed through a lease only where there is one', async () => {
    const { claims } = await newClaims();
    claims.lease(1);
    expect(thrownBy(() => claims.lease(1))).toMatchObject({ message: expect.stringContaining('leased once') });
    expect(thrownBy(() => claims.takeLeased(2))).toMatchObject({ message: expect.stringContaining('has its lease') });
  });

  it('tells all who wait of its end', async () => {
    const { claims } = await newClaims();
    claims.lease(1);
    claims.lease(2);
    const ends = claims.leases();
    expect([...ends.keys()]).toEqual([1, 2]);
    claims.endLease(1);
    expect(await stateOf(ends.get(1)?.then(() => 'over') ?? Promise.resolve())).toBe('over');
    expect(await stateOf(ends.get(2) ?? Promise.resolve())).toBe('pending');
  });

  it('is waited for by nobody any more once waits are refused', async () => {
    const { claims } = await newClaims();
    claims.lease(1);
    const before = claims.take(1);
    expect(await stateOf(before)).toBe('pending');
    let reasons = 0;
    claims.refuseWaits(() => new Error(`closed ${++reasons}`));
    claims.refuseWaits(() => new Error('a second reason'));
    expect(await stateOf(before)).toMatchObject({ message: 'closed 1' });
    expect(await stateOf(claims.take(1))).toMatchObject({ message: expect.stringContaining('closed') });
    requireClaim(await claims.take(2));
  });
});
