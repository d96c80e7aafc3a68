import process from 'node:process';
import { UserError } from '../base/index.js';
import { contentsOf, openWholeFlashFile, readFlashFile } from '../host/node/flash-file.js';
import type { ImagePart } from '../varstore/variable-store.js';
import { ExitStatus } from './exit-status.js';

/** Failures of the host, not mistakes. */
const HOST_ERRORS: ReadonlySet<string> = new Set(['flash-io', 'host-io']);

/** Carries out `command`; a failure of the host is a line and a status of its own. */
export function withHostErrors(command: () => number): number {
  try {
    return command();
  } catch (error) {
    if (!(error instanceof UserError) || !HOST_ERRORS.has(error.code)) throw error;
    say(`v8a: ${error.message}\n`);
    return ExitStatus.hostError;
  }
}

/** Hands the contents of an image to `look`. What is wrong with them is said with the file's name. */
export function look<Result>(path: string, look: (image: Uint8Array) => Result): Result {
  const image = readFlashFile(path);
  return named(path, () => look(image));
}

/**
 * Hands the contents of an image to `change`, which gives back what is to be changed in it. That is written as a whole
 * or not at all.
 */
export function change<Result>(
  path: string,
  change: (image: Uint8Array) => { readonly part: ImagePart | undefined; readonly result: Result },
): Result {
  const file = openWholeFlashFile(path);
  try {
    for (const notice of file.notices) say(`v8a: ${notice}\n`);
    const { part, result } = named(path, () => change(contentsOf(file)));
    if (part) file.commit([part]);
    return result;
  } finally {
    file.close();
  }
}

function named<Result>(path: string, action: () => Result): Result {
  try {
    return action();
  } catch (error) {
    if (!(error instanceof UserError) || !error.code.startsWith('vars-')) throw error;
    throw new UserError(error.code, `flash image ${path}: ${error.message}`, { cause: error });
  }
}

export function print(text: string): void {
  process.stdout.write(text);
}

export function say(text: string): void {
  process.stderr.write(text);
}

/** Rows as columns: as wide as they must be, two spaces between; numbers to the right. */
export function table(rows: readonly (readonly string[])[], right: readonly number[] = []): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows
    .map((row) => {
      const cells = row.map((cell, column) =>
        right.includes(column) ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!),
      );
      return `${cells.join('  ').trimEnd()}\n`;
    })
    .join('');
}
