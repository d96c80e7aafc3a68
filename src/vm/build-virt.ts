import { UserError } from '../base/index.js';
import type { Trace } from '../base/index.js';
import type { ByteSink, Clock, FlashStorage } from '../bus/index.js';
import type { FlashBank } from '../boards/ports.js';
import {
  affinityOf,
  buildVirt as buildVirtBoard,
  VIRT_FLASH_GEOMETRY,
  type VirtKernel,
} from '../boards/virt.js';
import type { CoreImage } from '../cpu/interpreter.js';
import type { CpuModel } from '../cpu/models.js';
import type { WasmEngine } from '../cpu/wasm-engine.js';
import type { ConsoleSize, VirtioConsole } from '../devices/virtio/virtio-console.js';
import type { CfiFlashCounters } from '../devices/cfi-flash/cfi-flash.js';
import { openFirmwareFile, openFlashFile } from '../host/node/flash-file.js';
import { hostRandom, seededRandom } from '../host/node/random.js';
import { readInitrdFile, readKernelFile, unpackKernel } from '../host/node/kernel-file.js';
import { encodeFdt } from '../tables/fdt.js';
import { openDisks, type DiskOptions } from './disks.js';
import type { VirtioLines } from './consoles.js';
import { openShares, type ShareOptions } from './shares.js';
import type { DeviceStatistics, Hardware, PowerLatch } from './machine.js';
import type { OpenNetwork } from './network.js';
import type { OutsideWorld } from './outside-world.js';
import { buildProcessors } from './processors.js';

const { sizeBytes: BANK_BYTES, blockBytes: BLOCK_BYTES } = VIRT_FLASH_GEOMETRY;

/** Room that firmware and boot loaders have for their changes to the device tree. */
const DEVICE_TREE_PADDING_BYTES = 4096;

/** Options of `createMachine`, complete, and what the machine around the board provides. */
interface VirtHardwareOptions {
  readonly firmware?: string | Uint8Array;
  readonly kernel?: string | Uint8Array;
  readonly initrd?: string | Uint8Array;
  readonly commandLine: string;
  readonly flash?: string | Uint8Array;
  readonly flashCommit: 'quiet' | 'immediate';
  readonly memoryBytes: number;
  readonly cpuCount: number;
  readonly gicVersion: 2 | 3;
  readonly hasIts: boolean;
  readonly hasAcpi: boolean;
  readonly epochSeconds: number;
  readonly cpu: CpuModel;
  readonly disks: readonly DiskOptions[];
  readonly shares: readonly ShareOptions[];
  /** Without, there is no console device. */
  readonly virtioLines?: VirtioLines;
  readonly consoleSize?: ConsoleSize;
  readonly virtioTransport: 'mmio' | 'mmio-legacy' | 'pci';
  readonly pciTestdevCount: number;
  readonly network?: OpenNetwork;
  /** An entropy device is there. */
  readonly hasRng: boolean;
  /** Where its bytes come from; left out: from the host. */
  readonly seed?: number;
  readonly core: CoreImage;
  readonly clock: Clock;
  /** Guest time passes by itself: what the host does in the background need not be waited for. */
  readonly isRealTime: boolean;
  readonly trace: Trace;
  readonly power: PowerLatch;
  readonly outside: OutsideWorld;
  readonly serialOutput: ByteSink;
}

export interface VirtHardware extends Hardware {
  readonly engine: WasmEngine;
}

/** The `virt` board with its CPU and its files. */
export function buildVirt(options: VirtHardwareOptions): VirtHardware {
  const { clock, trace, power, outside, serialOutput, epochSeconds, memoryBytes, cpuCount } = options;
  const kernel = openKernel(options);
  const firmware = openFirmware(options.firmware ?? new Uint8Array());
  try {
    // Closed in the other order, whatever happens on the way.
    const open: { close(): void }[] = [];
    try {
      const variables = openVariables(options.flash);
      open.push(variables);
      const disks = openDisks(options.disks, {
        flushesLater: options.isRealTime,
        onFailure: outside.report,
        onDone: outside.notify,
      });
      open.push(...disks);
      const shares = openShares(options.shares);
      open.push(...shares);
      outside.add(() => disks.some(({ pending }) => pending > 0));
      if (options.network) open.push(options.network);
      const network = options.network?.attach({ clock, epochSeconds, outside });
      const processors = buildProcessors({
        cpuAffinities: Array.from({ length: cpuCount }, (_, cpu) => affinityOf(cpu)),
        cpu: options.cpu,
        core: options.core,
        directBytes: [BANK_BYTES, BANK_BYTES],
        memoryBytes,
        trace,
        power,
      });
      const { engine, dma } = processors;
      let virtioConsole: VirtioConsole | undefined;
      const board = buildVirtBoard(
        {
          ramBytes: memoryBytes,
          gicVersion: options.gicVersion,
          hasIts: options.hasIts,
          cpuCount,
          cpu: options.cpu,
          hasAcpi: options.hasAcpi,
          hasFirmware: options.firmware !== undefined,
          ...(kernel ? { kernel } : {}),
          flash: [
            { writableBytes: 0, commitPolicy: options.flashCommit },
            { writableBytes: variables.writableBytes, commitPolicy: options.flashCommit },
          ],
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
          flashStorage: [undefined, variables.storage],
          virtio: {
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
      const [firmwareBank, variablesBank] = board.flash;
      firmware.load(firmwareBank!.load);
      variables.load(variablesBank!.load);
      const deviceTree = encodeFdt(board.deviceTree, { paddingBytes: DEVICE_TREE_PADDING_BYTES });
      return {
        engine,
        receiver: board.serialInput,
        ...(virtioConsole ? { virtioConsole } : {}),
        deviceTree,
        notices: [
          ...variables.notices,
          ...disks.flatMap(({ notices }) => notices),
          ...(options.network?.notices ?? []),
        ],
        reset: () => {
          board.reset();
          network?.reset();
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
        pressPowerKey: () => {
          board.pressPowerKey();
        },
        close: () => {
          closeAll(open);
        },
        statistics: () => [...processors.statistics(), ...board.flash.map(flashStatistics)],
      };
    } catch (error) {
      closeAll(open);
      throw error;
    }
  } finally {
    firmware.close();
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

function openKernel({ kernel, initrd, commandLine }: VirtHardwareOptions): VirtKernel | undefined {
  if (kernel === undefined) return undefined;
  return {
    image: typeof kernel === 'string' ? readKernelFile(kernel) : unpackKernel(kernel, 'given as bytes'),
    ...(initrd === undefined ? {} : { initrd: typeof initrd === 'string' ? readInitrdFile(initrd) : initrd }),
    commandLine,
  };
}

/** An image, wherever its bytes are. */
interface Image {
  /** Hands over the bytes in parts, with the offset of each. */
  load(into: FlashBank['load']): void;
  close(): void;
}

function openFirmware(given: string | Uint8Array): Image {
  return typeof given === 'string' ? openFirmwareFile(given, BANK_BYTES) : imageOf('firmware', given);
}

interface VariablesImage extends Image {
  readonly storage: FlashStorage | undefined;
  /** What lies beyond would be lost. */
  readonly writableBytes: number;
  readonly notices: readonly string[];
}

function openVariables(given: string | Uint8Array = new Uint8Array()): VariablesImage {
  if (typeof given !== 'string') {
    return { ...imageOf('flash', given), storage: undefined, writableBytes: BANK_BYTES, notices: [] };
  }
  const file = openFlashFile({
    path: given,
    bankBytes: BANK_BYTES,
    blockBytes: BLOCK_BYTES,
    sizing: 'blocks',
  });
  return {
    storage: file,
    writableBytes: file.sizeBytes,
    notices: file.notices,
    load: (into) => {
      file.load(into);
    },
    close: () => {
      file.close();
    },
  };
}

function imageOf(option: string, bytes: Uint8Array): Image {
  if (bytes.length > BANK_BYTES) {
    throw new UserError(
      'option',
      `${option} of ${bytes.length} bytes: accepted: at most ${BANK_BYTES}, the size of its flash bank`,
    );
  }
  return {
    load: (into) => {
      into(0, bytes);
    },
    close: () => undefined,
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
