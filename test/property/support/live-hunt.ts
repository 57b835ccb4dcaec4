/** The liveness checks as one hunt: what the tests of it look at, one after the other, until something is found. */
import { leaveWaitingTail, leftInAnyMode } from './live-ends.js';
import { askBeside, LOADS, PROBES, rewrittenBesideRemovers, SPARSE_SEGMENTS } from './liveness.js';
import { describeFault, everyFault, leftOver, runWith } from './passing-faults.js';

/** The first line of what was found. `seed` also says which of the faults are tried. */
export async function huntLive(seed: number, tried: () => void): Promise<string | undefined> {
  for (const look of [leaveWaitingTail, leftInAnyMode]) {
    tried();
    const left = await look();
    if (left !== undefined) return left;
  }
  for (const [load, callers] of Object.entries(LOADS)) {
    for (const [name, probe] of Object.entries(PROBES)) {
      tried();
      const steps = await askBeside(callers, probe, { seed, timing: seed % 2 === 0 ? 'steady' : 'wild' });
      if (typeof steps === 'string') return `${name}, ${load}: ${steps}`;
    }
  }
  tried();
  const rewritten = await rewrittenBesideRemovers();
  if (rewritten < SPARSE_SEGMENTS / 2) return `GC has rewritten ${rewritten} of ${SPARSE_SEGMENTS} sparse segments`;
  const usual = (await runWith(undefined)).files;
  const faults = await everyFault();
  for (const [i, fault] of faults.entries()) {
    if (i % 5 !== seed % 5) continue;
    tried();
    const { wrong, files } = await runWith(fault);
    const [first] = [...wrong, ...leftOver(files, usual)];
    if (first !== undefined) return `${describeFault(fault)}: ${first}`;
  }
  return undefined;
}
