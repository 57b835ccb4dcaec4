/**
 * The commands there are, in the order of the help. What the help says of each stands here; the rest of it is loaded when it is wanted, so that a program
 * that is started for one of them, or for the help, does not wait for the others.
 */
import { Command } from 'commander';

const OPTIONS = '[options]';

interface Entry {
  readonly name: string;
  /** Its options and arguments, as the help shows them. */
  readonly takes: string;
  readonly says: string;
  /** Without its description. */
  readonly load: () => Promise<Command>;
}

const COMMANDS: readonly Entry[] = [
  {
    name: 'push',
    takes: '[options] <dir>',
    says: 'read records from standard input, one a line, and push them; makes the store if there is none',
    load: async () => (await import('./push.js')).pushCommand(),
  },
  {
    name: 'cat',
    takes: '[options] <path...>',
    says: 'print records: the live ones of a queue, or all that a segment file holds',
    load: async () => (await import('./cat.js')).catCommand(),
  },
  {
    name: 'tail',
    takes: '[options] <dir>',
    says: 'print the last records of queues, merged by time, and with -f those that come',
    load: async () => (await import('./tail.js')).tailCommand(),
  },
  {
    name: 'get',
    takes: '[options] <dir> <id>',
    says: 'print one record',
    load: async () => (await import('./get.js')).getCommand(),
  },
  {
    name: 'inspect',
    takes: '[options] <file>',
    says: 'show what stands in a file of a store, byte for byte, and which checksums hold',
    load: async () => (await import('./inspect.js')).inspectCommand(),
  },
  {
    name: 'remove',
    takes: '[options] <dir> [id...]',
    says: 'remove records; exits with 0 when that is durable',
    load: async () => (await import('./remove.js')).removeCommand(),
  },
  {
    name: 'move',
    takes: '[options] <dir> [id...]',
    says: 'move records from one queue to another, each once',
    load: async () => (await import('./move.js')).moveCommand(),
  },
  {
    name: 'dead-letters',
    takes: '',
    says: 'what could not be delivered: see it by reason, send it back, or drop it',
    load: async () => (await import('./dead-letters.js')).deadLettersCommand(),
  },
  {
    name: 'export',
    takes: '[options] <dir>',
    says: 'records as lines of JSON that lose nothing: ID, time, headers, origin, reason, attempts, any bytes',
    load: async () => (await import('./export.js')).exportCommand(),
  },
  {
    name: 'import',
    takes: '[options] <dir>',
    says: 'make a store of an export on standard input: each record as it was, with its ID and its time',
    load: async () => (await import('./import.js')).importCommand(),
  },
  {
    name: 'forward',
    takes: '[options] <dir>',
    says: 'send the records of a queue to a destination; what has arrived is removed',
    load: async () => (await import('./forward.js')).forwardCommand(),
  },
  {
    name: 'ingest',
    takes: '[options] <dir>',
    says: 'push what comes from a file or a topic, each record once; makes the store if there is none',
    load: async () => (await import('./ingest.js')).ingestCommand(),
  },
  {
    name: 'replay',
    takes: '[options] <dir>',
    says: 'send records again: to a URL, another store, a command, or standard output',
    load: async () => (await import('./replay.js')).replayCommand(),
  },
  {
    name: 'info',
    takes: '[options] <dir...>',
    says: 'tell what is in stores, and how their last writers left them',
    load: async () => (await import('./info.js')).infoCommand(),
  },
  {
    name: 'stats',
    takes: '[options] <dir>',
    says: 'what is on disk in numbers, removed records included: rates, sizes, batches, ages',
    load: async () => (await import('./stats.js')).statsCommand(),
  },
  {
    name: 'report',
    takes: '[options] <dir>',
    says: 'a store as one page of HTML that needs no network: segments, sizes, ages, dead letters, damage',
    load: async () => (await import('./report.js')).reportCommand(),
  },
  {
    name: 'verify',
    takes: '[options] <dir>',
    says: 'check every byte of a store, and tell what is damaged',
    load: async () => (await import('./verify.js')).verifyCommand(),
  },
  {
    name: 'why',
    takes: '[options] <dir>',
    says: 'tell where the bytes of a store are, what keeps them, and what GC will do about it',
    load: async () => (await import('./why.js')).whyCommand(),
  },
  {
    name: 'repair',
    takes: '[options] <dir>',
    says: 'show how a damaged store would be repaired, and do it with --apply',
    load: async () => (await import('./repair.js')).repairCommand(),
  },
  {
    name: 'backup',
    takes: '[options] <dir> <to>',
    says: 'make a consistent copy of a store, in use or not, and verify it',
    load: async () => (await import('./backup.js')).backupCommand(),
  },
  {
    name: 'restore',
    takes: '[options] <backup> <dir>',
    says: 'say what restoring a backup would come to, and do it with --yes',
    load: async () => (await import('./backup.js')).restoreCommand(),
  },
  {
    name: 'compact',
    takes: '[options] <dir>',
    says: 'give back all the space of removed records, now',
    load: async () => (await import('./compact.js')).compactCommand(),
  },
  {
    name: 'sim',
    takes: '[options]',
    says: 'cut the power at every step of calls on a simulated disk, and check what is left',
    load: async () => (await import('./sim.js')).simCommand(),
  },
  {
    name: 'doctor',
    takes: '[options] [dir]',
    says: 'tell whether this machine, and the disk of a store, can keep one',
    load: async () => (await import('./doctor.js')).doctorCommand(),
  },
  {
    name: 'demo',
    takes: '[options]',
    says: 'the evacuation drill: kill an application again and again, and show that nothing it acknowledged is lost',
    load: async () => (await import('./demo.js')).demoCommand(),
  },
  {
    name: 'completion',
    takes: '<shell>',
    says: 'a script that completes commands, options and their values in a shell',
    load: async () => (await import('./completion.js')).completionCommand(() => loadCommands()),
  },
];

/** All of them, in the order of the help. */
export function loadCommands(): Promise<Command[]> {
  return Promise.all(COMMANDS.map(loaded));
}

/**
 * All of them, of which only the one that the words of the command line name can be run; the others have what the help shows of them, and nothing more.
 */
export async function commandsFor(words: readonly string[]): Promise<Command[]> {
  const [first, second] = words.filter((word) => !word.startsWith('-'));
  const wanted = first === 'help' ? second : first;
  const commands: Command[] = [];
  for (const entry of COMMANDS) commands.push(entry.name === wanted ? await loaded(entry) : named(entry));
  return commands;
}

async function loaded({ load, says }: Entry): Promise<Command> {
  return (await load()).description(says);
}

/** As the list of the help has it. */
function named({ name, takes, says }: Entry): Command {
  const command = new Command(name).description(says);
  for (const word of takes.split(' ')) {
    if (word === OPTIONS) command.option('--any', 'some');
    else if (word !== '') command.argument(word);
  }
  return command;
}
