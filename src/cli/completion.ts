/** `v8a completion`: scripts for shells, made from the commands and options that there are. */
import process from 'node:process';
import { Argument, Option, type Command } from 'commander';
import { accepted, completionOf, inOneLine } from './option.js';
import { oneOf, quoteIfNeeded, type Completion } from './parse.js';

const SHELLS = ['bash', 'zsh', 'fish'] as const;
type Shell = (typeof SHELLS)[number];

const EXAMPLES = `
Examples:
  For bash, in ~/.bashrc:
    eval "$(v8a completion bash)"

  For zsh, in ~/.zshrc after compinit:
    eval "$(v8a completion zsh)"

  For fish, once:
    v8a completion fish > ~/.config/fish/completions/v8a.fish
`;

export function addCompletionCommand(program: Command): void {
  program
    .command('completion')
    .exitOverride(inOneLine('v8a completion'))
    .summary('print what makes a shell complete commands, options and values')
    .description('Prints a script that makes a shell complete commands, options and their values.')
    .addHelpOption(new Option('-h, --help', 'show this help'))
    .configureHelp({ helpWidth: 100 })
    .addHelpText('after', EXAMPLES.trimEnd())
    .addArgument(
      new Argument('<shell>', 'the shell')
        .choices(SHELLS)
        .argParser((text) => accepted(`<shell> ${quoteIfNeeded(text)}`, () => oneOf(...SHELLS)(text))),
    )
    .action((shell: Shell) => {
      process.stdout.write(completionScript(program, shell));
    });
}

/** The script for `shell` that completes command lines of `program`. */
export function completionScript(program: Command, shell: Shell): string {
  return WRITERS[shell](completedCommands(program));
}

interface CompletedOption {
  /** `-f`, `--firmware`. */
  readonly names: readonly string[];
  readonly takesValue: boolean;
  /** Of the value. Undefined where a shell cannot know one. */
  readonly completion: Completion | undefined;
  readonly text: string;
}

interface CompletedCommand {
  /** Empty for the program itself, then `run`, `vars`, `vars list`. */
  readonly path: readonly string[];
  readonly text: string;
  /** Names of the commands in this one. */
  readonly commands: readonly string[];
  readonly options: readonly CompletedOption[];
  /** What its arguments are, the same for all of them. */
  readonly argument: Completion | undefined;
}

/** `program` and all commands in it, before those in them. */
function completedCommands(program: Command): CompletedCommand[] {
  const help = program.createHelp();
  const names = (command: Command): string[] => help.visibleCommands(command).map((inner) => inner.name());
  const visit = (command: Command, path: readonly string[]): CompletedCommand[] => [
    {
      path,
      text: help.subcommandDescription(command),
      commands: names(command),
      options: help.visibleOptions(command).map((option) => ({
        names: [option.short, option.long].filter((name) => name !== undefined),
        takesValue: option.required || option.optional,
        completion: completionOf(option),
        // The first sentence.
        text: option.description.replace(/(?:\. | \(default).*/s, ''),
      })),
      argument: argumentCompletion(command, names(program)),
    },
    ...help.visibleCommands(command).flatMap((inner) => visit(inner, [...path, inner.name()])),
  ];
  return visit(program, []);
}

function argumentCompletion(command: Command, commands: readonly string[]): Completion | undefined {
  for (const argument of command.registeredArguments) {
    if (argument.argChoices) return argument.argChoices;
    if (argument.name() === 'file') return 'file';
    // Of `v8a help`.
    if (argument.name() === 'command') return commands;
  }
  return undefined;
}

/** `text` as one word of a shell. */
function quote(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

function writeBash(commands: readonly CompletedCommand[]): string {
  const inner = commands.filter(({ path }) => path.length === 2).map(({ path }) => quote(path.join(' ')));
  // By what the word after an option is, the options.
  const values = new Map<string, string[]>();
  for (const { path, options } of commands) {
    for (const { names, takesValue, completion } of options) {
      if (!takesValue) continue;
      const action = bashAction(completion);
      const before = values.get(action) ?? [];
      values.set(action, [...before, ...names.map((name) => quote([...path, name].join(' ')))]);
    }
  }
  const rest = commands.map(({ path, commands: names, options, argument }) => {
    const words = [...names, ...(typeof argument === 'object' ? argument : [])];
    const files = typeof argument === 'string' ? ` ${bashAction(argument)};` : '';
    const flags = options.flatMap((option) => option.names);
    // Where nothing but options can follow, they need no dash to be shown.
    const plain = words.length > 0 || files !== '' ? words : flags;
    return `                ${quote(path.join(' '))})${files} words=${quote(plain.join(' '))} options=${quote(flags.join(' '))} ;;`;
  });
  return `# Completion of v8a for bash, made by 'v8a completion bash'.
_v8a() {
    local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD - 1]} command= words= options=
    # --option=value is three words here.
    if [[ $cur == = ]]; then
        cur=
    elif [[ $prev == = ]]; then
        prev=\${COMP_WORDS[COMP_CWORD - 2]}
    fi
    if ((COMP_CWORD > 1)); then
        command=\${COMP_WORDS[1]}
    fi
    if ((COMP_CWORD > 2)); then
        case "$command \${COMP_WORDS[2]}" in
            ${inner.join(' | ')}) command+=" \${COMP_WORDS[2]}" ;;
        esac
    fi
    COMPREPLY=()
    case "$command $prev" in
${Array.from(values, ([action, after]) => `        ${after.join(' | ')}) ${action} ;;`).join('\n')}
        *)
            case "$command" in
${rest.join('\n')}
            esac
            if [[ $cur == -* ]]; then
                words=$options
            fi
            ;;
    esac
    local IFS=$' \\n'
    COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -F _v8a v8a
`;
}

function bashAction(completion: Completion | undefined): string {
  if (completion === undefined) return ':';
  if (typeof completion === 'object') return `words=${quote(completion.join(' '))}`;
  // Readline does it, with its quoting, since there are no words.
  return `compopt -o ${completion === 'file' ? 'default' : 'dirnames'}`;
}

function writeZsh(commands: readonly CompletedCommand[]): string {
  const bracketed = (text: string): string => text.replaceAll(/[[\]:\\]/g, String.raw`\$&`);
  const action = (completion: Completion | undefined): string => {
    if (completion === undefined) return ' ';
    if (completion === 'file') return '_files';
    if (completion === 'directory') return '_files -/';
    return `(${completion.join(' ')})`;
  };
  const specs = ({ options, argument }: CompletedCommand): string[] => [
    ...options.flatMap(({ names, takesValue, completion, text }) =>
      names.map((name) => {
        const joint = !takesValue ? '' : name.startsWith('--') ? '=' : '+';
        const value = takesValue ? `:value:${action(completion)}` : '';
        return quote(`*${name}${joint}[${bracketed(text)}]${value}`);
      }),
    ),
    ...(argument === undefined ? [] : [quote(`*:argument:${action(argument)}`)]),
  ];
  const described = (path: readonly string[]): string =>
    commands
      .filter(
        (command) =>
          command.path.length === path.length + 1 && path.every((name, i) => command.path[i] === name),
      )
      .map((command) => quote(`${command.path.at(-1)!}:${command.text}`))
      .join(' ');
  const cases = commands
    .filter(({ path }) => path.length > 0)
    // The longer ones first, as the pattern of a group takes all that begins with it.
    .sort((a, b) => b.path.length - a.path.length)
    .map((command) => {
      const { path } = command;
      const pattern = `${quote(path.join(' '))}${path.length === 1 ? "' '*" : ''}`;
      const names =
        command.commands.length === 0
          ? ''
          : `            if ((CURRENT == ${path.length + 2})); then
                commands=(${described(path)})
                _describe command commands
            fi
`;
      return `        ${pattern})
${names}            shift ${path.length} words
            ((CURRENT -= ${path.length}))
            _arguments -S ${specs(command).join(' ')}
            ;;`;
    });
  return `#compdef v8a
# Completion of v8a for zsh, made by 'v8a completion zsh'.
_v8a() {
    local -a commands
    if ((CURRENT == 2)); then
        commands=(${described([])})
        _describe command commands
        _arguments -S ${specs(commands[0]!).join(' ')}
        return
    fi
    local name=$words[2]\\ \${words[3]:-}
    # What is being typed is no command yet.
    ((CURRENT == 3)) && name="$words[2] "
    case $name in
${cases.join('\n')}
    esac
}
if [[ $funcstack[1] == _v8a ]]; then
    _v8a "$@"
else
    compdef _v8a v8a
fi
`;
}

function writeFish(commands: readonly CompletedCommand[]): string {
  const fishQuote = (text: string): string => `'${text.replaceAll(/['\\]/g, String.raw`\$&`)}'`;
  const seen = (names: readonly string[]): string => `__fish_seen_subcommand_from ${names.join(' ')}`;
  const lines = commands.flatMap(({ path, commands: names, options, argument }) => {
    const conditions = [
      ...path.map((name) => seen([name])),
      ...(names.length > 0 ? [`not ${seen(names)}`] : []),
    ];
    const start = `complete -c v8a -n ${fishQuote(conditions.join('; and '))}`;
    const value = (completion: Completion | undefined): string => {
      if (completion === undefined) return '-x';
      if (completion === 'file') return '-r -F';
      if (completion === 'directory') return "-x -a '(__fish_complete_directories)'";
      return `-x -a ${fishQuote(completion.join(' '))}`;
    };
    const inner = commands.filter(
      (command) =>
        command.path.length === path.length + 1 && path.every((name, i) => command.path[i] === name),
    );
    return [
      ...inner.map((command) => `${start} -f -a ${command.path.at(-1)!} -d ${fishQuote(command.text)}`),
      ...options.map(({ names: flags, takesValue, completion, text }) => {
        const given = flags.map((flag) =>
          flag.startsWith('--') ? `-l ${flag.slice(2)}` : `-s ${flag.slice(1)}`,
        );
        return `${start} ${given.join(' ')}${takesValue ? ` ${value(completion)}` : ''} -d ${fishQuote(text)}`;
      }),
      ...(argument === undefined
        ? []
        : [argument === 'file' ? `${start} -F` : `${start} -f -a ${fishQuote([argument].flat().join(' '))}`]),
    ];
  });
  return `# Completion of v8a for fish, made by 'v8a completion fish'.
complete -c v8a -f
${lines.join('\n')}
`;
}

const WRITERS = { bash: writeBash, zsh: writeZsh, fish: writeFish } as const satisfies Record<Shell, unknown>;
