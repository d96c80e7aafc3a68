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
    if (error instanceof UserError) {
      // What was given may have line ends of its own.
      process.stderr.write(`v8a: ${error.message.replaceAll(/\s*\n\s*/g, ' ')}\n`);
      return ExitStatus.usage;
    }
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    process.stderr.write(`v8a: bug in v8a, please report it: ${text}\n`);
    return ExitStatus.internalError;
  }
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
// No top-level await: the bundle is CommonJS (scripts/bundle.ts).
process.exitCode = ExitStatus.internalError;
void main(process.argv.slice(2)).then((status) => {
  process.exitCode = status;
});
