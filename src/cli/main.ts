/**
 * The command line. Data goes to standard output, everything else to standard error; what came of it is the exit code
 * (`exit-code.ts`).
 */
import { Command, CommanderError } from 'commander';
import packageJson from '../../package.json' with { type: 'json' };
import { commandsFor } from './commands.js';
import { refuseEmpty } from './empty-arguments.js';
import { EXIT_USAGE, exitCodeOf, printError, say } from './exit-code.js';
import { refuseTwice } from './given-twice.js';
import { guardStandardStreams } from './output.js';

async function makeProgram(): Promise<Command> {
  const program = new Command('evaq')
    .description('Tools for evaq, an embedded durable queue')
    .version(packageJson.version)
    .exitOverride()
    .configureOutput({ outputError: (text) => say(text.trimEnd().replace(/^error: /, '')) })
    .addHelpText(
      'after',
      '\nExit codes: 0 done, 1 failed, 2 called wrongly, 3 damage found, 4 torn end (verify --strict), 5 locked,\n6 no such record or queue, 7 some failed, 128 + n ended by signal n.',
    );
  program.hook('preAction', (_program, command) => refuseEmpty(command));
  for (const command of await commandsFor(process.argv.slice(2))) program.addCommand(inheriting(command, program));
  return program;
}

/** Commands within a command, too: each has its own way to end and to speak, unless it is told. */
function inheriting(command: Command, parent: Command): Command {
  command.copyInheritedSettings(parent);
  refuseTwice(command);
  for (const inner of command.commands) inheriting(inner, command);
  return command;
}

guardStandardStreams();
makeProgram()
  .then((program) => program.parseAsync())
  .catch(async (error: unknown) => {
    if (error instanceof CommanderError) {
      // Help and version that were asked for are no error; commander has printed all there is to say.
      process.exitCode = error.exitCode === 0 ? 0 : EXIT_USAGE;
      return;
    }
    // Nothing of it is needed to start.
    const { asTold } = await import('./lost-store-file.js');
    const { withShellHint } = await import('./shell-hint.js');
    const told = withShellHint(await asTold(error));
    printError(told);
    process.exitCode = exitCodeOf(told);
  });
