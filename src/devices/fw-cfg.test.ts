import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NO_TRACE, UserError, type TraceChannel } from '../base/index.js';
import { deviceSuite } from './device-suite.js';
import { FwCfg, type FwCfgState, type FwCfgWriteListener } from './fw-cfg.js';

const RAM_BASE = 0x4000_0000;
const RAM_BYTES = 0x10_0000;
const READ = 2;
const SKIP = 4;
const SELECT = 8;
const WRITE = 16;

/** A device with a megabyte of guest memory and the accesses that a driver would make. */
function rig() {
  const ram = new Uint8Array(RAM_BYTES);
  const events: { channel: TraceChannel; text: string }[] = [];
  const inRam = (address: number, length: number): boolean =>
    address >= RAM_BASE && address + length <= RAM_BASE + RAM_BYTES;
  const device = new FwCfg(
    {
      trace: { on: () => true, event: (channel, text) => events.push({ channel, text }) },
      dma: {
        read(address, into) {
          if (!inRam(address, into.length)) return false;
          into.set(ram.subarray(address - RAM_BASE, address - RAM_BASE + into.length));
          return true;
        },
        write(address, from) {
          if (!inRam(address, from.length)) return false;
          ram.set(from, address - RAM_BASE);
          return true;
        },
      },
    },
    { cpuCount: 2 },
  );
  const view = new DataView(ram.buffer);
  const select = (key: number): void => device.write(8, 2, ((key & 0xff) << 8) | (key >> 8));
  const readBytes = (count: number): number[] => Array.from({ length: count }, () => device.read(0, 1));
  /** Runs one DMA operation with its descriptor at the base of RAM; returns the control field after it. */
  const dma = (control: number, length: number, address: number, key = 0): number => {
    view.setUint32(0, ((key << 16) | control) >>> 0);
    view.setUint32(4, length);
    view.setBigUint64(8, BigInt(address));
    device.write64(0x10, swap64(BigInt(RAM_BASE)));
    return view.getUint32(0);
  };
  const keyOf = (name: string): number => {
    select(0x19);
    const directory = Buffer.from(readBytes(4 + 64 * 20));
    for (let index = 0; index < directory.readUInt32BE(0); index += 1) {
      const entry = directory.subarray(4 + 64 * index, 68 + 64 * index);
      if (entry.subarray(8, entry.indexOf(0, 8)).toString() === name) return entry.readUInt16BE(4);
    }
    throw new Error(`no file ${name}`);
  };
  return { device, ram, view, events, select, readBytes, dma, keyOf };
}

function swap64(value: bigint): bigint {
  const view = new DataView(new ArrayBuffer(8));
  view.setBigUint64(0, value);
  return view.getBigUint64(0, true);
}

/** As `rig`, but memory is a list of messages: what the device writes there is seen outside and not read back. */
function suiteRig() {
  const seen: string[] = [];
  const descriptor = new DataView(new ArrayBuffer(16));
  descriptor.setUint32(0, (0x20 << 16) | SELECT | WRITE);
  descriptor.setUint32(4, 3);
  descriptor.setBigUint64(8, BigInt(RAM_BASE + 16));
  const device = new FwCfg(
    {
      trace: NO_TRACE,
      dma: {
        read(address, into) {
          if (address < RAM_BASE || address >= RAM_BASE + 4096) return false;
          if (address === RAM_BASE) into.set(new Uint8Array(descriptor.buffer));
          else into.fill(address);
          return true;
        },
        write(address, from) {
          seen.push(`${address}: ${from.join()}`);
          return true;
        },
      },
    },
    { cpuCount: 2 },
  );
  device.addFile('etc/w', new Uint8Array(40), (data) => seen.push(data.join()));
  return { device, observe: (): unknown => seen.splice(0) };
}

deviceSuite<FwCfgState, ReturnType<typeof suiteRig>>({
  title: 'fw_cfg (QEMU docs/specs/fw_cfg)',
  make: suiteRig,
  registers: [
    { name: 'data', at: 0, size: 8, reset: 0x554d4551n },
    { name: 'selector', at: 8, size: 2, reset: 0 },
    { name: 'DMA address', at: 0x10, size: 8, reset: 0x47464320_554d4551n },
  ],
  activity: ({ device }) => {
    device.write(0x14, 4, 0x40); // writes three bytes of the file
    device.read(0, 4);
    device.write(0x10, 4, 0x0100_0000); // half an address
  },
  stimulate: ({ device }) => device.write(0x14, 4, 0x40),
});

test('key 0 is the signature, and is selected after reset (fw_cfg "Signature")', () => {
  const { device, select, readBytes } = rig();
  assert.equal(Buffer.from(readBytes(5)).toString('latin1'), 'QEMU\0');
  select(0x19);
  device.reset();
  assert.equal(Buffer.from(readBytes(4)).toString('latin1'), 'QEMU');
});

test('key 1 announces the traditional and the DMA interface (fw_cfg "Revision / feature bitmap")', () => {
  const { device, select } = rig();
  select(1);
  assert.equal(device.read(0, 4), 3);
});

test('data of every width keeps the order of bytes and zeros follow the end (fw_cfg "Data Register")', () => {
  const { device, select, keyOf } = rig();
  device.addFile(
    'opt/x',
    Uint8Array.from({ length: 18 }, (_, index) => index + 1),
  );
  select(keyOf('opt/x'));
  assert.equal(device.read64(0), 0x0807060504030201n);
  assert.equal(device.read(0, 4), 0x0c0b0a09);
  assert.equal(device.read(0, 2), 0x0e0d);
  assert.equal(device.read(0, 1), 0x0f);
  assert.equal(device.read64(0), 0x121110n);
  assert.equal(device.read64(0), 0n);
});

test('selecting again starts over; bit 14 selects the same item (fw_cfg "Selector (Control) Register")', () => {
  const { select, readBytes } = rig();
  for (const key of [0, 0x4000]) {
    select(key);
    assert.equal(Buffer.from(readBytes(2)).toString(), 'QE');
  }
});

test('items that do not exist, architecture-specific ones among them, read as zeros', () => {
  const { device, select } = rig();
  for (const key of [2, 0x20, 0x3fff, 0x8000, 0xffff]) {
    select(key);
    assert.equal(device.read64(0), 0n, `key ${key}`);
  }
});

test('the directory gives size, key and name of each file, big-endian (fw_cfg "File Directory")', () => {
  const { device, select, readBytes } = rig();
  device.addFile('opt/a', new Uint8Array(3));
  device.addFile('etc/b', new Uint8Array(0x1234));
  select(0x19);
  const directory = Buffer.from(readBytes(4 + 2 * 64));
  assert.equal(directory.readUInt32BE(0), 2);
  assert.equal(directory.readUInt32BE(4), 3);
  assert.equal(directory.readUInt16BE(8), 0x20);
  assert.equal(directory.readUInt16BE(10), 0);
  assert.equal(directory.subarray(12, 68).toString('latin1'), 'opt/a'.padEnd(56, '\0'));
  assert.equal(directory.readUInt32BE(68), 0x1234);
  assert.equal(directory.readUInt16BE(72), 0x21);
  assert.equal(directory.subarray(76, 132).toString('latin1'), 'etc/b'.padEnd(56, '\0'));
});

test('files are made when the directory or a file is first asked for, and once', () => {
  for (const [key, expected] of [
    [0x19, 2],
    [0x20, 7],
  ] as const) {
    const { device, select, readBytes } = rig();
    let made = 0;
    device.addFilesWhenAsked(() => {
      made++;
      return new Map([['etc/late', Uint8Array.of(0, 0, 0, 7)]]);
    });
    device.addFilesWhenAsked(() => new Map([['etc/later', Uint8Array.of(8)]]));
    select(0x05);
    readBytes(2);
    assert.equal(made, 0);
    select(key);
    assert.equal(Buffer.from(readBytes(4)).readUInt32BE(0), expected);
    select(0x21);
    assert.deepEqual([...readBytes(1)], [8]);
    assert.equal(made, 1);
  }
});

test('a kernel, its RAM disk and command line are offered with their sizes, the line with its NUL', () => {
  const { device, select, readBytes } = rig();
  for (const key of [0x08, 0x0b, 0x14]) {
    select(key);
    assert.equal(device.read(0, 4), 0);
  }
  device.setKernel(Uint8Array.of(1, 2, 3), Uint8Array.of(4, 5), 'quiet');
  for (const [sizeKey, dataKey, expected] of [
    [0x08, 0x11, '\x01\x02\x03'],
    [0x0b, 0x12, '\x04\x05'],
    [0x14, 0x15, 'quiet\0'],
  ] as const) {
    select(sizeKey);
    assert.equal(device.read(0, 4), expected.length);
    select(dataKey);
    assert.equal(Buffer.from(readBytes(expected.length)).toString('latin1'), expected);
  }
});

test('a command line that a kernel could not read is a user error', () => {
  assert.throws(() => rig().device.setKernel(Uint8Array.of(1), undefined, 'root=\n'), UserError);
});

test('the number of CPUs is a 16-bit item', () => {
  const { device, select } = rig();
  select(5);
  assert.equal(device.read(0, 4), 2);
});

test('the DMA address register reads as "QEMU CFG" (fw_cfg "Signature")', () => {
  const { device } = rig();
  assert.equal(swap64(device.read64(0x10)), 0x51454d5520434647n);
  assert.equal(device.read(0x10, 4), 0x554d4551);
  assert.equal(device.read(0x14, 4), 0x47464320);
  assert.equal(device.read(0x12, 2), 0x554d);
});

test('DMA select and read copies, zero-fills past the end and clears control (fw_cfg "Guest-side DMA")', () => {
  const { ram, dma } = rig();
  ram.fill(0xaa, 0x100, 0x120);
  assert.equal(dma(READ | SELECT, 6, RAM_BASE + 0x100, 0), 0);
  assert.equal(Buffer.from(ram.subarray(0x100, 0x108)).toString('latin1'), 'QEMU\0\0\xaa\xaa');
});

test('DMA without select goes on where the last transfer ended; skip moves on without copying', () => {
  const { device, ram, dma, keyOf } = rig();
  device.addFile('opt/x', Uint8Array.of(1, 2, 3, 4, 5, 6));
  assert.equal(dma(READ | SELECT, 1, RAM_BASE + 0x100, keyOf('opt/x')), 0);
  assert.equal(dma(SKIP, 2, 0), 0);
  assert.equal(dma(READ, 2, RAM_BASE + 0x101), 0);
  assert.deepEqual([...ram.subarray(0x100, 0x103)], [1, 4, 5]);
  assert.equal(dma(SKIP, 0xffff_ffff, 0), 0);
  assert.equal(device.read(0, 1), 0);
});

test('two 32-bit writes, high half first, start DMA as one 64-bit write does; a low half alone is enough', () => {
  const { device, ram, view } = rig();
  view.setUint32(0, READ | SELECT);
  view.setUint32(4, 4);
  view.setBigUint64(8, BigInt(RAM_BASE + 0x200));
  device.write(0x14, 4, 0x40);
  assert.equal(view.getUint32(0), 0);
  assert.equal(Buffer.from(ram.subarray(0x200, 0x204)).toString(), 'QEMU');

  view.setUint32(0, READ | SELECT);
  device.write(0x10, 4, 0x0100_0000); // high half 1: nothing there
  device.write(0x14, 4, 0x40);
  assert.equal(view.getUint32(0), READ | SELECT);
  device.write(0x14, 4, 0x40); // the register is 0 again after an operation
  assert.equal(view.getUint32(0), 0);
});

test('DMA write changes a writable file and tells the host', () => {
  const { device, ram, dma, select, readBytes, keyOf } = rig();
  const calls: Parameters<FwCfgWriteListener>[] = [];
  const original = Uint8Array.of(1, 2, 3, 4);
  device.addFile('etc/w', original, (data, offset, length) =>
    calls.push([Uint8Array.from(data), offset, length]),
  );
  const key = keyOf('etc/w');
  ram.set([7, 8], 0x100);
  assert.equal(dma(SKIP | SELECT, 1, 0, key), 0);
  assert.equal(dma(WRITE, 2, RAM_BASE + 0x100), 0);
  assert.deepEqual(calls, [[Uint8Array.of(1, 7, 8, 4), 1, 2]]);
  select(key);
  assert.deepEqual(readBytes(4), [1, 7, 8, 4]);
  assert.deepEqual([...original], [1, 2, 3, 4], 'the host’s bytes are borrowed');
});

test('DMA write past the end or to a read-only item is dropped whole and sets the error bit', () => {
  const { device, dma, select, readBytes, keyOf } = rig();
  let calls = 0;
  device.addFile('etc/w', Uint8Array.of(1, 2, 3), () => (calls += 1));
  device.addFile('etc/r', Uint8Array.of(1, 2, 3));
  assert.equal(dma(WRITE | SELECT, 4, RAM_BASE + 0x100, keyOf('etc/w')), 1);
  assert.equal(dma(WRITE | SELECT, 1, RAM_BASE + 0x100, keyOf('etc/r')), 1);
  assert.equal(dma(WRITE | SELECT, 1, RAM_BASE + 0x100, 0x3000), 1);
  assert.equal(calls, 0);
  select(keyOf('etc/w'));
  assert.deepEqual(readBytes(3), [1, 2, 3]);
});

test('DMA to or from what is no memory sets the error bit', () => {
  const { device, dma, keyOf, events } = rig();
  device.addFile('etc/w', Uint8Array.of(1, 2, 3), () => undefined);
  assert.equal(dma(READ | SELECT, 4, 0x1000, 0), 1);
  assert.equal(dma(READ | SELECT, 0xffff_ffff, RAM_BASE + 0x100, 0), 1);
  assert.equal(dma(WRITE | SELECT, 1, 0x1000, keyOf('etc/w')), 1);
  assert.ok(events.some(({ channel }) => channel === 'guest-errors'));
});

test('a transfer of nothing succeeds wherever it points', () => {
  const { device, dma, keyOf } = rig();
  let calls = 0;
  device.addFile('etc/w', Uint8Array.of(1), () => (calls += 1));
  assert.equal(dma(READ | SELECT, 0, 0x1000, 0), 0);
  assert.equal(dma(WRITE | SELECT, 0, 0x1000, keyOf('etc/w')), 0);
  assert.equal(calls, 0);
});

test('writes to the data register are ignored (fw_cfg "Data Register")', () => {
  const { device, readBytes } = rig();
  device.write(0, 4, 0x1234);
  device.write64(0, 0x1234n);
  assert.equal(Buffer.from(readBytes(4)).toString(), 'QEMU');
});

test('accesses that no register takes read as zero, change nothing and are reported (QEMU 7.2 virt)', () => {
  const { device, events } = rig();
  assert.equal(device.read(2, 2), 0);
  assert.equal(device.read(8, 2), 0);
  assert.equal(device.read64(8), 0n);
  device.write(8, 1, 0x19);
  device.write(8, 4, 0x1900);
  device.write64(8, 0x1900n);
  assert.equal(device.read(0, 4), 0x554d4551);
  assert.equal(events.filter(({ channel }) => channel === 'guest-errors').length, 6);
});

test('selects are counted and traced by name', () => {
  const { device, select, dma, events } = rig();
  select(1);
  dma(READ | SELECT, 4, RAM_BASE + 0x100, 0x19);
  assert.equal(device.counters.selects, 2);
  assert.equal(device.counters.dmaOperations, 1);
  assert.deepEqual(
    events.filter(({ channel }) => channel === 'fwcfg').map(({ text }) => text),
    ['select 0x1 id', 'select 0x19 file-dir', 'dma read file-dir offset 0x0 length 0x4 address 0x40000100'],
  );
});

test('file names are 1 to 55 characters of ASCII and unique', () => {
  const { device } = rig();
  const data = new Uint8Array(1);
  device.addFile('x'.repeat(55), data);
  for (const name of ['', 'x'.repeat(56), 'é', 'a\0b', 'x'.repeat(55)]) {
    assert.throws(() => device.addFile(name, data), UserError, name);
  }
});

test('a snapshot taken in the middle of an item goes on there, written files included', () => {
  const first = rig();
  const second = rig();
  for (const { device } of [first, second])
    device.addFile('etc/w', Uint8Array.of(1, 2, 3, 4), () => undefined);
  const key = first.keyOf('etc/w');
  first.ram.set([9], 0x100);
  first.dma(WRITE | SELECT, 1, RAM_BASE + 0x100, key);
  first.device.write(0x10, 4, 0x0100_0000);
  const state = structuredClone(first.device.saveState());
  first.dma(WRITE | SELECT, 1, RAM_BASE + 0x101, key);
  second.device.restoreState(state);
  assert.deepEqual(second.device.saveState(), state);
  assert.equal(second.device.read(0, 2), 0x0302);
  second.select(key);
  assert.equal(second.device.read(0, 1), 9);
});

test('node: qemu,fw-cfg-mmio with its 24 bytes', () => {
  assert.deepEqual(rig().device.describe(0x902_0000), {
    name: 'fw-cfg@9020000',
    properties: {
      compatible: 'qemu,fw-cfg-mmio',
      reg: { cells: [0, 0x902_0000, 0, 0x18] },
      'dma-coherent': true,
    },
  });
});
