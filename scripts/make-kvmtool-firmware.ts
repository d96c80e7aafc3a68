/**
 * Builds EDK2's firmware for kvmtool, `KVMTOOL_EFI.fd` of ArmVirtPkg/ArmVirtKvmTool.dsc, out of the sources of Debian's
 * package edk2, which builds other platforms only. Installs nothing.
 *
 * There are two of it: one hands ACPI tables to what it boots, the other the device tree. That is decided when it is
 * built, and its ACPI tables name no virtio-mmio devices, so systems on a disk of that kind take the other one.
 *
 * `npm run guests -- --kvmtool` makes both in the cache and prints their paths: 17 MiB to download, some minutes of a
 * compiler; `kvmtoolFirmware` tells where they are.
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, createWriteStream, existsSync, readFileSync, renameSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';

import { unpackSource } from './apt.js';
import { guestCache } from './fetch-guests.js';
import { makeInCache, missingTools, type Progress } from './make-in-cache.js';

/** By what the firmware hands to what it boots: the file's name, and options of EDK2's `build`. */
const FIRMWARE = {
  acpi: { name: 'KVMTOOL_EFI.fd', options: '' },
  'device-tree': {
    name: 'KVMTOOL_EFI-DT.fd',
    options: '--pcd gArmVirtTokenSpaceGuid.PcdForceNoAcpi=TRUE',
  },
} as const;
const KINDS = ['acpi', 'device-tree'] as const;
const BUILT = 'Build/ArmVirtKvmTool-AARCH64/RELEASE_GCC5/FV/KVMTOOL_EFI.fd';
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

type FirmwareKind = (typeof KINDS)[number];

const firmwarePath = (kind: FirmwareKind): string => join(guestCache(), FIRMWARE[kind].name);

/** The firmware's path, undefined where it has not been made. */
export function kvmtoolFirmware(kind: FirmwareKind = 'acpi'): string | undefined {
  return existsSync(firmwarePath(kind)) ? firmwarePath(kind) : undefined;
}

/** What there is of it: names and paths. */
export function allKvmtoolFirmware(): (readonly [name: string, path: string])[] {
  return KINDS.filter((kind) => existsSync(firmwarePath(kind))).map((kind) => [
    FIRMWARE[kind].name,
    firmwarePath(kind),
  ]);
}

/** Makes the firmware that isn't there. Returns why it can't, one line each. */
export async function makeKvmtoolFirmware(): Promise<string[]> {
  if (allKvmtoolFirmware().length === KINDS.length) return [];
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

  for (const kind of KINDS) {
    const { name, options } = FIRMWARE[kind];
    progress.step(`${WHAT}: building ${name}`);
    await shell(
      // Debian's sources are without the object file that links what the compiler calls when it optimises all at once.
      'lto=ArmPkg/Library/GccLto/liblto-aarch64',
      'aarch64-linux-gnu-gcc -c -fpic $lto.s -o $lto.a',
      // Its commands may fail.
      'set +e; . ./edksetup.sh; set -e',
      `build -a AARCH64 -t GCC5 -b RELEASE -n ${jobs} -p ${PLATFORM} ${options}`,
    );
    renameSync(join(sources, BUILT), firmwarePath(kind));
  }
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
