/**
 * Names of the intake logs in a queue's folder: `<generation, 16 hex>.itk`, and `.itk.tmp` for one in the making.
 */
export interface IntakeFileName {
  readonly kind: 'log' | 'unfinished';
  readonly generation: number;
}

const LOG = /^([0-9a-f]{16})\.itk(\.tmp)?$/;

export function intakeFileName(generation: number): string {
  return `${generation.toString(16).padStart(16, '0')}.itk`;
}

export function unfinishedIntakeFileName(generation: number): string {
  return `${intakeFileName(generation)}.tmp`;
}

export function parseIntakeFileName(name: string): IntakeFileName | undefined {
  const match = LOG.exec(name);
  if (match?.[1] === undefined) return undefined;
  const generation = Number.parseInt(match[1], 16);
  if (!Number.isSafeInteger(generation)) return undefined;
  return { kind: match[2] === undefined ? 'log' : 'unfinished', generation };
}
