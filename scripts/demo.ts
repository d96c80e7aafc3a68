/**
 * `npm run demo`: Debian's UEFI firmware up to its shell. On a terminal the shell is yours (Ctrl-A x leaves);
 * elsewhere it ends at the prompt. Its variables are kept in the cache, so a second run finds the first one's.
 */
import { spawnSync } from 'node:child_process';
import { copyFileSync, constants, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { fetchGuests, guestCache, guestFile } from './fetch-guests.js';

const problems = fetchGuests();
const firmware = guestFile('AAVMF_CODE.fd');
const template = guestFile('AAVMF_VARS.fd');
if (firmware === undefined || template === undefined) {
  for (const problem of problems) console.error(`demo: ${problem}`);
  process.exit(1);
}

const variables = join(guestCache(), 'demo-vars.fd');
mkdirSync(guestCache(), { recursive: true });
try {
  copyFileSync(template, variables, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
} catch (error) {
  if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
}

const args = ['run', '--machine', 'virt', '--firmware', firmware, '--flash', variables, '-m', '512M'];
if (!process.stdout.isTTY) args.push('--clock', 'virtual', '--expect', 'Shell>', '--timeout', '300s');
console.error(`$ npx v8a ${args.map((arg) => (/[^\w./=:-]/.test(arg) ? `'${arg}'` : arg)).join(' ')}`);
const machine = spawnSync(
  process.execPath,
  [fileURLToPath(new URL('../bin/v8a.cjs', import.meta.url)), ...args],
  { stdio: 'inherit' },
);
if (machine.error !== undefined) throw machine.error;
process.exitCode = machine.status ?? 1;
