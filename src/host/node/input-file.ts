import { readFileSync } from 'node:fs';
import { UserError } from '../../base/index.js';
import { reasonOf } from './image-file.js';

/** What stands for standard input where a file is named. */
const STANDARD_INPUT = '-';

/**
 * The contents of a small file. `what` names in messages where its name was given, such as `--file`.
 *
 * @throws UserError `file-unreadable`
 */
export function readInputFile(what: string, path: string): Uint8Array {
  try {
    return readFileSync(path === STANDARD_INPUT ? 0 : path);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : '';
    const reason =
      code === 'ENOENT' || code === 'ENOTDIR'
        ? 'does not exist'
        : code === 'EISDIR'
          ? 'is a directory, not a file'
          : `cannot be read: ${reasonOf(error)}`;
    throw new UserError('file-unreadable', `${what} ${path}: ${reason}`, { cause: error });
  }
}
