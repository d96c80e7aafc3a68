/** What tests of the virt board share. */
import assert from 'node:assert/strict';
import { MIB, NO_TRACE } from '../base/index.js';
import { ManualClock, type DmaPort, type MmioDevice } from '../bus/index.js';
import { CORTEX_A57 } from '../cpu/models.js';
import type { BoardPorts } from './ports.js';
import { buildVirt, type VirtConfig } from './virt.js';

/** Every interrupt controller of the board. */
export const GICS = [
  { gic: 'GICv2', gicVersion: 2, hasIts: false },
  { gic: 'GICv3', gicVersion: 3, hasIts: false },
  { gic: 'GICv3 with ITS', gicVersion: 3, hasIts: true },
] as const;

/** A board with fakes on all its ports. */
export function rig(changes: Partial<VirtConfig> = {}, otherPorts: Partial<BoardPorts> = {}) {
  const clock = new ManualClock();
  const irq = Array.from({ length: 8 }, () => false);
  const calls: string[] = [];
  const serial: number[] = [];
  const mapped: [base: number, sizeBytes: number, isMapped: boolean][] = [];
  const noMemory: DmaPort = { read: () => false, write: () => false };
  const ports: BoardPorts = {
    clock,
    trace: NO_TRACE,
    currentCpu: () => 0,
    cpuLines: (cpu) => ({ irq: { set: (level) => void (irq[cpu] = level) }, fiq: { set: () => undefined } }),
    cpuActivity: () => ({
      begun: 0,
      retired: 0,
      exceptionLevel: 1,
      observe: () => undefined,
      setAlarm: () => undefined,
      watchLevel: () => undefined,
    }),
    cpuPower: {
      state: (cpu) => (cpu === 0 ? 'on' : 'off'),
      on: (cpu, entry) => calls.push(`on ${cpu} ${entry}`),
      off: (cpu) => calls.push(`off ${cpu}`),
    },
    dma: noMemory,
    directMap: (base, sizeBytes) => ({
      sizeBytes,
      bytes: (_offset, length) => new Uint8Array(length).fill(0xff),
      load: () => undefined,
      setMapped: (isMapped) => mapped.push([base, sizeBytes, isMapped]),
      changed: () => undefined,
    }),
    serialOutput: { write: (byte) => serial.push(byte) },
    epochSeconds: 1_700_000_000,
    powerPort: { powerOff: () => calls.push('powerOff'), reset: () => calls.push('reset') },
    flashStorage: [],
    virtio: { disks: [], shares: [] },
    onStorageError: () => calls.push('storage error'),
    ...otherPorts,
  };
  const config: VirtConfig = {
    ramBytes: 512 * MIB,
    gicVersion: 2,
    hasIts: false,
    cpuCount: 1,
    cpu: CORTEX_A57,
    hasAcpi: true,
    virtioTransport: 'mmio',
    pciTestdevCount: 0,
    hasFirmware: true,
    flash: [
      { writableBytes: 0, commitPolicy: 'quiet' },
      { writableBytes: 64 * MIB, commitPolicy: 'quiet' },
    ],
    ...changes,
  };
  const board = buildVirt(config, ports);
  const at = (address: number): [MmioDevice, number] => {
    const entry = board.map.find(({ base, device }) => address >= base && address < base + device.sizeBytes);
    assert.ok(entry, `nothing at ${address.toString(16)}`);
    return [entry.device, address - entry.base];
  };
  const read = (address: number): number => {
    const [device, offset] = at(address);
    return device.read(offset, 4);
  };
  const write = (address: number, value: number): void => {
    const [device, offset] = at(address);
    device.write(offset, 4, value);
  };
  return { board, clock, irq, calls, serial, mapped, read, write };
}
