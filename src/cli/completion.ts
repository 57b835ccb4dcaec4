/** `evaq completion`: a script for a shell, made from the commands as they are. */
import { type Argument, Command, type Option } from 'commander';
import { Output } from './output.js';

const SHELLS = ['bash', 'zsh', 'fish'] as const;
type Shell = (typeof SHELLS)[number];

/** `load`: all commands that there are. */
export function completionCommand(load: () => Promise<readonly Command[]>): Command {
  const command = new Command('completion');
  const shell = command.createArgument('<shell>', 'which shell').choices(SHELLS);
  return command
    .addArgument(shell)
    .addHelpText(
      'after',
      '\nExamples:\n  eval "$(evaq completion bash)"\n  evaq completion fish > ~/.config/fish/completions/evaq.fish',
    )
    .action(async (wanted: Shell) => {
      const root = new Command('evaq').version('');
      for (const command of await load()) root.addCommand(command);
      const out = new Output();
      await out.line(SCRIPTS[wanted](statesOf(root)));
      await out.flush();
    });
}

/** What can be said behind some words of a command: `''` is the program itself, `dead-letters ls` a command of a command. */
interface State {
  readonly path: string;
  readonly commands: readonly { readonly name: string; readonly says: string }[];
  readonly options: readonly {
    readonly names: readonly string[];
    readonly says: string;
    readonly takes: boolean;
    readonly choices: readonly string[];
  }[];
  readonly choices: readonly string[];
}

function statesOf(root: Command): State[] {
  const states: State[] = [];
  const visit = (command: Command, path: string): void => {
    states.push({
      path,
      commands: command.commands.map((one) => ({ name: one.name(), says: one.summary() || one.description() })),
      options: [
        ...command.options.map(optionOf),
        { names: ['--help'], says: 'what it does', takes: false, choices: [] },
      ],
      choices: command.registeredArguments.flatMap((argument: Argument) => argument.argChoices ?? []),
    });
    for (const one of command.commands) visit(one, path === '' ? one.name() : `${path} ${one.name()}`);
  };
  visit(root, '');
  return states;
}

function optionOf({ short, long, description, required, optional, argChoices }: Option): State['options'][number] {
  const names = [short ?? [], long ?? []].flat();
  return { names, says: description, takes: required || optional, choices: argChoices ?? [] };
}

const SCRIPTS: Readonly<Record<Shell, (states: readonly State[]) => string>> = { bash, zsh, fish };

/** A word for the shell, whatever it holds. */
function quoted(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}

/** The words before the cursor, without options and their values, lead to a state; what may follow is told by it. */
function bash(states: readonly State[]): string {
  const words = states.map(({ path, commands, options, choices }) => {
    const all = [...commands.map(({ name }) => name), ...choices, ...options.flatMap(({ names }) => names)];
    return `    ${quoted(path)}) words=${quoted(all.join(' '))} ;;`;
  });
  const values = states.flatMap(({ path, options }) =>
    options.flatMap(({ names, choices, takes }) =>
      takes
        ? names.map((name) => `    ${quoted(`${path} ${name}`)}) takes=1 values=${quoted(choices.join(' '))} ;;`)
        : [],
    ),
  );
  const subcommands = states.filter(({ path }) => path !== '').map(({ path }) => quoted(path));
  return `# Completion of evaq for bash: eval "$(evaq completion bash)"
_evaq_value() {
  takes= values=
  case "$1" in
${values.join('\n')}
  esac
}
_evaq() {
  local current="\${COMP_WORDS[COMP_CWORD]}" state='' i word takes values words known
  for ((i = 1; i < COMP_CWORD; i++)); do
    word="\${COMP_WORDS[i]}"
    if [[ $word == -* ]]; then
      _evaq_value "$state $word"
      [[ -n $takes ]] && ((i++))
      continue
    fi
    for known in ${subcommands.join(' ')}; do
      if [[ $known == "\${state:+$state }$word" ]]; then
        state=$known
        break
      fi
    done
  done
  _evaq_value "$state \${COMP_WORDS[COMP_CWORD-1]}"
  if [[ -n $takes ]]; then
    if [[ -n $values ]]; then
      mapfile -t COMPREPLY < <(compgen -W "$values" -- "$current")
    else
      mapfile -t COMPREPLY < <(compgen -f -- "$current")
    fi
    return
  fi
  words=
  case "$state" in
${words.join('\n')}
  esac
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
  if [[ -n $state && $current != -* ]]; then
    mapfile -t -O "\${#COMPREPLY[@]}" COMPREPLY < <(compgen -f -- "$current")
  fi
}
complete -o filenames -F _evaq evaq`;
}

/** By zsh's own functions, with a description of each word. */
function zsh(states: readonly State[]): string {
  const cases = states.map(({ path, commands, options, choices }) => {
    const described = [
      ...commands.map(({ name, says }) => `${name}:${says}`),
      ...choices.map((choice) => `${choice}:`),
      ...options.flatMap(({ names, says }) => names.map((name) => `${name}:${says}`)),
    ];
    return `    ${quoted(path)}) words_for=(${described.map((one) => quoted(escapedName(one))).join(' ')}) ;;`;
  });
  const values = states.flatMap(({ path, options }) =>
    options.flatMap(({ names, choices, takes }) =>
      takes
        ? names.map((name) => `    ${quoted(`${path} ${name}`)}) takes=1 values=(${choices.map(quoted).join(' ')}) ;;`)
        : [],
    ),
  );
  const known = states.filter(({ path }) => path !== '').map(({ path }) => quoted(path));
  return `#compdef evaq
# Completion of evaq for zsh: evaq completion zsh > a folder of $fpath, as _evaq; or eval "$(evaq completion zsh)"
_evaq_value() {
  takes='' values=()
  case "$1" in
${values.join('\n')}
  esac
}
_evaq() {
  local state='' word takes i
  local -a known values words_for
  known=(${known.join(' ')})
  for ((i = 2; i < CURRENT; i++)); do
    word=\${words[i]}
    if [[ $word == -* ]]; then
      _evaq_value "$state $word"
      [[ -n $takes ]] && ((i++))
      continue
    fi
    if (( \${known[(Ie)\${state:+$state }$word]} )); then state="\${state:+$state }$word"; fi
  done
  _evaq_value "$state \${words[CURRENT-1]}"
  if [[ -n $takes ]]; then
    if (( \${#values} )); then compadd -- $values; else _files; fi
    return
  fi
  words_for=()
  case "$state" in
${cases.join('\n')}
  esac
  _describe 'evaq' words_for
  [[ -n $state ]] && _files
}
if [[ \${funcstack[1]} == _evaq ]]; then _evaq "$@"; else compdef _evaq evaq; fi`;
}

/** Of what \`_describe\` takes a colon parts the name from its description. */
function escapedName(described: string): string {
  const at = described.indexOf(':');
  return `${described.slice(0, at)}:${described.slice(at + 1).replaceAll(':', String.raw`\\:`)}`;
}

function fish(states: readonly State[]): string {
  const lines = ['# Completion of evaq for fish', 'complete -c evaq -f'];
  for (const { path, commands, options, choices } of states) {
    const names = path === '' ? [] : path.split(' ');
    const seen = names.map((name) => `__fish_seen_subcommand_from ${name}`);
    const none =
      commands.length === 0 ? [] : [`not __fish_seen_subcommand_from ${commands.map(({ name }) => name).join(' ')}`];
    const when = [...seen, ...none].join('; and ');
    const condition = when === '' ? '' : ` -n ${quoted(when)}`;
    for (const { name, says } of commands)
      lines.push(`complete -c evaq${condition} -a ${quoted(name)} -d ${quoted(says)}`);
    for (const choice of choices) lines.push(`complete -c evaq${condition} -a ${quoted(choice)}`);
    if (path !== '' && commands.length === 0) lines.push(`complete -c evaq${condition} -F`);
    for (const { names: flags, says, takes, choices: values } of options) {
      const spelled = flags
        .map((flag) => (flag.startsWith('--') ? `-l ${flag.slice(2)}` : `-s ${flag.slice(1)}`))
        .join(' ');
      const value = !takes ? '' : values.length > 0 ? ` -x -a ${quoted(values.join(' '))}` : ' -r';
      lines.push(`complete -c evaq${condition} ${spelled}${value} -d ${quoted(says)}`);
    }
  }
  return lines.join('\n');
}
