import { describe, expect, it } from 'vitest';
import { useFewDescriptors } from './support/few-descriptors.js';

describe('P17: with more queues than descriptors', () => {
  it.each(['sync', 'os'] as const)(
    '%s: what was acknowledged survives, and the bound is kept, at recovery too',
    async (mode) => {
      for (let seed = 1; seed <= 6; seed++) await useFewDescriptors(seed, mode);
      expect.assertions(0);
    },
  );
});
