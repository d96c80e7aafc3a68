/** The bare-metal guests of tests/system: compiling them, running them under QEMU. */
import { strict as assert } from 'node:assert';
import { spawn, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import type { CpuModelName } from '#v8a/cpu/models.js';
import { endWithTests } from './child.js';
import { finished } from './cli.js';
import { QEMU } from './qemu.js';

export const SOURCES = fileURLToPath(new URL('../../../tests/system/', import.meta.url));
export const COMPILER = 'aarch64-linux-gnu-gcc';
const OBJCOPY = 'aarch64-linux-gnu-objcopy';
export const hasCompiler = spawnSync(COMPILER, ['--version'], { stdio: 'ignore' }).status === 0;

export interface SystemGuest {
  /** The file in tests/system. */
  readonly source: string;
  readonly defines?: readonly string[];
  /** QEMU's, where it has no CPU like our model. */
  readonly qemuCpu?: string;
  readonly qemuArguments?: readonly string[];
  readonly model: CpuModelName;
  readonly irqchip: 'gicv2' | 'gicv3';
  readonly cpus?: number;
  /** The CPUs start at EL2. */
  readonly el2?: true;
}

/** Compiles a guest to an image that starts at the address it is loaded at. */
export function buildGuest({ source, defines = [] }: SystemGuest, image: string): void {
  const file = (name: string): string => join(SOURCES, name);
  const elf = `${image}.elf`;
  const flags = [
    ...['-O1', '-std=gnu11', '-Wall', '-Wextra', '-Werror', '-mgeneral-regs-only', '-mstrict-align'],
    ...['-ffreestanding', '-nostdlib', '-static', '-fno-pic', '-fno-stack-protector'],
    ...['-fno-tree-loop-distribute-patterns', '-fno-optimize-sibling-calls', '-mno-outline-atomics'],
    `-Wl,-T,${file('image.ld')},--build-id=none,--no-warn-rwx-segments`,
    ...defines.map((name) => `-D${name}`),
  ];
  for (const [tool, ...arguments_] of [
    [COMPILER, ...flags, ...['start.S', 'guest.c', source].map(file), '-o', elf],
    [OBJCOPY, '-O', 'binary', elf, image],
  ] as const) {
    const result = spawnSync(tool, arguments_, { encoding: 'utf8' });
    assert.equal(result.status, 0, result.stderr);
  }
}

/** A guest takes a second or two. QEMU 7.2 has hung with several CPUs; where it does, it is started again. */
const QEMU_LIMIT_MS = 60_000;
const QEMU_ATTEMPTS = 3;

/** What the guest prints under QEMU. */
export async function runGuestOnQemu(guest: SystemGuest, image: string): Promise<string> {
  for (let attempt = 1; ; attempt++) {
    const { status, stdout, stderr } = await runQemu(guest, image);
    if (status === null && attempt < QEMU_ATTEMPTS) continue;
    assert.equal(status, 0, stderr);
    return stdout.replaceAll('\r', '');
  }
}

async function runQemu(
  { model, qemuCpu, qemuArguments = [], irqchip, cpus = 1, el2 }: SystemGuest,
  image: string,
): ReturnType<typeof finished> {
  const child = endWithTests(
    spawn(
      QEMU,
      [
        ...[
          '-M',
          `virt,gic-version=${irqchip.slice(-1)},virtualization=${el2 ? 'on' : 'off'}`,
          '-cpu',
          qemuCpu ?? model,
          '-smp',
          `${cpus}`,
          '-m',
          '512',
          '-nic',
          'none',
        ],
        ...['-display', 'none', '-monitor', 'none', '-serial', 'stdio', '-bios', image],
        // With a thread for each CPU, QEMU 7.2 now and then waits for ever.
        ...['-accel', 'tcg,thread=single'],
        ...qemuArguments,
      ],
      { stdio: ['ignore', 'pipe', 'pipe'], timeout: QEMU_LIMIT_MS, killSignal: 'SIGKILL' },
    ),
  );
  return finished(child);
}
