/** Boots, from the start of the process to a prompt: firmware, a kernel with a RAM disk, Debian from its disk. */
import type { KernelSelection } from '../scripts/build-kernels.js';
import { guestFile } from '../scripts/fetch-guests.js';
import { debianDisk, type DebianKernel } from '../scripts/make-debian-disk.js';
import { tinyInitramfs } from '../scripts/make-initramfs.js';
import { dialogue } from '../tests/support/cli.js';
import { AAVMF_CODE, AAVMF_VARS, newVariableStore, scratch } from '../tests/support/guests.js';
import { QEMU, QEMU_QUIT, qemuArguments } from '../tests/support/qemu.js';
import { type MarkedStep, type Rounds, alternate, summary, timed } from './measure.js';

/** A way to run v8a. */
export interface Variant {
  readonly name: string;
  /** Path of its Node. */
  readonly node: string;
  /** The command line that runs v8a with these options and ends with statistics. */
  readonly v8a: (...args: readonly string[]) => string[];
}

export interface Bench {
  readonly runs: number;
  readonly kernels: KernelSelection;
  readonly variants: readonly Variant[];
}

/** A guest as both emulators take it. */
export interface Guest {
  readonly v8a: readonly string[];
  readonly qemu: readonly string[];
  /** Ctrl-A x ends QEMU when the last has been met. */
  readonly steps: readonly MarkedStep[];
}

/** Runs what `make` makes anew for each run. */
export async function runGuests({ runs, variants }: Bench, make: () => Guest): Promise<Rounds> {
  return alternate(
    runs,
    variants.map(({ v8a }) => () => {
      const { v8a: options, steps } = make();
      // Its own script ends it; the steps are looked at for their times.
      const watched = steps.map(({ expect, mark }) => ({ expect, ...(mark === undefined ? {} : { mark }) }));
      return timed(v8a(...options, '--timeout', '3000s', ...dialogue(...steps)), watched);
    }),
    () => {
      const { qemu, steps } = make();
      const last = steps.length - 1;
      return timed(
        [QEMU, ...qemu],
        steps.map((step, index) => (index === last ? { ...step, send: QEMU_QUIT } : step)),
      );
    },
  );
}

async function boot(bench: Bench, title: string, make: () => Guest): Promise<Rounds> {
  const rounds = await runGuests(bench, make);
  const names = bench.variants.map(({ name }) => name);
  console.log([`\n${title}`, ...summary(rounds, names)].join('\n'));
  return rounds;
}

export function skipped(name: string, command: string): undefined {
  console.log(`\n${name}: skipped: its guest is missing; \`${command}\` gets it`);
  return undefined;
}

export async function aavmf(bench: Bench): Promise<Rounds | undefined> {
  if (AAVMF_CODE === undefined || AAVMF_VARS === undefined) return skipped('aavmf', 'npm run guests');
  const firmware = AAVMF_CODE;
  const files = scratch();
  try {
    return await boot(bench, 'aavmf, first boot to the shell', () => {
      const flash = newVariableStore(files.path('vars.fd'));
      return {
        v8a: ['--firmware', firmware, '--flash', flash, '-m', '512M', '--clock', 'real'],
        qemu: qemuArguments({ firmware, isPflash: true, flash, canQuit: true }),
        // The shell counts five seconds down unless a key is pressed.
        steps: [{ expect: 'or any other key to continue', send: '\r' }, { expect: 'Shell>' }],
      };
    });
  } finally {
    files.remove();
  }
}

const INIT = { expect: 'Run /init as init process', mark: 'Run /init' };

export async function linux(bench: Bench): Promise<Rounds | undefined> {
  const kernel = guestFile('linux');
  const initrd = tinyInitramfs();
  if (kernel === undefined || initrd === undefined) return skipped('linux', 'npm run guests -- --kernels');
  const append = 'console=ttyAMA0';
  return boot(bench, 'linux, a kernel started directly to the shell of a small RAM disk', () => ({
    v8a: ['-k', kernel, '-i', initrd, '--append', append, '-m', '512M', '--clock', 'real'],
    qemu: [...qemuArguments({ canQuit: true }), '-kernel', kernel, '-initrd', initrd, '-append', append],
    steps: [INIT, { expect: 'tiny# ' }],
  }));
}

/** Options for Debian's disk, which stays as it is, and a variable store. */
export function debianMachine(disk: string, flash: string): Omit<Guest, 'steps'> {
  const firmware = AAVMF_CODE ?? '';
  return {
    v8a: ['--firmware', firmware, '--flash', flash, ...V8A_DEBIAN, '--disk', `${disk},overlay`],
    qemu: [
      ...qemuArguments({ firmware, isPflash: true, flash, canQuit: true, memoryMib: DEBIAN_MIB }),
      ...qemuDebianDevices(disk),
    ],
  };
}

/** The same without firmware: its kernel is started directly. */
export function debianKernelMachine(disk: string, { kernel, initrd }: DebianKernel): Omit<Guest, 'steps'> {
  const append = 'root=LABEL=root ro console=ttyAMA0';
  return {
    v8a: ['-k', kernel, '-i', initrd, '--append', append, ...V8A_DEBIAN, '--disk', `${disk},overlay`],
    qemu: [
      ...qemuArguments({ canQuit: true, memoryMib: DEBIAN_MIB }),
      ...['-kernel', kernel, '-initrd', initrd, '-append', append],
      ...qemuDebianDevices(disk),
    ],
  };
}

const DEBIAN_MIB = 1024;
const V8A_DEBIAN = ['-m', `${DEBIAN_MIB}M`, '--rng', '--clock', 'real'];

function qemuDebianDevices(disk: string): string[] {
  return [
    ...['-drive', `if=none,id=d0,format=raw,snapshot=on,file=${disk.replaceAll(',', ',,')}`],
    ...['-device', 'virtio-blk-device,drive=d0', '-device', 'virtio-rng-device'],
  ];
}

export async function debian(bench: Bench): Promise<Rounds | undefined> {
  const disk = debianDisk();
  if (disk === undefined || AAVMF_CODE === undefined) return skipped('debian', 'npm run guests -- --debian');
  const files = scratch();
  try {
    return await boot(bench, 'debian, AAVMF and GRUB to the login prompt', () => ({
      ...debianMachine(disk, newVariableStore(files.path('vars.fd'))),
      steps: [
        { expect: 'GRUB', mark: 'GRUB' },
        { expect: 'EFI stub', mark: 'EFI stub' },
        INIT,
        { expect: 'login: ' },
      ],
    }));
  } finally {
    files.remove();
  }
}
