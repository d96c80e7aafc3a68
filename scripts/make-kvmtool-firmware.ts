/**
 * Builds EDK2's firmware for kvmtool, `KVMTOOL_EFI.fd` of ArmVirtPkg/ArmVirtKvmTool.dsc, out of the sources of Debian's
 * package edk2, which builds other platforms only. Installs nothing.
 *
 * `npm run guests -- --kvmtool` makes it in the cache and prints its path: 17 MiB to download, some minutes of a
 * compiler; `kvmtoolFirmware` tells where it is.
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  copyFileSync,
  createWriteStream,
  existsSync,
  readFileSync,
  renameSync,
} from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';

import { unpackSource } from './apt.js';
import { guestCache } from './fetch-guests.js';
import { makeInCache, missingTools, type Progress } from './make-in-cache.js';

const NAME = 'KVMTOOL_EFI.fd';
const WHAT = 'the firmware for kvmtool';
const PLATFORM = 'ArmVirtPkg/ArmVirtKvmTool.dsc';

/** Programs of this machine, and the packages that have them. */
const TOOLS = {
  'apt-get': 'apt',
  'dpkg-source': 'dpkg-dev',
  'aarch64-linux-gnu-gcc': 'gcc-aarch64-linux-gnu',
  'g++': 'g++',
  make: 'make',
  python3: 'python3',
  iasl: 'acpica-tools',
};

/** What EDK2's programs need besides, as a command that fails without. */
const NEEDS = [
  { command: ['python3', '-c', 'import distutils.util'], package: 'python3-distutils' },
  { command: ['g++', '-E', '-include', 'uuid/uuid.h', '-x', 'c++', '/dev/null'], package: 'uuid-dev' },
];

/** Debian's patch to the shell uses libraries that this platform doesn't name. A section may come again. */
const LIBRARIES = `
[LibraryClasses.common]
  SecureBootVariableLib|SecurityPkg/Library/SecureBootVariableLib/SecureBootVariableLib.inf
  PlatformPKProtectionLib|SecurityPkg/Library/PlatformPKProtectionLibVarPolicy/PlatformPKProtectionLibVarPolicy.inf
  SecureBootVariableProvisionLib|SecurityPkg/Library/SecureBootVariableProvisionLib/SecureBootVariableProvisionLib.inf
`;

const firmwarePath = (): string => join(guestCache(), NAME);

/** The firmware's path, undefined where it has not been made. */
export function kvmtoolFirmware(): string | undefined {
  return existsSync(firmwarePath()) ? firmwarePath() : undefined;
}

/** Makes the firmware if it isn't there. Returns why it can't, one line each. */
export async function makeKvmtoolFirmware(): Promise<string[]> {
  if (existsSync(firmwarePath())) return [];
  const problems = missingTools(WHAT, TOOLS);
  if (problems.length > 0) return problems;
  for (const { command, package: name } of NEEDS) {
    const [program = '', ...args] = command;
    if (spawnSync(program, args, { stdio: 'ignore' }).status !== 0) {
      problems.push(`${WHAT} needs package ${name}`);
    }
  }
  return problems.length > 0 ? problems : makeInCache(WHAT, guestCache(), build);
}

async function build(work: string, progress: Progress): Promise<void> {
  progress.step(`${WHAT}: fetching EDK2’s sources`);
  const sources = unpackSource('edk2', work, guestCache());
  appendFileSync(join(sources, PLATFORM), LIBRARIES);
  const jobs = availableParallelism();
  const shell = (...lines: readonly string[]): Promise<void> =>
    run(['set -e', ...lines].join('\n'), sources, join(guestCache(), 'kvmtool-firmware.log'));

  progress.step(`${WHAT}: building EDK2’s tools`);
  await shell(`make -C BaseTools -j${jobs}`);

  progress.step(`${WHAT}: building it`);
  await shell(
    // Debian's sources are without the object file that links what the compiler calls when it optimises all at once.
    'lto=ArmPkg/Library/GccLto/liblto-aarch64',
    'aarch64-linux-gnu-gcc -c -fpic $lto.s -o $lto.a',
    // Its commands may fail.
    'set +e; . ./edksetup.sh; set -e',
    `build -a AARCH64 -t GCC5 -b RELEASE -n ${jobs} -p ${PLATFORM}`,
  );
  const built = join(work, NAME);
  copyFileSync(join(sources, `Build/ArmVirtKvmTool-AARCH64/RELEASE_GCC5/FV/${NAME}`), built);
  renameSync(built, firmwarePath());
}

/** Runs a script of bash, which EDK2's set-up needs, at low priority. What it says goes to `log`. */
async function run(script: string, cwd: string, log: string): Promise<void> {
  const output = createWriteStream(log);
  const child = spawn('nice', ['-n', '10', 'bash', '-c', script], {
    cwd,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      ...process.env,
      LC_ALL: 'C',
      WORKSPACE: cwd,
      PACKAGES_PATH: cwd,
      PYTHON_COMMAND: 'python3',
      GCC5_AARCH64_PREFIX: 'aarch64-linux-gnu-',
    },
  });
  child.stdout.pipe(output, { end: false });
  child.stderr.pipe(output, { end: false });
  const [status] = (await once(child, 'close')) as [number | null];
  output.end();
  await once(output, 'close');
  if (status === 0) return;
  const errors = readFileSync(log, 'utf8')
    .split('\n')
    .filter((line) => /\berror\b/i.test(line));
  throw new Error(
    `${errors.at(-1)?.trim() ?? `the build ended with status ${status}`}; all of it is in ${log}`,
  );
}
