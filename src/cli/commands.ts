/**
 * The commands there are, in the order of the help. Each is loaded when it is wanted: a program that is started for one of them does not wait for the
 * others.
 */
import type { Command } from 'commander';

const COMMANDS: ReadonlyMap<string, () => Promise<Command>> = new Map([
  ['push', async () => (await import('./push.js')).pushCommand()],
  ['cat', async () => (await import('./cat.js')).catCommand()],
  ['tail', async () => (await import('./tail.js')).tailCommand()],
  ['get', async () => (await import('./get.js')).getCommand()],
  ['inspect', async () => (await import('./inspect.js')).inspectCommand()],
  ['remove', async () => (await import('./remove.js')).removeCommand()],
  ['move', async () => (await import('./move.js')).moveCommand()],
  ['dead-letters', async () => (await import('./dead-letters.js')).deadLettersCommand()],
  ['export', async () => (await import('./export.js')).exportCommand()],
  ['import', async () => (await import('./import.js')).importCommand()],
  ['forward', async () => (await import('./forward.js')).forwardCommand()],
  ['ingest', async () => (await import('./ingest.js')).ingestCommand()],
  ['replay', async () => (await import('./replay.js')).replayCommand()],
  ['info', async () => (await import('./info.js')).infoCommand()],
  ['stats', async () => (await import('./stats.js')).statsCommand()],
  ['report', async () => (await import('./report.js')).reportCommand()],
  ['verify', async () => (await import('./verify.js')).verifyCommand()],
  ['why', async () => (await import('./why.js')).whyCommand()],
  ['repair', async () => (await import('./repair.js')).repairCommand()],
  ['backup', async () => (await import('./backup.js')).backupCommand()],
  ['restore', async () => (await import('./backup.js')).restoreCommand()],
  ['compact', async () => (await import('./compact.js')).compactCommand()],
  ['sim', async () => (await import('./sim.js')).simCommand()],
  ['doctor', async () => (await import('./doctor.js')).doctorCommand()],
  ['demo', async () => (await import('./demo.js')).demoCommand()],
  ['completion', async () => (await import('./completion.js')).completionCommand(() => loadCommands(undefined))],
]);

/** That of the name, or, where there is none of it (help, say), all of them. */
export function loadCommands(name: string | undefined): Promise<Command[]> {
  const load = name === undefined ? undefined : COMMANDS.get(name);
  return Promise.all(load === undefined ? [...COMMANDS.values()].map((one) => one()) : [load()]);
}
