/** `evaq dead-letters`: what could not be delivered, why, and what becomes of it. Looking takes no lock and writes nothing. */
import { Command } from 'commander';
import { ReadOnlyEvaq } from '../raw.js';
import { LetterSummary } from '../store/letter-summary.js';
import { parseId, parseIds } from './arguments.js';
import { type ChangeFlags, changeLetters } from './dead-letters/change.js';
import {
  addLetterSelection,
  boxesOf,
  type LetterFlags,
  lettersIn,
  lettersLeft,
  requireOneBox,
} from './dead-letters/letters.js';
import { LIST_HEAD, listLine, renderLetter, renderSummary } from './dead-letters/look.js';
import { interruptible } from './interrupt.js';
import { Output } from './output.js';
import { addMove } from './planned-move.js';
import { isoTime, recordToJson } from './record-format.js';

interface JsonFlag {
  readonly json: boolean;
}

export function deadLettersCommand(): Command {
  const command = new Command('dead-letters').addHelpText(
    'after',
    "\nWithout an action: summary. Those of a queue 'jobs' are in the queue 'jobs.dead', those of the WAL in 'dead-letters'.\n\nExamples:\n  evaq dead-letters ./orders\n  evaq dead-letters redrive ./orders --code ECONNREFUSED --rate 50 --yes",
  );
  const actions = [
    summaryCommand(),
    listCommand(),
    showCommand(),
    exportLettersCommand(),
    redriveCommand(),
    purgeCommand(),
  ];
  for (const action of actions) command.addCommand(action, { isDefault: action.name() === 'summary' });
  return command;
}

function looking(name: string, description: string): Command {
  return addLetterSelection(new Command(name).description(description).argument('<dir>', 'the store'));
}

function summaryCommand(): Command {
  return looking('summary', 'how many there are of each reason and error code, since when, and a sample')
    .option('--json', 'as JSON', false)
    .addHelpText(
      'after',
      '\nExamples:\n  evaq dead-letters summary ./orders\n  evaq dead-letters summary ./orders --since 1h --json',
    )
    .action((dir: string, flags: LetterFlags & JsonFlag) => interruptible((signal) => summarize(dir, flags, signal)));
}

async function summarize(dir: string, flags: LetterFlags & JsonFlag, signal: AbortSignal): Promise<void> {
  await using store = await ReadOnlyEvaq.open(dir);
  const out = new Output();
  const summaries = [];
  const left = lettersLeft(flags);
  for (const box of await boxesOf(store, flags.queue)) {
    const summary = new LetterSummary();
    for await (const record of lettersIn(store, box, [], flags, left, signal)) summary.add(record, box.home);
    summaries.push({ queue: box.home, ...summary.result() });
  }
  if (flags.json) {
    const queues = summaries.map(({ groups, ...rest }) => {
      return {
        ...rest,
        groups: groups.map(({ firstMs, lastMs, ...group }) => ({
          ...group,
          first: isoTime(firstMs),
          last: isoTime(lastMs),
        })),
      };
    });
    await out.line(JSON.stringify({ v: 1, queues }, null, 2));
  } else {
    const shown = summaries.map((summary) => renderSummary(summary, summary.queue, Date.now()));
    await out.line(shown.length === 0 ? 'no queue has dead letters' : shown.join('\n\n'));
  }
  await out.flush();
}

function listCommand(): Command {
  return looking('ls', 'one line for each')
    .addHelpText(
      'after',
      "\nExamples:\n  evaq dead-letters ls ./orders -q jobs -n 20\n  evaq dead-letters ls ./orders --reason 'no route' --since 1d",
    )
    .action((dir: string, flags: LetterFlags) =>
      interruptible(async (signal) => {
        await using store = await ReadOnlyEvaq.open(dir);
        const out = new Output();
        const nowMs = Date.now();
        await out.line(LIST_HEAD);
        const left = lettersLeft(flags);
        for (const box of await boxesOf(store, flags.queue)) {
          for await (const record of lettersIn(store, box, [], flags, left, signal))
            await out.line(listLine(record, box.home, nowMs));
        }
        await out.flush();
      }),
    );
}

function showCommand(): Command {
  return new Command('show')
    .description('all that is known of one')
    .argument('<dir>', 'the store')
    .argument('<id>', 'its ID', parseId)
    .option('-q, --queue <name>', 'whose dead letter it is')
    .option('--json', 'as JSON', false)
    .addHelpText(
      'after',
      '\nExamples:\n  evaq dead-letters show ./orders 17\n  evaq dead-letters show ./orders 4 -q jobs --json',
    )
    .action((dir: string, id: number, { queue, json }: JsonFlag & { readonly queue?: string }) =>
      interruptible(async (signal) => {
        await using store = await ReadOnlyEvaq.open(dir);
        const boxes = await boxesOf(store, queue);
        requireOneBox(boxes, [id]);
        const out = new Output();
        for (const box of boxes) {
          for await (const record of lettersIn(store, box, [id], {}, lettersLeft({}), signal)) {
            await out.line(
              json ? recordToJson({ record, queue: box.name }) : renderLetter(record, box.home, Date.now()),
            );
          }
        }
        await out.flush();
      }),
    );
}

function exportLettersCommand(): Command {
  return looking('export', 'as lines of JSON that lose nothing')
    .addHelpText(
      'after',
      '\nExamples:\n  evaq dead-letters export ./orders > letters.ndjson\n  evaq dead-letters export ./orders --code ETIMEDOUT | jq .error',
    )
    .action((dir: string, flags: LetterFlags) =>
      interruptible(async (signal) => {
        await using store = await ReadOnlyEvaq.open(dir);
        const out = new Output();
        const left = lettersLeft(flags);
        for (const box of await boxesOf(store, flags.queue)) {
          for await (const record of lettersIn(store, box, [], flags, left, signal))
            await out.line(recordToJson({ record, queue: box.name }));
        }
        await out.flush();
      }),
    );
}

function changing(name: string, description: string): Command {
  return addLetterSelection(
    new Command(name)
      .description(description)
      .argument('<dir>', 'the store')
      .argument('[id...]', 'these alone, of one queue', parseIds),
  );
}

function redriveCommand(): Command {
  return addMove(changing('redrive', 'move them back to the queues that they came from'))
    .option('--force', 'also those that have gone back three times', false)
    .addHelpText(
      'after',
      '\nSays what it would do; does it with --yes, which opens the store for writing.\n\nExamples:\n  evaq dead-letters redrive ./orders 17 18 --yes\n  evaq dead-letters redrive ./orders --code ECONNREFUSED --rate 50 --limit 1000 --yes',
    )
    .action((dir: string, ids: number[] | undefined, flags: ChangeFlags) =>
      interruptible((signal) => changeLetters(dir, ids ?? [], flags, 'redrive', signal)),
    );
}

function purgeCommand(): Command {
  return addMove(changing('purge', 'remove them for good'))
    .option('--all', 'all that there are', false)
    .addHelpText(
      'after',
      "\nSays what it would do; does it with --yes, which opens the store for writing.\n\nExamples:\n  evaq dead-letters purge ./orders 17 18 --yes\n  evaq dead-letters purge ./orders --reason 'no route' --until 30d --yes",
    )
    .action((dir: string, ids: number[] | undefined, flags: ChangeFlags) =>
      interruptible((signal) => changeLetters(dir, ids ?? [], flags, 'purge', signal)),
    );
}
