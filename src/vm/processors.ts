import { invariant } from '../base/index.js';
import type { Trace } from '../base/index.js';
import { AddressSpace } from '../bus/index.js';
import type { DeviceAccesses, DirectMap, LendingDmaPort } from '../bus/index.js';
import type { Board, BoardPorts } from '../boards/ports.js';
import { GuestMemory } from '../cpu/guest-memory.js';
import type { CoreImage } from '../cpu/interpreter.js';
import type { CpuModel } from '../cpu/models.js';
import type { GuestRegion } from '../cpu/guest-stack.js';
import { GuestStackReader } from '../cpu/guest-stack.js';
import type { TranslationPolicy } from '../cpu/translation-policy.js';
import type { TranslationService } from '../cpu/translation-service.js';
import type { DirectRegion, FirmwareResult } from '../cpu/wasm-engine.js';
import { WasmEngine } from '../cpu/wasm-engine.js';
import type { DeviceStatistics, PowerLatch } from './machine.js';
import type { Profiler } from './profiler.js';

/** CPUs and memory, made before the board, whose devices are wired to them, and connected to it afterwards. */
export interface Processors extends Pick<BoardPorts, 'currentCpu' | 'cpuLines' | 'cpuActivity' | 'cpuPower'> {
  readonly engine: WasmEngine;
  readonly dma: LendingDmaPort;
  directMap(base: number, sizeBytes: number): DirectMap;
  /** Puts the board's devices, RAM, system registers and PSCI where the CPUs find them. */
  connect(board: Board): void;
  /** Accesses by device. */
  statistics(): readonly DeviceStatistics[];
}

interface ProcessorOptions {
  /** Aff3 to Aff0 of each CPU's MPIDR_EL1, in the register's places. */
  readonly cpuAffinities: readonly bigint[];
  readonly cpu: CpuModel;
  /** The core module for that CPU. */
  readonly core: CoreImage;
  readonly jit: TranslationPolicy;
  /** Where `jit` is `async`. */
  readonly translationService?: TranslationService;
  /** Sizes of the direct memory that devices will ask for, in the order in which they do, in bytes. */
  readonly directBytes: readonly number[];
  readonly memoryBytes: number;
  readonly trace: Trace;
  readonly power: Pick<PowerLatch, 'halt'>;
  /** What looks at the guest every now and then. */
  readonly profiler?: Pick<Profiler, 'samplerOf'>;
}

export function buildProcessors(options: ProcessorOptions): Processors {
  const { cpuAffinities, cpu: model, core, jit, directBytes, memoryBytes, trace, power, profiler } = options;
  const memory = new GuestMemory([memoryBytes, ...directBytes]);
  const addressSpace = new AddressSpace(trace);
  const regions: GuestRegion[] = [];
  let board: Board | undefined;

  const firmwareCall = (
    conduit: 'hvc' | 'smc',
    cpu: number,
    x: readonly [bigint, bigint, bigint, bigint],
    setX0: (value: bigint) => void,
  ): FirmwareResult => {
    if (!board || conduit !== board.psciConduit) return 'undefined';
    const { x0, next } = board.psci.call(cpu, x);
    setX0(x0);
    // CPU_OFF stops one of several.
    if (next === 'stop') return engine.cpuPower(cpu) === 'off' && engine.poweredCpus > 0 ? 'off' : 'stop';
    return next === 'wait' ? 'wait' : 'continue';
  };

  const ports = {
    addressSpace,
    systemRegisterPort: (name: string) => board?.systemRegisters.get(name),
    firmwareCall,
    trace,
    ...(options.translationService ? { translationService: options.translationService } : {}),
    ...(profiler
      ? { sampler: profiler.samplerOf(new GuestStackReader(memory, regions), cpuAffinities.length > 1) }
      : {}),
  };
  const engine = new WasmEngine(memory, model, core, ports, cpuAffinities, jit);

  let directCount = 0;
  return {
    engine,
    dma: engine.dma,
    currentCpu: () => engine.currentCpu,
    cpuLines: (cpu) => ({
      irq: { set: (level) => engine.setIrq(cpu, level) },
      fiq: { set: (level) => engine.setFiq(cpu, level) },
    }),
    cpuActivity: (cpu) => engine.activity(cpu),
    cpuPower: {
      state: (cpu) => engine.cpuPower(cpu),
      on: (cpu, entry, contextId) => {
        engine.powerOn(cpu, entry, contextId);
      },
      off: (cpu) => {
        engine.powerOff(cpu);
        if (engine.poweredCpus === 0) power.halt();
      },
    },
    directMap: (base, sizeBytes) => {
      invariant(directBytes[directCount] === sizeBytes, 'direct memory as announced');
      directCount++;
      const region: DirectRegion = { base, sizeBytes, block: directCount, isReadOnly: true };
      regions.push({ base, sizeBytes, hostAddress: memory.addressOf(directCount) });
      return engine.directMap(region);
    },
    connect: (connected) => {
      board = connected;
      const { base, sizeBytes } = connected.ram;
      regions.push({ base, sizeBytes, hostAddress: memory.addressOf(0) });
      engine.setMapped({ base, sizeBytes, block: 0, isReadOnly: false }, true);
      for (const { base: at, device } of connected.map) addressSpace.add(at, device);
    },
    statistics: () => accessStatistics(addressSpace.accesses()),
  };
}

/** Rows of slots, such as virtio-mmio0 to 31, count as one. */
const MANY_SLOTS = 8;

function accessStatistics(accesses: readonly DeviceAccesses[]): DeviceStatistics[] {
  const stem = (device: string): string => device.replace(/\d+$/, '');
  const sums = new Map<string, { reads: number; writes: number }>();
  for (const { device, reads, writes } of accesses) {
    if (reads + writes === 0) continue;
    const siblings = accesses.filter((other) => stem(other.device) === stem(device)).length;
    const name = siblings >= MANY_SLOTS ? stem(device) : device;
    const sum = sums.get(name) ?? { reads: 0, writes: 0 };
    sums.set(name, { reads: sum.reads + reads, writes: sum.writes + writes });
  }
  return [...sums].map(([name, counts]) => ({ name, counts }));
}
