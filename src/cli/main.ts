/**
 * The command line.
 */
import { Command } from 'commander';
import { demoCommand } from './demo.js';

const program = new Command('evaq').description('Tools for evaq, an embedded durable queue').addCommand(demoCommand());

program.parseAsync().catch((error: unknown) => {
  console.error(error instanceof Error ? (error.stack ?? error.message) : String(error));
  process.exitCode = 1;
});
