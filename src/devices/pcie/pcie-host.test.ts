import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hex, InvariantError, NO_TRACE } from '../../base/index.js';
import { deviceSuite } from '../device-suite.js';
import { describePcieHost, PcieHost } from './pcie-host.js';
import type { BarRegion, PciFunction } from './pci-function.js';

function rig(): PcieHost {
  return hostWith().host;
}

/** A host with what it drives. */
function hostWith() {
  const levels = [false, false, false, false];
  const messages: string[] = [];
  const host = new PcieHost({
    interrupts: levels.map((_, index) => ({ set: (level) => void (levels[index] = level) })),
    messages: {
      send: (address, data, requester) =>
        void messages.push(`${hex(address)} ${hex(data)} ${hex(requester)}`),
    },
    trace: NO_TRACE,
  });
  return { host, levels, messages };
}

/** A region whose bytes read as `value` and that notes what is written. */
function region(value: number, sizeBytes = 16) {
  const writes: string[] = [];
  const made: BarRegion = {
    sizeBytes,
    read: (offset, size) => value * 2 ** (8 * (size - 1)) + offset,
    write: (offset, size, written) => void writes.push(`${offset} ${size} ${written}`),
  };
  return { made, writes };
}

/** A function that decodes what it is told to. */
function decoding(name: string, decoded: PciFunction['decoded']): PciFunction {
  return {
    name,
    configBytes: 256,
    decoded,
    readConfig: () => 0,
    writeConfig: () => undefined,
    reset: () => undefined,
    saveState: () => undefined,
    restoreState: () => undefined,
  };
}

deviceSuite({
  title: 'PCIe host (PCIe 7.2.2)',
  make: () => ({ device: rig(), observe: () => undefined }),
  registers: [
    { name: 'vendor and device', at: 0, size: 4, reset: 0x0008_1b36, writable: 0 },
    { name: 'command and status', at: 4, size: 4, reset: 0, writable: 0x507 },
    { name: 'class and revision', at: 8, size: 4, reset: 0x0600_0000, writable: 0 },
    { name: 'cache line size', at: 0x0c, size: 1, reset: 0, writable: 0xff },
    { name: 'header type', at: 0x0e, size: 1, reset: 0, writable: 0 },
    ...[0, 1, 2, 3, 4, 5].map((bar) => ({
      name: `BAR ${bar}`,
      at: 0x10 + 4 * bar,
      size: 4 as const,
      reset: 0,
      writable: 0,
    })),
    { name: 'subsystem', at: 0x2c, size: 4, reset: 0x1100_1af4, writable: 0 },
    { name: 'expansion ROM', at: 0x30, size: 4, reset: 0, writable: 0 },
    { name: 'capabilities pointer', at: 0x34, size: 1, reset: 0, writable: 0 },
    { name: 'interrupt line and pin', at: 0x3c, size: 2, reset: 0, writable: 0xff },
    { name: 'first byte of 00:01.0', at: 0x8000, size: 4, reset: 0xffff_ffff, writable: 0 },
  ],
  activity: ({ device }) => {
    device.write(0x04, 2, 0x107);
    device.write(0x3c, 1, 33);
  },
});

test('256 buses of 32 devices of 8 functions of 4 KiB (PCIe 7.2.2)', () => {
  assert.equal(rig().sizeBytes, 256 * 32 * 8 * 4096);
});

test('00:00.0 is the host bridge 1b36:0008, class 0600, type 0 header (QEMU 7.2 virt)', () => {
  const ecam = rig();
  const words = Array.from({ length: 16 }, (_, index) => ecam.read(4 * index, 4));
  assert.deepEqual(words, [0x81b36, 0, 0x6000000, 0, 0, 0, 0, 0, 0, 0, 0, 0x11001af4, 0, 0, 0, 0]);
  assert.equal(ecam.read(2, 2), 8);
  assert.equal(ecam.read(1, 1), 0x1b);
  assert.equal(ecam.read(0x0e, 1), 0);
});

test('only the bits that QEMU lets a guest write are writable, and reset clears them', () => {
  const ecam = rig();
  const after: Record<number, number> = { 0x04: 0x507, 0x0c: 0xff, 0x3c: 0xff };
  const before = rig();
  for (let at = 0; at < 0x40; at += 4) {
    ecam.write(at, 4, 0xffff_ffff);
    assert.equal(ecam.read(at, 4), after[at] ?? before.read(at, 4), `register ${at}`);
  }
  ecam.reset();
  for (const at of Object.keys(after)) assert.equal(ecam.read(Number(at), 4), 0);
});

test('device-specific registers of the host bridge read as zero; extended space is not there', () => {
  const ecam = rig();
  assert.equal(ecam.read(0x40, 4), 0);
  assert.equal(ecam.read(0xfc, 4), 0);
  assert.equal(ecam.read(0x100, 4), 0xffff_ffff);
  assert.equal(ecam.read(0xffe, 2), 0xffff);
});

test('every other function reads as all ones (PCI 6.1)', () => {
  const ecam = rig();
  for (const at of [1 << 12, 1 << 15, 1 << 20, 0x0fff_fffc]) {
    ecam.write(at, 4, 0);
    assert.equal(ecam.read(at, 4), 0xffff_ffff);
    assert.equal(ecam.read(at, 1), 0xff);
  }
});

test('a plugged function sees its own registers only, all 4 KiB if it has them', () => {
  const ecam = rig();
  const calls: string[] = [];
  const fake: PciFunction = {
    name: 'fake',
    configBytes: 4096,
    decoded: [],
    readConfig: (offset, size) => (calls.push(`read ${offset} ${size}`), 0x12),
    writeConfig: (offset, size, value) => void calls.push(`write ${offset} ${size} ${value}`),
    reset: () => void calls.push('reset'),
    saveState: () => 'saved',
    restoreState: (state) => void calls.push(`restore ${String(state)}`),
  };
  ecam.plug(3, 1, fake);
  const at = (3 << 15) | (1 << 12);
  assert.equal(ecam.read(at + 0xffc, 4), 0x12);
  ecam.write(at + 2, 2, 7);
  ecam.reset();
  const state = ecam.saveState();
  ecam.restoreState(state);
  assert.deepEqual(calls, ['read 4092 4', 'write 2 2 7', 'reset', 'restore saved']);
  assert.throws(() => ecam.plug(3, 1, fake), InvariantError);
});

test('a snapshot holds what the guest wrote and is a copy', () => {
  const ecam = rig();
  ecam.write(0x04, 2, 0x107);
  const state = ecam.saveState();
  ecam.write(0x04, 2, 0);
  const other = rig();
  other.restoreState(state);
  assert.equal(other.read(0x04, 4), 0x107);
  other.write(0x04, 2, 3);
  ecam.restoreState(state);
  assert.equal(ecam.read(0x04, 4), 0x107);
});

test('an empty window reads as all ones and swallows writes (PCI 6.1)', () => {
  const window = rig().window('pcie-memory', 'memory', 0, 2 ** 39);
  window.write(2 ** 39 - 4, 4, 1);
  assert.equal(window.read(2 ** 39 - 4, 4), 0xffff_ffff);
  assert.equal(window.read(1, 1), 0xff);
});

test('a window shows what functions decode, in addresses of the bus, memory and I/O apart', () => {
  const { host } = hostWith();
  const memory = host.window('memory', 'memory', 0x1000_0000, 0x1_0000);
  const io = host.window('io', 'io', 0, 0x1_0000);
  const [a, b] = [region(1), region(2)];
  host.plug(
    4,
    0,
    decoding('four', [
      { space: 'memory', base: 0x1000_0100, region: a.made },
      { space: 'io', base: 0x100, region: b.made },
    ]),
  );
  assert.equal(memory.read(0x104, 1), 1 + 4);
  assert.equal(io.read(0x108, 1), 2 + 8);
  memory.write(0x10c, 4, 77);
  io.write(0x102, 2, 78);
  assert.deepEqual([a.writes, b.writes], [['12 4 77'], ['2 2 78']]);
  for (const [window, at] of [
    [memory, 0xfc],
    [memory, 0x110],
    [io, 0x110],
    [io, 0],
  ] as const) {
    assert.equal(window.read(at, 4), 0xffff_ffff);
  }
});

test('where functions overlap, the lowest slot answers, and nothing answers beyond its end', () => {
  const { host } = hostWith();
  const memory = host.window('memory', 'memory', 0, 0x1_0000);
  const [low, high] = [region(1, 16), region(2, 64)];
  host.plug(7, 0, decoding('seven', [{ space: 'memory', base: 0x100, region: high.made }]));
  host.plug(3, 1, decoding('three', [{ space: 'memory', base: 0x100, region: low.made }]));
  assert.equal(memory.read(0x100, 1), 1);
  assert.equal(memory.read(0x110, 1), 2 + 16);
});

test('the host asks again what is decoded when told that it has changed', () => {
  const { host } = hostWith();
  const memory = host.window('memory', 'memory', 0, 0x1_0000);
  let decoded: PciFunction['decoded'] = [];
  const slot = host.slot(2, 0);
  host.plug(2, 0, { ...decoding('two', []), get decoded() { return decoded; } }); // prettier-ignore
  assert.equal(memory.read(0x100, 1), 0xff);
  decoded = [{ space: 'memory', base: 0x100, region: region(9).made }];
  slot.decodingChanged();
  assert.equal(memory.read(0x100, 1), 9);
});

test('pins are wired by device and pin, and a shared line is low only when nobody drives it (PCI 2.2.6)', () => {
  const { host, levels } = hostWith();
  const expect = (...high: number[]): void =>
    assert.deepEqual(
      levels.flatMap((level, index) => (level ? [index] : [])),
      high,
    );
  const [one, five] = [host.slot(1, 0), host.slot(5, 0)];
  one.setPin(1, true);
  expect(1);
  five.setPin(1, true);
  one.setPin(1, false);
  expect(1);
  five.setPin(1, false);
  expect();
  five.setPin(4, true);
  one.setPin(2, true);
  expect(0, 2);
  // Two pins of one device, and the same again.
  one.setPin(2, true);
  one.setPin(2, false);
  expect(0);
});

test('messages carry the requester ID: bus, device and function', () => {
  const { host, messages } = hostWith();
  host.slot(3, 2).message(0x1234, 0xabcd);
  assert.deepEqual(messages, ['0x1234 0xabcd 0x1a']);
});

test('interrupt-map rotates the pins over neighbouring devices (host-generic-pci.yaml)', () => {
  const node = describePcieHost({
    ecam: { base: 0x1000_0000, sizeBytes: 0x1000_0000 },
    io: { base: 0x2000_0000, sizeBytes: 0x1_0000 },
    memory32: { base: 0x3000_0000, sizeBytes: 0x1000_0000 },
    memory64: { base: 2 ** 39, sizeBytes: 2 ** 39 },
    interruptController: { label: 'gic', addressCells: 1 },
    spis: [3, 4, 5, 6],
  });
  const map = node.properties['interrupt-map'] as { cells: unknown[] };
  assert.equal(map.cells.length, 16 * 9);
  const spis = Array.from({ length: 16 }, (_, index) => map.cells[9 * index + 7]);
  assert.deepEqual(spis, [3, 4, 5, 6, 4, 5, 6, 3, 5, 6, 3, 4, 6, 3, 4, 5]);
  assert.deepEqual(map.cells.slice(9 * 5, 9 * 6), [0x800, 0, 0, 2, { phandle: 'gic' }, 0, 0, 5, 4]);
  assert.equal('msi-map' in node.properties, false);
});
