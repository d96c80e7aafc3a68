/** What tests of boards share. */
import assert from 'node:assert/strict';
import { NO_TRACE } from '../base/index.js';
import { ManualClock, type LendingDmaPort, type MmioDevice } from '../bus/index.js';
import type { Board, BoardPorts } from './ports.js';

/** A board with fakes on all its ports, and what they saw. */
export function boardRig<B extends Board>(
  build: (ports: BoardPorts) => B,
  otherPorts: Partial<BoardPorts> = {},
) {
  const clock = new ManualClock();
  const irq = Array.from({ length: 8 }, () => false);
  const calls: string[] = [];
  const serial: number[] = [];
  const mapped: [base: number, sizeBytes: number, isMapped: boolean][] = [];
  const noMemory: LendingDmaPort = { read: () => false, write: () => false, lend: () => undefined };
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
  const board = build(ports);
  const at = (address: number): [MmioDevice, number] => {
    const entry = board.map.find(({ base, device }) => address >= base && address < base + device.sizeBytes);
    assert.ok(entry, `nothing at ${address.toString(16)}`);
    return [entry.device, address - entry.base];
  };
  const access = (size: 1 | 2 | 4) => ({
    read: (address: number): number => {
      const [device, offset] = at(address);
      return device.read(offset, size);
    },
    write: (address: number, value: number): void => {
      const [device, offset] = at(address);
      device.write(offset, size, value);
    },
  });
  return {
    ...{ board, clock, irq, calls, serial, mapped },
    byte: access(1),
    halfword: access(2),
    /** By words. */
    ...access(4),
  };
}
