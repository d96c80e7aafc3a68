import { invariant } from '../base/index.js';
import type { Trace } from '../base/index.js';
import type { DirectMap, DmaPort } from '../bus/index.js';
import type { Board, BoardPorts } from '../boards/ports.js';
import type { Engine } from '../cpu/engine.js';
import type { DeviceStatistics } from './machine.js';

/** CPUs and memory, made before the board, whose devices are wired to them, and connected to it afterwards. */
export interface Processors extends Pick<BoardPorts, 'currentCpu' | 'cpuLines' | 'cpuPower'> {
  readonly engine: Engine;
  readonly dma: DmaPort;
  directMap(base: number, sizeBytes: number): DirectMap;
  /** Puts the board's devices, RAM, system registers and PSCI where the CPUs find them. */
  connect(board: Board): void;
  /** Accesses by device. */
  statistics(): readonly DeviceStatistics[];
}

interface ProcessorOptions {
  readonly cpuCount: number;
  readonly memoryBytes: number;
  readonly trace: Trace;
}

export function buildProcessors({ cpuCount, memoryBytes }: ProcessorOptions): Processors {
  invariant(false, `no engine yet for ${cpuCount} CPUs and ${memoryBytes} bytes`);
}
