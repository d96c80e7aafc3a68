import { KIB, type Trace } from '../base/index.js';
import type { ByteSink, Clock, DmaPort } from '../bus/index.js';
import type { Board, BoardConfig, BoardKernel, BoardPorts, FlashBank } from '../boards/ports.js';
import { affinityOf } from '../boards/layout.js';
import type { CoreImage } from '../cpu/interpreter.js';
import type { CpuModel } from '../cpu/models.js';
import type { TranslationPolicy } from '../cpu/translation-policy.js';
import type { WasmEngine } from '../cpu/wasm-engine.js';
import type { ConsoleSize, VirtioConsole } from '../devices/virtio/virtio-console.js';
import type { CfiFlashCounters } from '../devices/cfi-flash/cfi-flash.js';
import { hostRandom, seededRandom } from '../host/node/random.js';
import { readInitrdFile, readKernelFile, unpackKernel } from '../host/node/kernel-file.js';
import { encodeFdt } from '../tables/fdt.js';
import type { DiskOptions } from './disk-options.js';
import type { VirtioLines } from './consoles.js';
import type { FlashImage } from './flash-images.js';
import type { IRQCHIPS, VIRTIO_TRANSPORTS } from './limits.js';
import type { ShareOptions } from './share-options.js';
import type { DeviceStatistics, Hardware, PowerLatch } from './machine.js';
import type { OpenNetwork } from './network.js';
import type { OutsideWorld } from './outside-world.js';
import { buildProcessors } from './processors.js';
import type { Profiler } from './profiler.js';

/** Room that firmware and boot loaders have for their changes to the device tree. */
const DEVICE_TREE_PADDING_BYTES = 4096;

/** Options of `createMachine`, complete, and what the machine around the board provides. */
export interface HardwareOptions {
  readonly firmware?: string | Uint8Array;
  readonly kernel?: string | Uint8Array;
  readonly initrd?: string | Uint8Array;
  readonly commandLine: string;
  readonly kaslrSeed?: bigint;
  readonly flash?: string | Uint8Array;
  readonly flashCommit: 'quiet' | 'immediate';
  readonly isFlashDirect: boolean;
  readonly memoryBytes: number;
  /** Where RAM and firmware are, on a board that lets the user choose. */
  readonly memoryBase?: number;
  readonly firmwareAddress?: number;
  readonly cpuCount: number;
  readonly irqchip: (typeof IRQCHIPS)[number];
  readonly hasAcpi: boolean;
  readonly epochSeconds: number;
  readonly cpu: CpuModel;
  readonly disks: readonly DiskOptions[];
  readonly shares: readonly ShareOptions[];
  /** Without, there is no console device. */
  readonly virtioLines?: VirtioLines;
  readonly consoleSize?: ConsoleSize;
  readonly virtioTransport: (typeof VIRTIO_TRANSPORTS)[number];
  readonly virtioAccessPlatform: boolean;
  readonly pciTestdevCount: number;
  readonly network?: OpenNetwork;
  /** An entropy device is there. */
  readonly hasRng: boolean;
  /** Where its bytes come from; left out: from the host. */
  readonly seed?: number;
  readonly core: CoreImage;
  readonly jit: TranslationPolicy;
  readonly clock: Clock;
  /** Guest time passes by itself: what the host does in the background need not be waited for. */
  readonly isRealTime: boolean;
  readonly trace: Trace;
  readonly power: PowerLatch;
  readonly profiler?: Profiler;
  readonly outside: OutsideWorld;
  readonly serialOutput: ByteSink;
}

export interface MachineHardware extends Hardware {
  readonly engine: WasmEngine;
}

/** What a kind of machine makes of the options. */
export interface MachineDesign {
  /** What is in the board's flash banks, in their order. Open. */
  readonly banks: readonly FlashImage[];
  readonly build: (config: BoardConfig, ports: BoardPorts) => Board;
}

export type MachineDesigner = (options: HardwareOptions) => MachineDesign;

/** A board with its CPUs and its files. What only some machines have is loaded for those. */
export async function buildHardware(
  options: HardwareOptions,
  designOf: MachineDesigner,
): Promise<MachineHardware> {
  const { clock, trace, power, outside, serialOutput, epochSeconds, memoryBytes, cpuCount } = options;
  const kernel = openKernel(options);
  // Closed in the other order, whatever happens on the way.
  const open: { close(): void }[] = [];
  try {
    const { banks, build } = designOf(options);
    open.push(...banks);
    const disks =
      options.disks.length === 0
        ? []
        : (await import('./disks.js')).openDisks(options.disks, {
            flushesLater: options.isRealTime,
            onFailure: outside.report,
            onDone: outside.notify,
          });
    open.push(...disks);
    const shares =
      options.shares.length === 0 ? [] : (await import('./shares.js')).openShares(options.shares);
    open.push(...shares);
    outside.add(() => disks.some(({ pending }) => pending > 0));
    if (options.network) open.push(options.network);
    const network = options.network?.attach({ clock, epochSeconds, outside });
    const translationService =
      options.jit === 'async'
        ? new (await import('./translation-thread.js')).TranslationThread(
            { model: options.cpu, index: options.core.handlers, hasNames: options.profiler !== undefined },
            outside.report,
          )
        : undefined;
    if (translationService) open.push(translationService);
    const processors = buildProcessors({
      cpuAffinities: Array.from({ length: cpuCount }, (_, cpu) => affinityOf(cpu)),
      cpu: options.cpu,
      core: options.core,
      jit: options.jit,
      ...(translationService ? { translationService } : {}),
      directBytes: banks.map(({ bankBytes }) => bankBytes),
      memoryBytes,
      trace,
      power,
      ...(options.profiler ? { profiler: options.profiler } : {}),
    });
    const { engine, dma } = processors;
    let virtioConsole: VirtioConsole | undefined;
    let hasStarted = false;
    const board = build(
      {
        ramBytes: memoryBytes,
        cpuCount,
        cpu: options.cpu,
        ...(kernel ? { kernel } : {}),
        ...(options.kaslrSeed === undefined ? {} : { kaslrSeed: options.kaslrSeed }),
        virtioTransport: options.virtioTransport,
        pciTestdevCount: options.pciTestdevCount,
      },
      {
        clock,
        trace,
        currentCpu: () => processors.currentCpu(),
        cpuLines: (cpu) => processors.cpuLines(cpu),
        cpuActivity: (cpu) => processors.cpuActivity(cpu),
        cpuPower: processors.cpuPower,
        dma,
        directMap: (base, sizeBytes) => processors.directMap(base, sizeBytes),
        serialOutput,
        epochSeconds,
        powerPort: power,
        flashStorage: banks.map(({ storage }) => storage),
        virtio: {
          accessPlatform: options.virtioAccessPlatform,
          disks: disks.map((storage, index) => {
            const serial = options.disks[index]?.serial;
            return { storage, ...(serial === undefined ? {} : { serial }) };
          }),
          shares: shares.map((share, index) => ({ share, tag: options.shares[index]!.tag })),
          ...(options.virtioLines
            ? {
                console: {
                  ports: [
                    { output: options.virtioLines.console },
                    ...Array.from(options.virtioLines.ports, ([name, output]) => ({ name, output })),
                  ],
                  ...(options.consoleSize ? { size: options.consoleSize } : {}),
                  connect: (device) => {
                    virtioConsole = device;
                  },
                },
              }
            : {}),
          ...(options.network && network ? { network: { mac: options.network.mac, port: network } } : {}),
          ...(options.hasRng
            ? { random: options.seed === undefined ? hostRandom : seededRandom(options.seed) }
            : {}),
        },
        onStorageError: (error) => {
          power.fail(error);
          engine.kick();
        },
      },
    );
    processors.connect(board);
    for (const [index, { load }] of board.flash.entries()) banks[index]!.load(load);
    const deviceTree = encodeFdt(board.deviceTree, { paddingBytes: DEVICE_TREE_PADDING_BYTES });
    return {
      engine,
      receiver: board.serialInput,
      ...(virtioConsole ? { virtioConsole } : {}),
      deviceTree,
      notices: [...banks, ...disks, ...(options.network ? [options.network] : [])].flatMap(
        ({ notices }) => notices,
      ),
      reset: () => {
        board.reset();
        network?.reset();
        // It is zero before the guest has run.
        if (board.isRamClearedByReset && hasStarted) clearRam(board.ram, dma);
        hasStarted = true;
        for (const { address, bytes, sizeBytes } of board.images) {
          dma.write(address, bytes);
          dma.write(address + bytes.length, new Uint8Array(sizeBytes - bytes.length));
        }
        dma.write(board.deviceTreeBase, deviceTree);
        engine.reset(board.resetState.pc, board.resetState.x0);
      },
      flush: () => {
        for (const { commit } of board.flash) commit?.flush();
      },
      sync: () => {
        for (const { commit } of board.flash) commit?.sync();
        for (const disk of disks) disk.sync();
      },
      ...(board.pressPowerKey ? { pressPowerKey: board.pressPowerKey } : {}),
      close: () => {
        closeAll(open);
      },
      statistics: () => [...processors.statistics(), ...board.flash.map(flashStatistics)],
    };
  } catch (error) {
    closeAll(open);
    throw error;
  }
}

const CLEARED_BYTES = 64 * KIB;

/** Writes zeros where there are none: memory that the guest has not touched costs the host nothing, and stays so. */
function clearRam({ base, sizeBytes }: Board['ram'], dma: DmaPort): void {
  const zeros = new Uint8Array(CLEARED_BYTES);
  const bytes = new Uint8Array(CLEARED_BYTES);
  for (let at = 0; at < sizeBytes; at += CLEARED_BYTES) {
    dma.read(base + at, bytes);
    if (Buffer.compare(bytes, zeros) !== 0) dma.write(base + at, zeros);
  }
}

/** Closes everything, the last first, and reports the first failure when all is closed. */
function closeAll(open: readonly { close(): void }[]): void {
  const failures: unknown[] = [];
  for (const part of open.toReversed()) {
    try {
      part.close();
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length > 0) throw failures[0];
}

function openKernel({ kernel, initrd, commandLine }: HardwareOptions): BoardKernel | undefined {
  if (kernel === undefined) return undefined;
  return {
    image: typeof kernel === 'string' ? readKernelFile(kernel) : unpackKernel(kernel, 'given as bytes'),
    ...(initrd === undefined ? {} : { initrd: typeof initrd === 'string' ? readInitrdFile(initrd) : initrd }),
    commandLine,
  };
}

/** Reads and writes are counted by the address space, for every device alike. */
const FLASH_COUNTS: Readonly<Record<Exclude<keyof CfiFlashCounters, 'reads' | 'writes'>, string>> = {
  trappedArrayReads: 'trapped array reads',
  departuresFromArray: 'departures from array mode',
  returnsToArray: 'returns to array mode',
  readArrayCommands: 'read array commands',
  programs: 'programs',
  bufferedPrograms: 'buffered programs',
  erases: 'erases',
};

function flashStatistics({ device }: FlashBank): DeviceStatistics {
  const counts: Record<string, number> = {};
  for (const [counter, name] of Object.entries(FLASH_COUNTS)) {
    counts[name] = device.counters[counter as keyof typeof FLASH_COUNTS];
  }
  return { name: device.name, counts };
}
