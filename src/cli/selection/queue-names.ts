/** Which queues a command is about: `-q` several times, names with commas between them, and `*` for any part of a name. */
import { InvalidArgumentError, Option } from 'commander';
import { EvaqError } from '../../errors.js';
import { WAL_QUEUE } from '../../layout/store-file.js';

const NAME = /^[A-Za-z0-9._*-]{1,72}$/;

/** Its value is a list of names and patterns: `otherwise` where none is given. */
export function queuesOption(otherwise: string = WAL_QUEUE): Option {
  const byDefault: readonly string[] = [otherwise];
  return new Option('-q, --queue <name>', "which queue; several: a,b or -q again; '*': all")
    .argParser((text: string, before: readonly string[] | undefined) => {
      // What is there to begin with is the default, and goes when one is named.
      const named = before === undefined || before === byDefault ? [] : before;
      const names = text.split(',');
      if (!names.every((name) => NAME.test(name))) {
        throw new InvalidArgumentError('Names are letters, digits, dots, underscores and hyphens; * is any of them.');
      }
      return [...named, ...names];
    })
    .default(byDefault, otherwise);
}

/** Those of `there` that are meant, each once, in the order in which they are named. @throws EVAQ_QUEUE_NAME for a name or pattern that means none */
export function queuesMeant(wanted: readonly string[], there: readonly string[]): string[] {
  const meant = new Set<string>();
  for (const one of wanted) {
    const found = one.includes('*')
      ? there.filter((name) => patternOf(one).test(name))
      : there.filter((name) => name === one);
    if (found.length === 0) {
      throw new EvaqError('EVAQ_QUEUE_NAME', `there is no queue '${one}'`, {
        details: { queue: one },
        hint: `There ${there.length === 1 ? 'is' : 'are'}: ${there.join(', ')}.`,
      });
    }
    for (const name of found) meant.add(name);
  }
  return [...meant];
}

function patternOf(glob: string): RegExp {
  return new RegExp(
    `^${glob
      .split('*')
      .map((part) => part.replaceAll('.', '\\.'))
      .join('.*')}$`,
  );
}
