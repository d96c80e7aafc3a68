/** Debian on a disk of its own, driven through its console: what the tests of this folder share. */
import { strict as assert } from 'node:assert';

import { createMachine, type Machine, type MachineOptions } from '#v8a/vm/index.js';

import { debianDisk } from '../../scripts/make-debian-disk.js';
import { AAVMF_CODE, skipWithout } from '../support/guests.js';
import { plain } from '../support/cli.js';

export const DISK = debianDisk();
export const skipWithoutDebian = skipWithout(DISK, AAVMF_CODE);

/** A boot takes a minute of a CPU that nobody else uses. */
const LIMIT = { timeoutMs: 25 * 60_000 };

/** What Linux warns of under QEMU's `virt` as well. */
export const USUAL =
  /Early cacheinfo failed|CONFIG_IMA_DISABLE_HTABLE|regulatory\.(0|db)|firmware_class: See|Memory resource size exceeds max for 32 bits/;

/** What the shell prints when a command has ended: its status. No command that is typed looks like it. */
const PROMPT = /\[(\d+)\]# /;
/** Typed at the first prompt: a shell that echoes nothing and has that prompt. */
export const PLAIN_SHELL = "stty -echo; TERM=dumb PS1='[$?]# ' exec sh\r";

/** A file of efivarfs (Linux Documentation/filesystems/efivarfs.rst). */
export const VENDOR = '6b1f6f0e-3c55-4a35-9f2b-0c2f5d5a12ff';
export const variableFile = (name: string): string => `/sys/firmware/efi/efivars/${name}-${VENDOR}`;
/** Sets a variable: attributes (non-volatile, boot services, run time) and data, in one write. */
export const setVariable = (name: string, value: string): string =>
  `printf '\\007\\0\\0\\0${value}' > ${variableFile(name)}`;
/** Prints a variable's value. */
export const showVariable = (name: string): string => `cat ${variableFile(name)} | tail -c +5`;

export class DebianGuest {
  readonly machine: Machine;
  #transcript = '';

  private constructor(machine: Machine) {
    this.machine = machine;
    const decoder = new TextDecoder();
    machine.serial.onOutput((bytes) => {
      this.#transcript += decoder.decode(bytes, { stream: true });
    });
  }

  /** Starts a machine with Debian's disk, which stays as it is, as its first disk. */
  static async start({ disks = [], ...options }: MachineOptions): Promise<DebianGuest> {
    const machine = await createMachine({
      // A kernel of its own starts without.
      ...(options.kernel === undefined ? { firmware: AAVMF_CODE ?? '' } : {}),
      ...{ clock: 'virtual', rng: true, ...options },
      disks: [{ file: DISK ?? '', overlay: true, serial: 'DEBIAN' }, ...disks],
    });
    const guest = new DebianGuest(machine);
    machine.start();
    return guest;
  }

  /** Everything the guest has printed, without control sequences. */
  get transcript(): string {
    return plain(this.#transcript);
  }

  async waitFor(pattern: string | RegExp): Promise<void> {
    await this.machine.serial.waitFor(pattern, LIMIT);
  }

  send(text: string): void {
    this.machine.serial.send(text);
  }

  /** Waits until somebody may log in, and logs in. Returns the instructions executed until then. */
  async login(): Promise<number> {
    await this.waitFor('login: ');
    const { instructions } = this.machine.stats();
    this.send('root\r');
    await this.waitFor('# ');
    this.send(PLAIN_SHELL);
    await this.waitFor(PROMPT);
    return instructions;
  }

  /** Runs a command and returns what it printed. Fails when its status isn't 0. */
  async run(command: string): Promise<string> {
    this.send(`${command}\r`);
    const { before, match } = await this.machine.serial.waitFor(PROMPT, LIMIT);
    const output = plain(before).trim();
    assert.equal(match[1], '0', `${command}\n${output}`);
    return output;
  }

  /** Shuts down, and sees to it that the machine is off. */
  async powerOff(): Promise<void> {
    this.send('poweroff\r');
    const reason = await this.machine.stopped();
    assert.deepEqual(reason, { kind: 'power-off' }, this.transcript.slice(-2000));
  }
}

/** Starts Debian, hands it to `use`, and closes the machine however that ends. */
export async function withDebian(
  options: MachineOptions,
  use: (guest: DebianGuest) => Promise<void>,
): Promise<void> {
  const guest = await DebianGuest.start(options);
  try {
    await use(guest);
  } finally {
    await guest.machine.close();
  }
}
