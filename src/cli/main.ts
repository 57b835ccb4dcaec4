/**
 * The command line. Data goes to standard output, everything else to standard error; what came of it is the exit code
 * (`exit-code.ts`).
 */
import { Command, CommanderError } from 'commander';
import packageJson from '../../package.json' with { type: 'json' };
import { backupCommand, restoreCommand } from './backup.js';
import { catCommand } from './cat.js';
import { compactCommand } from './compact.js';
import { deadLettersCommand } from './dead-letters.js';
import { demoCommand } from './demo.js';
import { doctorCommand } from './doctor.js';
import { EXIT_USAGE, exitCodeOf, printError, say } from './exit-code.js';
import { exportCommand } from './export.js';
import { forwardCommand } from './forward.js';
import { getCommand } from './get.js';
import { importCommand } from './import.js';
import { infoCommand } from './info.js';
import { ingestCommand } from './ingest.js';
import { inspectCommand } from './inspect.js';
import { moveCommand } from './move.js';
import { endQuietlyOnClosedPipe } from './output.js';
import { pushCommand } from './push.js';
import { removeCommand } from './remove.js';
import { repairCommand } from './repair.js';
import { replayCommand } from './replay.js';
import { simCommand } from './sim.js';
import { tailCommand } from './tail.js';
import { verifyCommand } from './verify.js';
import { whyCommand } from './why.js';

function makeProgram(): Command {
  const program = new Command('evaq')
    .description('Tools for evaq, an embedded durable queue')
    .version(packageJson.version)
    .exitOverride()
    .configureOutput({ outputError: (text) => say(text.trimEnd().replace(/^error: /, '')) })
    .addHelpText(
      'after',
      '\nExit codes: 0 done, 1 failed, 2 called wrongly, 3 damage found, 4 torn end (verify --strict), 5 locked,\n6 no such record or queue, 7 some became dead letters, 128 + n ended by signal n.',
    );
  const commands = [
    pushCommand(),
    catCommand(),
    tailCommand(),
    getCommand(),
    inspectCommand(),
    removeCommand(),
    moveCommand(),
    deadLettersCommand(),
    exportCommand(),
    importCommand(),
    forwardCommand(),
    ingestCommand(),
    replayCommand(),
    infoCommand(),
    verifyCommand(),
    whyCommand(),
    repairCommand(),
    backupCommand(),
    restoreCommand(),
    compactCommand(),
    simCommand(),
    doctorCommand(),
    demoCommand(),
  ];
  for (const command of commands) program.addCommand(command.copyInheritedSettings(program));
  return program;
}

endQuietlyOnClosedPipe();
makeProgram()
  .parseAsync()
  .catch((error: unknown) => {
    if (error instanceof CommanderError) {
      // Help and version that were asked for are no error; commander has printed all there is to say.
      process.exitCode = error.exitCode === 0 ? 0 : EXIT_USAGE;
      return;
    }
    printError(error);
    process.exitCode = exitCodeOf(error);
  });
