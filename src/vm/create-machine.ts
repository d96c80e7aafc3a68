import { MIB, NO_TRACE, UserError } from '../base/index.js';
import type { ConsoleSize } from '../devices/virtio/virtio-console.js';
import type { CoreImage } from '../cpu/interpreter.js';
import type { CpuModel, CpuModelName } from '../cpu/models.js';
import type { TranslationPolicy } from '../cpu/translation-policy.js';
import { DEFAULT_JIT, TRANSLATION_POLICIES } from '../cpu/translation-policy.js';
import { CPU_MODEL_NAMES, cpuModel, DEFAULT_CPU_MODEL, withEl2 } from '../cpu/models.js';
import { nodeLoop } from '../host/node/event-loop.js';
import type { MachineHardware } from './build-hardware.js';
import { buildHardware, type MachineDesigner } from './build-hardware.js';
import { DEFAULT_NS_PER_INSTRUCTION, RealClock, VirtualClock } from './clock.js';
import {
  checkConsoleSize,
  CONSOLE_KINDS,
  makeVirtioLines,
  withConsole,
  type ConsoleKind,
  type PortOptions,
} from './consoles.js';
import { coreImage } from './core-image.js';
import {
  DEFAULT_IRQCHIP, DEFAULT_MEMORY_BYTES, DEFAULT_VIRTIO_TRANSPORT, IRQCHIPS, MACHINES, isMemorySize, MAX_CPUS, MAX_MEMORY_BYTES, MAX_TEST_DEVICES, TEST_DEVICES, VIRTIO_TRANSPORTS,
} from './limits.js'; // prettier-ignore
import type { MachineName } from './limits.js';
import type { DiskOptions } from './disk-options.js';
import { Machine, PowerLatch } from './machine.js';
import type { NetworkOptions } from './network-options.js';
import type { OpenNetwork } from './network.js';
import { OutsideWorld } from './outside-world.js';
import type { ProfileOptions } from './profile-options.js';
import type { Profiler } from './profiler.js';
import type { ShareOptions } from './share-options.js';
import { SerialConsole } from './serial.js';
import { timedTrace } from './trace.js';
import type { TraceOptions } from './trace.js';

/** What the real-time clock shows at the start with the virtual clock: runs must not depend on the day. */
const VIRTUAL_START_TIME = new Date('2025-01-01T00:00:00Z');

export interface MachineOptions {
  /**
   * The board: `virt`, the default, compatible with QEMU's of that name, or `kvmtool`, compatible with the machine of
   * `lkvm run`.
   */
  readonly machine?: 'virt' | 'kvmtool';
  /**
   * The firmware: a path, or the bytes, which are copied. Never written. On `virt` it is in the first flash bank, and may
   * be smaller than that, which has 64 MiB. On `kvmtool` it is loaded into RAM, again at each reset, and excludes a
   * kernel. Left out: `kernel` is started without firmware.
   */
  readonly firmware?: string | Uint8Array;
  /** Where the firmware of `kvmtool` is loaded, a multiple of 4 KiB; at the start of RAM when left out. */
  readonly firmwareAddress?: number;
  /**
   * A kernel: a path, or the bytes. An arm64 `Image` as it is, packed by gzip or as an EFI zboot image, an ELF
   * executable, or any program that can run where QEMU's `virt` loads it. Started without a boot loader, or, where there
   * is firmware, offered to that through fw_cfg.
   */
  readonly kernel?: string | Uint8Array;
  /** The initial RAM disk for `kernel`: a path, or the bytes. */
  readonly initrd?: string | Uint8Array;
  /** The command line for `kernel`, printable ASCII. */
  readonly commandLine?: string;
  /** Nothing is added to `commandLine`, not even for the virtio console. False when left out. */
  readonly isCommandLineComplete?: boolean;
  /**
   * What a kernel that is started by the device tree moves itself by (KASLR), 64 bits. Left out: the tree has none, and
   * the kernel stays where it is loaded.
   */
  readonly kaslrSeed?: bigint;
  /**
   * The flash for firmware variables. A path: the file is read and written, and locked against a second machine. Bytes
   * are copied, and changes end with the machine. On `virt` it is the second bank of 64 MiB, and, left out, an erased
   * one that ends with the machine. On `kvmtool` there is no flash unless this is given; it is as large as the image,
   * rounded down to a power of two, at most 16 MiB.
   */
  readonly flash?: string | Uint8Array;
  /**
   * When changes reach the flash file. `quiet`, the default: together, once the guest has left the flash alone for
   * 20 ms of its time, and at every stop; the file never holds half an update. `immediate`: each command's as it
   * completes.
   */
  readonly flashCommit?: 'quiet' | 'immediate';
  /**
   * Whether guests read the flash at the speed of memory, which is the default. False: each read is an access to the
   * device, for measurements. Firmware in the first bank of `virt` is memory in any case.
   */
  readonly flashDirect?: boolean;
  /** Size of RAM in bytes, whole MiB up to 3 GiB; 512 MiB when left out. */
  readonly memoryBytes?: number;
  /** Where the RAM of `kvmtool` starts, a multiple of 2 MiB from 2 GiB up; 2 GiB when left out. */
  readonly memoryBase?: number;
  /** What the CPUs are: `cortex-a57`, the default, or `max`, with everything that is implemented. */
  readonly cpu?: CpuModelName;
  /** Number of CPUs, 1 to 8; 1 when left out. They take turns on one thread of the host. */
  readonly cpus?: number;
  /**
   * The CPUs have EL2 and start there, and firmware calls are by SMC: for hypervisors, and for systems that are to be
   * booted at EL2. False when left out. There is no stage 2 translation, so a hypervisor's guests won't run.
   */
  readonly el2?: boolean;
  /**
   * Whether code that is executed often is translated to WebAssembly: `sync`, as soon as it is found, `async`, on another
   * thread while the guest goes on, or `off`. The guest executes the same instructions either way. `always` translates all code
   * before it is executed, which is slow, and for tests.
   */
  readonly jit?: TranslationPolicy;
  /** Disks, up to 8, as virtio block devices. */
  readonly disks?: readonly DiskOptions[];
  /** Folders of the host, up to 8, as virtio 9P devices. */
  readonly shares?: readonly ShareOptions[];
  /**
   * Which console is the user's: `serial`, the default, the UART's; `virtio`, that of a virtio console device, which Linux
   * calls hvc0. A kernel whose command line names no console gets `console=hvc0` then.
   */
  readonly console?: ConsoleKind;
  /** Size of the terminal that a virtio console is shown on, which then can be changed. Left out: not known to the guest. */
  readonly consoleSize?: ConsoleSize;
  /** Lines between guest and host beside the console, up to 15, as ports of the virtio console device. */
  readonly ports?: readonly PortOptions[];
  /** A network card (virtio-net) and the network that it is connected to. Left out: there is none. */
  readonly network?: NetworkOptions;
  /** An entropy device (virtio-rng). Default: false. */
  readonly rng?: boolean;
  /**
   * What the entropy device's bytes follow from, a whole number from 0 up. Left out: they are the host's, or with the
   * virtual clock those of seed 0.
   */
  readonly seed?: number;
  /**
   * How drivers reach virtio devices: `mmio`, `mmio-legacy`, as before VIRTIO 1.0, or `pci`, where they are in slots 1, 2 …
   * in the order of the options: disks, then the others. Left out: `mmio`, with the machine `kvmtool` `pci`.
   */
  readonly virtioTransport?: 'mmio' | 'mmio-legacy' | 'pci';
  /**
   * Whether virtio devices insist on VIRTIO_F_ACCESS_PLATFORM (VIRTIO 1.2 6.1): drivers then take addresses from the
   * platform's DMA interface, as behind an IOMMU or in a confidential guest, and those that cannot are refused. There
   * is no IOMMU: the addresses are physical ones. Not with `mmio-legacy`, which has no such feature. Default: false.
   */
  readonly virtioAccessPlatform?: boolean;
  /** Devices for tests, on the PCI bus, in the slots behind those of virtio devices. None when left out. */
  readonly devices?: readonly 'pci-testdev'[];
  /**
   * Interrupt controller; left out: `gicv3`, with the machine `kvmtool` `gicv3-its`. PCI functions have message-signalled interrupts with `gicv2m`, which
   * `gicv2` of the machine `virt` is too, and with `gicv3-its`, a GICv3 with an Interrupt Translation Service; with `gicv3` they have their pins.
   */
  readonly irqchip?: (typeof IRQCHIPS)[number];
  /**
   * Whether firmware of `virt` gets ACPI tables beside the device tree; `true` when left out. (`kvmtool` has none;
   * firmware makes them.) UEFI firmware hands one of the two
   * on to the operating system, ACPI where it has it.
   */
  readonly acpi?: boolean;
  /**
   * `real`, the default: guest time follows the host's clock. `virtual`: guest time is the number of executed
   * instructions times `nsPerInstruction`, and jumps over waits; the same guest with the same input executes the
   * same instructions.
   */
  readonly clock?: 'real' | 'virtual';
  /** Guest nanoseconds per instruction with the virtual clock, a whole number, 4 when left out. */
  readonly nsPerInstruction?: number;
  /**
   * The time that the guest's real-time clock starts with. Left out: now, or 2025-01-01 with the virtual clock.
   */
  readonly startTime?: Date;
  /** What happens when the guest resets itself: `restart`, the default, or `stop` with the reason `reset`. */
  readonly onReset?: 'restart' | 'stop';
  /** Events to report from inside the machine. */
  readonly trace?: TraceOptions;
  /**
   * Finds out what the machine spends its time on, from now until `Machine.takeProfile`. The guest executes the same
   * instructions as without. One machine at a time, as all that this thread does is seen.
   */
  readonly profile?: ProfileOptions;
}

/**
 * Builds a machine, ready for `start()`. Close it when done with it.
 *
 * @throws {UserError} when an option is wrong or a file cannot be used; `message` is one line that names the value
 *   given and what would do. Nothing on disk has changed then.
 *
 * @example
 * ```ts
 * import { createMachine } from 'v8a';
 *
 * const machine = await createMachine({ firmware: 'AAVMF_CODE.fd', flash: 'vars.fd', clock: 'virtual' });
 * try {
 *   machine.start();
 *   await machine.serial.waitFor('Shell>');
 *   machine.serial.send('ver\r');
 *   const { before } = await machine.serial.waitFor('Shell>');
 *   console.log(before);
 *   machine.serial.send('reset -s\r');
 *   console.log((await machine.stopped()).kind); // power-off
 * } finally {
 *   await machine.close();
 * }
 * ```
 */
export async function createMachine(options: MachineOptions): Promise<Machine> {
  const profiler =
    options.profile && (await (await import('./profiler.js')).Profiler.start(options.profile, nodeLoop));
  let network: OpenNetwork | undefined;
  try {
    if (options.network) network = await (await import('./network.js')).openNetwork(options.network);
    return (await assembleMachine(options, coreImage, network, profiler)).machine;
  } catch (error) {
    network?.close();
    profiler?.close();
    throw error;
  }
}

/**
 * `createMachine` with a look inside and, for tools, other core modules. `network` and `profiler` are those of the options,
 * opened.
 */
export async function assembleMachine(
  options: MachineOptions,
  coreOf: (model: CpuModel) => CoreImage = coreImage,
  network?: OpenNetwork,
  profiler?: Profiler,
): Promise<{ readonly machine: Machine; readonly hardware: MachineHardware }> {
  checkWord('machine', options.machine, MACHINES);
  checkWord('flashCommit', options.flashCommit, ['quiet', 'immediate']);
  checkWord('cpu', options.cpu, CPU_MODEL_NAMES);
  checkWord('jit', options.jit, TRANSLATION_POLICIES);
  checkWord('irqchip', options.irqchip, IRQCHIPS);
  checkWord('console', options.console, CONSOLE_KINDS);
  if (options.consoleSize) checkConsoleSize(options.consoleSize);
  checkWord('clock', options.clock, ['real', 'virtual']);
  checkWord('onReset', options.onReset, ['restart', 'stop']);
  checkWord('virtioTransport', options.virtioTransport, VIRTIO_TRANSPORTS);
  if (options.virtioAccessPlatform === true && options.virtioTransport === 'mmio-legacy') {
    throw new UserError(
      'option',
      'virtioAccessPlatform with virtioTransport mmio-legacy, which has no such feature; accepted: mmio, pci',
    );
  }
  for (const device of options.devices ?? []) checkWord('devices', device, TEST_DEVICES);
  checkCount('devices', options.devices, MAX_TEST_DEVICES);
  const nsPerInstruction = options.nsPerInstruction ?? DEFAULT_NS_PER_INSTRUCTION;
  if (!Number.isSafeInteger(nsPerInstruction) || nsPerInstruction < 1) {
    throw new UserError('option', `nsPerInstruction ${nsPerInstruction}: accepted: a whole number from 1 up`);
  }
  const memoryBytes = options.memoryBytes ?? DEFAULT_MEMORY_BYTES;
  if (!isMemorySize(memoryBytes)) {
    throw new UserError(
      'option',
      `memoryBytes ${memoryBytes}: accepted: whole MiB (${MIB}) up to ${MAX_MEMORY_BYTES / MIB} of them`,
    );
  }

  const cpuCount = options.cpus ?? 1;
  if (!Number.isInteger(cpuCount) || cpuCount < 1 || cpuCount > MAX_CPUS) {
    throw new UserError('option', `cpus ${cpuCount}: accepted: a whole number from 1 to ${MAX_CPUS}`);
  }

  checkBoot(options);
  const machineName = options.machine ?? 'virt';
  checkMachine(machineName, options);
  const plain = cpuModel(options.cpu ?? DEFAULT_CPU_MODEL);
  const model = options.el2 === true ? withEl2(plain) : plain;
  const { kaslrSeed } = options;
  if (kaslrSeed !== undefined && BigInt.asUintN(64, kaslrSeed) !== kaslrSeed) {
    throw new UserError('option', `kaslrSeed ${kaslrSeed}: accepted: 64 bits`);
  }
  const isVirtual = options.clock === 'virtual';
  const seed = options.seed ?? (isVirtual ? 0 : undefined);
  if (seed !== undefined && !(Number.isSafeInteger(seed) && seed >= 0)) {
    throw new UserError('option', `seed ${seed}: accepted: a whole number from 0 up`);
  }
  const clock = isVirtual ? new VirtualClock(nsPerInstruction) : new RealClock(nodeLoop);
  const startTime = options.startTime ?? (isVirtual ? VIRTUAL_START_TIME : new Date());
  const power = new PowerLatch();
  const console = new SerialConsole(nodeLoop);
  const consoleKind = options.console ?? 'serial';
  const virtioLines = makeVirtioLines(consoleKind, options.ports ?? [], nodeLoop);
  const outside = new OutsideWorld();
  const hardware = await buildHardware(
    {
      ...(options.firmware === undefined ? {} : { firmware: options.firmware }),
      ...(options.kernel === undefined ? {} : { kernel: options.kernel }),
      ...(options.initrd === undefined ? {} : { initrd: options.initrd }),
      commandLine: withConsole(
        options.commandLine ?? '',
        options.isCommandLineComplete === true ? 'serial' : consoleKind,
      ),
      ...(kaslrSeed === undefined ? {} : { kaslrSeed }),
      ...(options.flash === undefined ? {} : { flash: options.flash }),
      flashCommit: options.flashCommit ?? 'quiet',
      isFlashDirect: options.flashDirect ?? true,
      memoryBytes,
      ...(options.memoryBase === undefined ? {} : { memoryBase: options.memoryBase }),
      ...(options.firmwareAddress === undefined ? {} : { firmwareAddress: options.firmwareAddress }),
      cpuCount,
      cpu: model,
      core: coreOf(model),
      jit: options.jit ?? DEFAULT_JIT,
      hasAcpi: options.acpi ?? machineName === 'virt',
      irqchip: options.irqchip ?? DEFAULT_IRQCHIP[machineName],
      epochSeconds: Math.floor(startTime.getTime() / 1000),
      disks: options.disks ?? [],
      shares: options.shares ?? [],
      ...(virtioLines ? { virtioLines } : {}),
      ...(options.consoleSize ? { consoleSize: options.consoleSize } : {}),
      ...(network ? { network } : {}),
      virtioTransport: options.virtioTransport ?? DEFAULT_VIRTIO_TRANSPORT[machineName],
      virtioAccessPlatform: options.virtioAccessPlatform ?? false,
      pciTestdevCount: options.devices?.length ?? 0,
      hasRng: options.rng ?? false,
      ...(seed === undefined ? {} : { seed }),
      clock,
      isRealTime: !isVirtual,
      outside,
      trace: options.trace ? timedTrace(options.trace, clock) : NO_TRACE,
      power,
      ...(profiler ? { profiler } : {}),
      serialOutput: console,
    },
    await DESIGNS[machineName](),
  );
  const onReset = options.onReset ?? 'restart';
  const machine = new Machine({
    ...{ hardware, clock, host: nodeLoop, power, console, outside, onReset },
    ...(virtioLines ? { virtioLines } : {}),
    ...(profiler ? { profiler } : {}),
    consoleKind,
  });
  return { machine, hardware };
}

/** How each kind of machine is made: a board is loaded when there is one. */
const DESIGNS: Readonly<Record<MachineName, () => Promise<MachineDesigner>>> = {
  virt: async () => (await import('./virt-machine.js')).designVirt,
  kvmtool: async () => (await import('./kvmtool-machine.js')).designKvmtool,
};

/** Options that only one kind of machine has. */
function checkMachine(machine: MachineName, options: MachineOptions): void {
  const refuse = (option: string, accepted: string): never => {
    throw new UserError('option', `${option} with machine ${machine}: accepted: ${accepted}`);
  };
  if (machine === 'virt') {
    for (const option of ['memoryBase', 'firmwareAddress'] as const) {
      if (options[option] !== undefined) refuse(`${option} ${options[option]}`, 'machine kvmtool');
    }
    return;
  }
  if (options.acpi === true) refuse('acpi true', 'machine virt; this one has a device tree only');
  if (options.firmware !== undefined && options.kernel !== undefined) {
    refuse('firmware and kernel', 'one of the two');
  }
  if (options.firmwareAddress !== undefined && options.firmware === undefined) {
    refuse(`firmwareAddress ${options.firmwareAddress}`, 'together with firmware');
  }
}

/** Something has to start, and what is for a kernel needs one. */
function checkBoot({ machine, firmware, kernel, initrd, commandLine }: MachineOptions): void {
  if (firmware === undefined && kernel === undefined) {
    throw new UserError('option', 'firmware and kernel are missing: accepted: one of them, or both');
  }
  for (const [option, value] of [
    ['initrd', initrd],
    ['commandLine', commandLine],
  ] as const) {
    if (value === undefined || kernel !== undefined) continue;
    // Firmware hands it on to the system that it boots.
    if (option === 'commandLine' && machine === 'kvmtool') continue;
    throw new UserError('option', `${option}: accepted: together with a kernel`);
  }
  if (commandLine !== undefined && !/^[\x20-\x7e]*$/.test(commandLine)) {
    throw new UserError('option', `commandLine ${JSON.stringify(commandLine)}: accepted: printable ASCII`);
  }
}

/** Options come from JavaScript too. */
function checkWord(option: string, word: string | undefined, accepted: readonly string[]): void {
  if (word === undefined || accepted.includes(word)) return;
  throw new UserError('option', `${option} ${word}: accepted: ${accepted.join(', ')}`);
}

function checkCount(option: string, list: readonly unknown[] = [], most: number): void {
  if (list.length <= most) return;
  throw new UserError('option', `${list.length} ${option}: accepted: up to ${most}`);
}
