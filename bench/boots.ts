/** Boots, from the start of the process to a prompt: firmware, a kernel with a RAM disk, Debian from its disk. */
import type { KernelSelection } from '../scripts/build-kernels.js';
import { guestFile } from '../scripts/fetch-guests.js';
import { debianDisk } from '../scripts/make-debian-disk.js';
import { tinyInitramfs } from '../scripts/make-initramfs.js';
import { dialogue } from '../tests/support/cli.js';
import { AAVMF_CODE, AAVMF_VARS, newVariableStore, scratch } from '../tests/support/guests.js';
import { QEMU, QEMU_QUIT, qemuArguments } from '../tests/support/qemu.js';
import { type Pairs, type MarkedStep, alternate, summary, timed } from './measure.js';

export interface Bench {
  readonly runs: number;
  readonly kernels: KernelSelection;
  /** Of ours and QEMU's lines. */
  readonly names: readonly [ours: string, theirs: string];
  /** The command line that runs v8a with these options and ends with statistics. */
  readonly v8a: (...args: readonly string[]) => string[];
}

/** A guest as both emulators take it. */
interface Boot {
  readonly title: string;
  readonly v8a: readonly string[];
  readonly qemu: readonly string[];
  /** Ctrl-A x ends QEMU when the last has been met. */
  readonly steps: readonly MarkedStep[];
}

async function boot({ runs, names, v8a }: Bench, make: () => Boot): Promise<Pairs> {
  const { title } = make();
  const pairs = await alternate(
    runs,
    () => {
      const { v8a: options, steps } = make();
      // Its own script ends it; the steps are looked at for their times.
      const watched = steps.map(({ expect, mark }) => ({ expect, ...(mark === undefined ? {} : { mark }) }));
      return timed(v8a(...options, '--timeout', '3000s', ...dialogue(...steps)), watched);
    },
    () => {
      const { qemu, steps } = make();
      return timed(
        [QEMU, ...qemu],
        steps.map((step) => ({ send: QEMU_QUIT, ...step })),
      );
    },
  );
  console.log([`\n${title}`, ...summary(pairs, names)].join('\n'));
  return pairs;
}

function skipped(name: string, command: string): undefined {
  console.log(`\n${name}: skipped: its guest is missing; \`${command}\` gets it`);
  return undefined;
}

export async function aavmf(bench: Bench): Promise<Pairs | undefined> {
  if (AAVMF_CODE === undefined || AAVMF_VARS === undefined) return skipped('aavmf', 'npm run guests');
  const firmware = AAVMF_CODE;
  const files = scratch();
  try {
    return await boot(bench, () => {
      const flash = newVariableStore(files.path('vars.fd'));
      return {
        title: 'aavmf, first boot to the shell',
        v8a: ['--firmware', firmware, '--flash', flash, '-m', '512M', '--clock', 'virtual'],
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

export async function linux(bench: Bench): Promise<Pairs | undefined> {
  const kernel = guestFile('linux');
  const initrd = tinyInitramfs();
  if (kernel === undefined || initrd === undefined) return skipped('linux', 'npm run guests -- --kernels');
  const append = 'console=ttyAMA0';
  return boot(bench, () => ({
    title: 'linux, a kernel started directly to the shell of a small RAM disk',
    v8a: ['-k', kernel, '-i', initrd, '--append', append, '-m', '512M', '--clock', 'real'],
    qemu: [...qemuArguments({ canQuit: true }), '-kernel', kernel, '-initrd', initrd, '-append', append],
    steps: [INIT, { expect: 'tiny# ' }],
  }));
}

/** Options for Debian's disk, which stays as it is, and a variable store. */
export function debianMachine(
  disk: string,
  flash: string,
): { readonly v8a: readonly string[]; readonly qemu: readonly string[] } {
  const firmware = AAVMF_CODE ?? '';
  return {
    v8a: [
      ...['--firmware', firmware, '--flash', flash, '--disk', `${disk},overlay`],
      ...['-m', '1G', '--rng', '--clock', 'real'],
    ],
    qemu: [
      ...qemuArguments({ firmware, isPflash: true, flash, canQuit: true, memoryMib: 1024 }),
      ...['-drive', `if=none,id=d0,format=raw,snapshot=on,file=${disk.replaceAll(',', ',,')}`],
      ...['-device', 'virtio-blk-device,drive=d0', '-device', 'virtio-rng-device'],
    ],
  };
}

export async function debian(bench: Bench): Promise<Pairs | undefined> {
  const disk = debianDisk();
  if (disk === undefined || AAVMF_CODE === undefined) return skipped('debian', 'npm run guests -- --debian');
  const files = scratch();
  try {
    return await boot(bench, () => ({
      title: 'debian, AAVMF and GRUB to the login prompt; both sit through the waits of AAVMF and GRUB',
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
