/**
 * Options from a file of JSON, by their long names, for commands that have many. What the command line or the environment says comes first.
 */
import type { Command } from 'commander';
import { messageOf } from '../errors.js';
import { UsageError } from './exit-code.js';
import { readTextFile } from './text-file.js';

/** To be called before the command acts. Its option `--config` names the file. */
export function applyConfig(command: Command): void {
  const { config } = command.opts<{ config?: string }>();
  if (config === undefined) return;
  for (const [name, value] of Object.entries(readConfig(config))) {
    const option = command.options.find(({ long }) => long === `--${name}`);
    if (option === undefined || name === 'config') throw new UsageError(`${config}: there is no option '${name}'`);
    const key = option.attributeName();
    const source = command.getOptionValueSource(key);
    if (source === 'cli' || source === 'env') continue;
    command.setOptionValueWithSource(key, parsed(option, name, value, config), 'config');
  }
}

type Option = Command['options'][number];

function parsed(option: Option, name: string, value: unknown, config: string): unknown {
  if (option.isBoolean()) {
    if (typeof value !== 'boolean') throw new UsageError(`${config}: ${name} must be true or false`);
    return value;
  }
  const { parseArg } = option;
  let taken: unknown = option.defaultValue;
  for (const one of Array.isArray(value) ? value : [value]) {
    if (typeof one !== 'string' && typeof one !== 'number')
      throw new UsageError(`${config}: ${name} must be a text or a number`);
    const text = String(one);
    if (option.argChoices !== undefined && !option.argChoices.includes(text)) {
      throw new UsageError(`${config}: ${name} must be one of ${option.argChoices.join(', ')}`);
    }
    try {
      taken = parseArg === undefined ? text : parseArg(text, taken);
    } catch (error) {
      throw new UsageError(`${config}: ${name}: ${messageOf(error)}`);
    }
  }
  return taken;
}

function readConfig(path: string): Record<string, unknown> {
  const text = readTextFile(path, { pipes: true });
  if (text === undefined) throw new UsageError(`${path}: there is no such file`);
  let config: unknown;
  try {
    config = JSON.parse(text);
  } catch (error) {
    throw new UsageError(`${path}: ${messageOf(error)}`);
  }
  if (typeof config !== 'object' || config === null || Array.isArray(config))
    throw new UsageError(`${path}: it must hold an object`);
  return { ...config };
}
