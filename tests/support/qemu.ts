/** Runs the same guests under QEMU's `virt` machine: the peer whose files and prompts ours are compared with. */
import { spawn, spawnSync } from 'node:child_process';

import { endWithTests } from './child.js';
import { Steps, type Step } from './steps.js';

export const QEMU = 'qemu-system-aarch64';

export const hasQemu = spawnSync(QEMU, ['--version'], { stdio: 'ignore' }).status === 0;

export interface QemuRun {
  /** Image of flash bank 0, opened read-only. Shorter images are given with `-bios`. */
  readonly firmware: string;
  /** Image of flash bank 1, of 64 MiB; written. */
  readonly flash: string;
  readonly steps: readonly Step[];
  readonly timeoutMs: number;
  /** Trace events to write to a file, by name with wildcards. */
  readonly trace?: { readonly events: string; readonly file: string };
}

export interface QemuResult {
  readonly status: number | null;
  readonly console: string;
  /** How many of the steps were met. */
  readonly stepsMet: number;
}

/** Typed to QEMU's console, this ends it where it `canQuit`. */
export const QEMU_QUIT = '\x01x';

/**
 * The command line for a machine with one Cortex-A57, the console on stdio and no network. `canQuit`: Ctrl-A x
 * on the console ends QEMU.
 */
export function qemuArguments(options: {
  firmware?: string;
  isPflash?: boolean;
  flash?: string;
  canQuit?: boolean;
  memoryMib?: number;
}): string[] {
  const drive = (unit: number, file: string, rest: string): string[] => [
    '-drive',
    `if=pflash,format=raw,unit=${unit},file=${file.replaceAll(',', ',,')}${rest}`,
  ];
  const { firmware, isPflash = false, memoryMib = 512 } = options;
  return [
    ...['-M', 'virt', '-cpu', 'cortex-a57', '-m', `${memoryMib}`, '-nic', 'none', '-display', 'none'],
    ...(options.canQuit === true ? ['-serial', 'mon:stdio'] : ['-monitor', 'none', '-serial', 'stdio']),
    ...(firmware === undefined ? [] : isPflash ? drive(0, firmware, ',readonly=on') : ['-bios', firmware]),
    ...(options.flash === undefined ? [] : drive(1, options.flash, '')),
  ];
}

/** Firmware with a flash bank for its variables. */
export function runQemu({ firmware, flash, steps, timeoutMs, trace }: QemuRun): Promise<QemuResult> {
  const isPflash = firmware.endsWith('.fd');
  const tracing = trace ? ['-trace', trace.events, '-D', trace.file] : [];
  return converseWithQemu([...qemuArguments({ firmware, isPflash, flash }), ...tracing], steps, timeoutMs);
}

/** Runs until the machine powers off; killed when the steps are not met in time. */
export async function converseWithQemu(
  args: readonly string[],
  steps: readonly Step[],
  timeoutMs: number,
): Promise<QemuResult> {
  const child = endWithTests(spawn(QEMU, args, { stdio: ['pipe', 'pipe', 'pipe'] }));
  const dialogue = new Steps(steps, ({ send }) => {
    if (send !== undefined) child.stdin.write(send);
  });
  child.stdin.on('error', () => undefined); // The machine may be gone before the last key.
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    dialogue.printed(text);
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => (dialogue.output += text));
  const limit = setTimeout(() => child.kill('SIGKILL'), timeoutMs);
  try {
    const status = await new Promise<number | null>((resolve, reject) => {
      child.on('error', reject);
      child.on('close', resolve);
    });
    return { status, console: dialogue.output, stepsMet: dialogue.met };
  } finally {
    clearTimeout(limit);
  }
}
