/** What every CPU of a board has beside it: generic timers and performance monitors, with the interrupts of Arm's BSA. */
import { UserError } from '../base/index.js';
import type { DtNode, DtValue, SystemRegisterPort } from '../bus/index.js';
import { MAX_CPUS } from '../cpu/layout.js';
import { hasFeature, type CpuModel } from '../cpu/models.js';
import { GenericTimers, TIMER_REGISTERS } from '../devices/generic-timer.js';
import { PerformanceMonitors } from '../devices/performance-monitors.js';
import type { PsciConduit } from '../firmware/psci.js';
import type { InterruptController } from './interrupt-controllers.js';
import { affinityOf } from './layout.js';
import type { BoardPorts } from './ports.js';

/** Private peripheral interrupts (INTID - 16) of the generic timers. */
export const TIMER_PPIS = {
  securePhysical: 13,
  physical: 14,
  virtual: 11,
  hypervisor: 10,
  hypervisorVirtual: 12,
} as const;
/** Of the performance monitors. */
export const PMU_PPI = 7;
const SYSTEM_COUNTER_HZ = 62_500_000;

/** Calls INTID 16 + n what the device tree calls PPI n. */
export const intidOfPpi = (ppi: number): number => 16 + ppi;

/** A guest that has EL2 must be free to take HVCs itself. */
export function psciConduitOf(cpu: CpuModel): PsciConduit {
  return hasFeature(cpu, 'EL2') ? 'smc' : 'hvc';
}

/** User error `cpu-count`. */
export function checkCpuCount(board: string, cpuCount: number): void {
  if (Number.isInteger(cpuCount) && cpuCount >= 1 && cpuCount <= MAX_CPUS) return;
  throw new UserError('cpu-count', `${cpuCount} CPUs: the ${board} board takes 1 to ${MAX_CPUS}`);
}

export interface CpuDevices {
  readonly timers: GenericTimers;
  readonly pmu: PerformanceMonitors;
  /** Those of the interrupt controller too. */
  readonly systemRegisters: ReadonlyMap<string, SystemRegisterPort>;
}

export function buildCpuDevices(
  cpu: CpuModel,
  cpuCount: number,
  intc: InterruptController,
  ports: BoardPorts,
): CpuDevices {
  const cpus = Array.from({ length: cpuCount }, (_, index) => index);
  const timers = new GenericTimers(SYSTEM_COUNTER_HZ, {
    clock: ports.clock,
    cpus: cpus.map((index) => ({
      physical: intc.ppi(index, TIMER_PPIS.physical),
      virtual: intc.ppi(index, TIMER_PPIS.virtual),
      hypervisor: intc.ppi(index, TIMER_PPIS.hypervisor),
      hypervisorVirtual: intc.ppi(index, TIMER_PPIS.hypervisorVirtual),
    })),
  });
  const pmu = new PerformanceMonitors(
    { pmcr: cpu.pmcr, hasEl2: hasFeature(cpu, 'EL2') },
    cpus.map((index) => ({ activity: ports.cpuActivity(index), irq: intc.ppi(index, PMU_PPI) })),
  );
  return {
    timers,
    pmu,
    systemRegisters: new Map([
      ...intc.systemRegisters,
      ...TIMER_REGISTERS.map((name): [string, SystemRegisterPort] => [name, timers]),
      ...pmu.registers.map((name): [string, SystemRegisterPort] => [name, pmu]),
    ]),
  };
}

export function cpuLabel(cpu: number): string {
  return `cpu${cpu}`;
}

/** Devicetree Specification v0.4 3.8. Each CPU has `properties`, and a label; `children` follow the CPUs. */
export function describeCpus(
  cpuCount: number,
  properties: Readonly<Record<string, DtValue>>,
  children: readonly DtNode[] = [],
): DtNode {
  return {
    name: 'cpus',
    properties: { '#address-cells': { cells: [1] }, '#size-cells': { cells: [0] } },
    children: [
      ...Array.from({ length: cpuCount }, (_, cpu) => ({
        name: `cpu@${affinityOf(cpu).toString(16)}`,
        label: cpuLabel(cpu),
        properties: { device_type: 'cpu', reg: { cells: [Number(affinityOf(cpu))] }, ...properties },
      })),
      ...children,
    ],
  };
}
