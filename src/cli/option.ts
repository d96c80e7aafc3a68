import type { CommanderError } from 'commander';
import { Option } from 'commander';
import { UserError } from '../base/index.js';
import { quoteIfNeeded, UnacceptableValue, type Completed, type Completion } from './parse.js';

/** Collects the values of an option that may be given several times. */
export function repeated<Value>(parse: ((text: string) => Value) & Completed) {
  const collect = (text: string, before: unknown): Value[] => [
    ...((before as Value[] | undefined) ?? []),
    parse(text),
  ];
  return Object.assign(collect, { completes: parse.completes });
}

const completions = new WeakMap<Option, Completion>();

/** How a shell completes the option's value, where it can. */
export function completionOf(made: Option): Completion | undefined {
  return completions.get(made);
}

/** What `parse` reads; what it refuses is a mistake of the user's that `where` names. */
export function accepted<Value>(where: string, parse: () => Value): Value {
  try {
    return parse();
  } catch (error) {
    if (!(error instanceof UnacceptableValue)) throw error;
    throw new UserError('option', `${where}: ${error.message}`);
  }
}

/** An option whose value `parse` reads. What it refuses is a mistake that names the option and the value. */
export function option(
  flags: string,
  description: string,
  parse: ((text: string, before: unknown) => unknown) & Completed,
): Option {
  const made = new Option(flags, description);
  if (parse.completes !== undefined) completions.set(made, parse.completes);
  return made.argParser((text: string, before: unknown) =>
    accepted(`${made.long} ${quoteIfNeeded(text)}`, () => parse(text, before)),
  );
}

/** Another name, which help doesn't show, of the option whose value is called `attribute`. */
export function alias(flags: string, attribute: string, parse: (text: string) => unknown): Option {
  const made = option(flags, '', parse).hideHelp();
  made.attributeName = () => attribute;
  return made;
}

/**
 * Commander's messages about a command line for `command`, in the words of all others. `whyNot` knows options and
 * commands that are left out for a reason.
 */
export function inOneLine(
  command: string,
  whyNot: (name: string) => string | undefined = () => undefined,
): (error: CommanderError) => never {
  return (error) => {
    if (error.exitCode === 0) throw error;
    const lists = (what: string) => `'${command} --help' lists the ${what}`;
    const guess = /Did you mean (?:one of )?(.*)\?/.exec(error.message)?.[1];
    const meant = guess === undefined ? '' : `did you mean ${guess}? `;
    const [, name = ''] = /'(?:-\w, )?([^']*)'/.exec(error.message) ?? [];
    switch (error.code) {
      case 'commander.unknownOption': {
        const reason = whyNot(name.replace(/=.*/s, ''));
        if (reason !== undefined) throw new UserError('option', `${quoteIfNeeded(name)}: ${reason}`);
        throw new UserError('usage', `${quoteIfNeeded(name)}: unknown option; ${meant}${lists('options')}`);
      }
      case 'commander.unknownCommand': {
        const reason = whyNot(name);
        if (reason !== undefined) throw new UserError('usage', `${name}: ${reason}`);
        throw new UserError('usage', `${quoteIfNeeded(name)}: unknown command; ${meant}${lists('commands')}`);
      }
      case 'commander.help':
        // `v8a help` of something; commander doesn't say of what.
        throw new UserError('usage', `help: unknown command; ${lists('commands')}`);
      case 'commander.missingArgument':
        throw new UserError('usage', `${name}: is missing; '${command} --help' shows what to give`);
      case 'commander.excessArguments':
        throw new UserError('usage', `too many arguments; '${command} --help' shows what to give`);
      case 'commander.optionMissingArgument':
        throw new UserError('usage', `${name.split(' ')[0]}: its value is missing; accepted: ${name}`);
      default:
        throw new UserError('usage', error.message.replace(/^error: /, ''));
    }
  };
}
