/** Options of the commands that run for weeks: `forward` and `ingest`. */
import { type Command, Option } from 'commander';
import { parseWhole } from './arguments.js';
import { applyConfig } from './config-file.js';
import { parsePort } from './metrics-server.js';

/** Gives `command` --metrics, --lock-timeout and --config, and sees to it that what the file of the last one says is applied. */
export function addServiceOptions(command: Command): Command {
  return command
    .addOption(
      new Option('--metrics <:port>', 'metrics for Prometheus there, at /metrics; needs prom-client').argParser(
        parsePort,
      ),
    )
    .addOption(
      new Option('--lock-timeout <ms>', 'wait so long for another writer')
        .argParser((text: string) => parseWhole(text))
        .default(0),
    )
    .option(
      '--config <file>',
      'options from a file of JSON, by their long names; what the command line says comes first',
    )
    .hook('preAction', () => applyConfig(command));
}
