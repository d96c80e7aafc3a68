/**
 * `npm test`: runs the compiled tests with Node's runner and ends with its summary and its exit status.
 *
 * `--quick` leaves out the end-to-end tests of `tests/`. Other arguments select the test files whose path
 * contains one of them: `npm test -- pl011`.
 *
 * `npm run test:debian`: `--debian` runs the tests of `tests/debian` instead, which are part of nothing else, and makes
 * the disk and the firmware that they need. `--all`: on every combination of parts that a board may have.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

import { fetchGuests } from './fetch-guests.js';
import { makeDebianDisk } from './make-debian-disk.js';
import { makeKvmtoolFirmware } from './make-kvmtool-firmware.js';

/** The longest that one test file may take, a machine shared with others included. */
const TEST_TIMEOUT_MS = 15 * 60_000;
/** The same for whole boots of Debian, a minute each on a machine with nothing else to do. */
const DEBIAN_TIMEOUT_MS = 4 * 60 * 60_000;

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const DIST = join(ROOT, 'dist');
const END_TO_END = 'tests/';
const DEBIAN = 'tests/debian/';

/** Folders that compile to a folder of their own in `dist`; everything else there comes from `src`. */
const TOP_LEVEL = ['tests/', 'scripts/', 'bench/'];

/** `path` in `dist` back to its source. `tsc -b` leaves the output of deleted sources behind. */
function hasSource(path: string): boolean {
  const source = path.replace(/\.js$/, '.ts');
  return existsSync(
    TOP_LEVEL.some((folder) => path.startsWith(folder)) ? join(ROOT, source) : join(ROOT, 'src', source),
  );
}

function testFiles(): string[] {
  return readdirSync(DIST, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.test.js'))
    .map((entry) => relative(DIST, join(entry.parentPath, entry.name)))
    .filter(hasSource)
    .sort();
}

const args = process.argv.slice(2);
const OPTIONS = ['--quick', '--debian', '--all'];
const isQuick = args.includes('--quick');
const isDebian = args.includes('--debian');
const unknown = args.find((arg) => arg.startsWith('-') && !OPTIONS.includes(arg));
if (unknown !== undefined) {
  console.error(
    `run-tests: unknown option ${unknown}; there are ${OPTIONS.join(', ')}, and parts of file names`,
  );
  process.exit(2);
}
const selectors = args.filter((arg) => !arg.startsWith('-'));
const selected = testFiles()
  .filter((path) => path.startsWith(DEBIAN) === isDebian)
  .filter((path) => !isQuick || !path.startsWith(END_TO_END))
  .filter((path) => selectors.length === 0 || selectors.some((part) => path.includes(part)));
if (selected.length === 0) {
  console.error('run-tests: no test file matches');
  process.exit(2);
}
if (selected.some((path) => path.startsWith(END_TO_END))) {
  for (const problem of fetchGuests()) console.error(`run-tests: some tests will be skipped: ${problem}`);
}
if (isDebian) {
  const problems = [...fetchGuests({ debian: true }), ...(await makeDebianDisk())];
  for (const problem of problems) console.error(`run-tests: ${problem}`);
  if (problems.length > 0) process.exit(1);
  for (const problem of await makeKvmtoolFirmware()) {
    console.error(`run-tests: some tests will be skipped: ${problem}`);
  }
}

const runner = spawnSync(
  process.execPath,
  [
    '--enable-source-maps',
    '--test',
    '--test-reporter=spec',
    `--test-concurrency=${availableParallelism()}`,
    `--test-timeout=${isDebian ? DEBIAN_TIMEOUT_MS : TEST_TIMEOUT_MS}`,
    ...selected.map((path) => join(DIST, path)),
  ],
  {
    cwd: ROOT,
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, V8A_DEBIAN_ALL: args.includes('--all') ? '1' : '0' },
  },
);
if (runner.error !== undefined) throw runner.error;
process.exitCode = runner.status ?? 1;
