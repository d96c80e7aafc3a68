import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NO_TRACE } from '../../base/index.js';
import { deviceSuite } from '../device-suite.js';
import { PciTestdev } from './pci-testdev.js';
import { PcieHost } from './pcie-host.js';

const AT = 1 << 15;
const BAR = { memory: 0x1000, io: 0x400 } as const;

function make() {
  const host = new PcieHost({
    interrupts: [{ set: () => undefined }],
    messages: { send: () => undefined },
    trace: NO_TRACE,
  });
  host.plug(1, 0, new PciTestdev('pci-testdev0', { slot: host.slot(1, 0), trace: NO_TRACE }));
  const place = (): void => {
    host.write(AT + 0x10, 4, BAR.memory);
    host.write(AT + 0x14, 4, BAR.io);
    host.write(AT + 0x04, 2, 3);
  };
  place();
  const memory = host.window('memory', 'memory', BAR.memory, 0x1000);
  const io = host.window('io', 'io', BAR.io, 0x100);
  return { host, memory, io, place };
}

deviceSuite({
  title: 'PCI test device',
  make: () => {
    const { host, memory, place } = make();
    return {
      device: {
        ...memory,
        reset: () => {
          host.reset();
          place();
        },
        saveState: () => host.saveState(),
        restoreState: (state: Record<string, unknown>) => {
          host.restoreState(state);
        },
      },
      observe: () => undefined,
    };
  },
  registers: [
    { name: 'test', at: 0, size: 1, reset: 0 },
    { name: 'width', at: 1, size: 1, reset: 0, writable: 0 },
    { name: 'count', at: 0xc, size: 4, reset: 0, writable: 0 },
    { name: 'target of test 0', at: 0x800, size: 1, reset: 0 },
  ],
  activity: ({ device }) => {
    device.write(0, 1, 0);
    device.write(0x800, 1, 0xfa);
  },
});

test('is 1b36:0005 of no class, with 4 KiB of memory and 256 I/O ports, without a pin', () => {
  const { host } = make();
  for (const bar of [0x10, 0x14]) host.write(AT + bar, 4, 0xffff_ffff);
  const words = [0, 8, 0x10, 0x14, 0x18, 0x2c, 0x34, 0x3c].map((at) => host.read(AT + at, 4));
  assert.deepEqual(words, [0x0005_1b36, 0x00ff_0000, 0xffff_f000, 0xffff_ff01, 0, 0x1100_1af4, 0, 0]);
});

for (const [space, names, target] of [
  ['memory', 'mmio', 0x800],
  ['io', 'portio', 0x80 + 3],
] as const) {
  test(`${space}: tests 0 to 2 describe themselves; writes of the first are counted`, () => {
    const window = make()[space];
    const counts = [0, 1, 2].map((number) => {
      window.write(0, 1, number);
      assert.equal(window.read(1, 1), 1);
      const [at, data] = [window.read(4, 4), window.read(8, 4)];
      assert.equal(at, target + number);
      let name = '';
      for (let i = 0x10; window.read(i, 1) !== 0; i++) name += String.fromCharCode(window.read(i, 1));
      assert.equal(name, `${names}-${['no', 'wildcard', 'datamatch'][number]}-eventfd`);
      assert.equal(window.read(12, 4), 0);
      for (let i = 0; i < 16; i++) window.write(at, 1, data);
      window.write(at, 1, data ^ 1);
      window.write(at - 1, 1, data);
      return window.read(12, 4);
    });
    assert.deepEqual(counts, [16, 0, 0]);
    window.write(0, 1, 3);
    assert.equal(window.read(1, 1), 0, 'there is no test 3');
  });
}
