/**
 * `evaq/sim`: the simulated disk that evaq is tested on, and the explorer of crash states, for programs of your own. See docs/sim.md.
 */
export {
  type CrashCheck,
  type ExploredCrash,
  type ExploreFailure,
  type ExploreMachine,
  type ExploreOptions,
  type ExploreReport,
  explore,
  type RecoveryMachine,
  type Workload,
} from './sim/explore.js';
export { formatCall, type SimCall, type SimCallName, type SimStep } from './sim/sim-call.js';
export type { CrashChoice, CrashModel, CrashPoint } from './sim/sim-crash.js';
export type { Damage } from './sim/sim-damage.js';
export { type CrashState, type CrashStatesOptions, SimDisk, type SimDiskOptions } from './sim/sim-disk.js';
export type { SimErrorName } from './sim/sim-error.js';
export type { CancelFault, FaultRule } from './sim/sim-fault.js';
export type { FillMode } from './sim/sim-fill.js';
export type { SimLimits } from './sim/sim-machine.js';
export type { SimProcess } from './sim/sim-process.js';
export type { Host } from './vfs/host.js';
export type { Vfs, VfsChunk, VfsEntry, VfsFile, VfsIdentities, VfsLock, VfsLockResult, VfsStat } from './vfs/vfs.js';
