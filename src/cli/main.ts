#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import process from 'node:process';
import { CommanderError } from 'commander';
import { UserError } from '../base/index.js';
import { ExitStatus } from './exit-status.js';
import { buildProgram } from './program.js';

/** Carries out a command line, without the first two words of `process.argv`. Returns the exit status. */
async function main(args: readonly string[]): Promise<number> {
  let status: number = ExitStatus.ok;
  const program = buildProgram(
    version(),
    // The machine is loaded only to run one.
    async (...command) => (await import('./run-command.js')).run(...command),
    (exitStatus) => {
      status = exitStatus;
    },
  );
  try {
    if (args.length === 0) program.outputHelp();
    else await program.parseAsync(args, { from: 'user' });
    return status;
  } catch (error) {
    // --help and --version end this way too.
    if (error instanceof CommanderError && error.exitCode === 0) return ExitStatus.ok;
    if (error instanceof CommanderError || error instanceof UserError) {
      process.stderr.write(`v8a: ${oneLine(error)}\n`);
      return ExitStatus.usage;
    }
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    process.stderr.write(`v8a: bug in v8a, please report it: ${text}\n`);
    return ExitStatus.internalError;
  }
}

/** Commander's messages have a prefix, and suggestions on a line of their own. */
function oneLine(error: Error): string {
  const message = error.message.replace(/^error: /, '').replaceAll(/\s*\n\s*/g, ' ');
  if (!(error instanceof CommanderError)) return message;
  // `option '-m, --mem <size>' argument '5X' is invalid. Accepted: …`
  const invalid = /^option '(?:-\w, )?(--[\w-]+)[^']*' argument '(.*)' is invalid\. (.*)$/s.exec(message);
  if (invalid)
    return `${invalid[1]} '${invalid[2]}' is invalid; ${lowerFirst((invalid[3] ?? '').replace(/\.$/, ''))}`;
  const missing = /^option '(?:-\w, )?(--[\w-]+) <([^>]*)>' argument missing$/.exec(message);
  if (missing) return `${missing[1]} needs a ${missing[2]}`;
  if (error.code === 'commander.unknownOption') return `${message}; 'v8a run --help' lists the options`;
  if (error.code === 'commander.unknownCommand') return `${message}; 'v8a --help' lists the commands`;
  return message;
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}

function version(): string {
  const { version: text } = JSON.parse(
    readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
  ) as { version: string };
  return text;
}

// Whoever reads the output may be gone (`v8a --help | head -1`); there is nothing left to say then.
process.stdout.on('error', () => undefined);
process.stderr.on('error', () => undefined);
process.exitCode = await main(process.argv.slice(2));
