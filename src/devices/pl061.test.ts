import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { InvariantError, NO_TRACE } from '../base/index.js';
import { deviceSuite } from './device-suite.js';
import { Pl061, gpioPowerKeyNode } from './pl061.js';

// DDI0190B table 3-1, stated here independently of the device.
const [DIR, IS, IBE, IEV, IE, RIS, MIS, IC, AFSEL] = [
  0x400, 0x404, 0x408, 0x40c, 0x410, 0x414, 0x418, 0x41c, 0x420,
];
/** The data register, of the pins in `mask`. */
const data = (mask: number) => mask << 2;
const ALL = data(0xff);
const PIN3 = 8;

function rig() {
  let level = false;
  const irq = { set: (value: boolean) => (level = value) };
  const device = new Pl061('gpio', { irq, trace: NO_TRACE });
  return {
    device,
    get level() {
      return level;
    },
    observe: () => level,
    get: (at: number) => device.read(at, 4),
    set: (at: number, value: number) => device.write(at, 4, value),
    pulse: (pin: number) => {
      device.setInput(pin, true);
      device.setInput(pin, false);
    },
  };
}

type Rig = ReturnType<typeof rig>;

deviceSuite<ReturnType<Pl061['saveState']>, Rig>({
  title: 'PL061 (DDI0190B)',
  make: rig,
  registers: [
    { name: 'GPIODATA of no pin', at: data(0), size: 4, reset: 0, writable: 0 },
    { name: 'GPIODATA of all pins', at: ALL, size: 4, reset: 0, writable: 0 },
    { name: 'GPIODIR', at: DIR, size: 4, reset: 0, writable: 0xff },
    { name: 'GPIOIS', at: IS, size: 4, reset: 0, writable: 0xff },
    { name: 'GPIOIBE', at: IBE, size: 4, reset: 0, writable: 0xff },
    { name: 'GPIOIEV', at: IEV, size: 4, reset: 0, writable: 0xff },
    { name: 'GPIOIE', at: IE, size: 4, reset: 0, writable: 0xff },
    { name: 'GPIORIS', at: RIS, size: 4, reset: 0, writable: 0 },
    { name: 'GPIOMIS', at: MIS, size: 4, reset: 0, writable: 0 },
    { name: 'GPIOIC', at: IC, size: 4, reset: 0 },
    { name: 'GPIOAFSEL', at: AFSEL, size: 4, reset: 0, writable: 0xff },
    ...[0x61, 0x10, 0x04, 0x00, 0x0d, 0xf0, 0x05, 0xb1].map((reset, index) => ({
      name: index < 4 ? `GPIOPeriphID${index}` : `GPIOPCellID${index - 4}`,
      at: 0xfe0 + index * 4,
      size: 4 as const,
      reset,
      writable: 0,
    })),
  ],
  activity: (r) => {
    r.set(IBE, 0x0f);
    r.set(IE, 0x0f);
    r.pulse(3);
  },
  stimulate: (r, seed) => r.device.setInput(seed % 8, seed >= 2 ** 31),
});

describe('PL061 data (3.3.1)', () => {
  test('reading gives the inputs that address bits 9:2 select', () => {
    const r = rig();
    r.device.setInput(0, true);
    r.device.setInput(3, true);
    r.device.setInput(7, true);
    assert.equal(r.get(ALL), 0x89);
    assert.equal(r.get(data(PIN3)), 0x08);
    assert.equal(r.get(data(0x76)), 0);
    r.device.setInput(3, false);
    assert.equal(r.get(ALL), 0x81);
  });

  test('writing reaches the outputs that address bits 9:2 select', () => {
    const r = rig();
    r.set(DIR, 0xff);
    r.set(ALL, 0xaa);
    r.set(data(0x0f), 0x55);
    assert.equal(r.get(ALL), 0xa5);
  });

  test('writing to a pin that is an input does nothing, not even later (Linux sets the level after the direction)', () => {
    const r = rig();
    r.set(ALL, 0xff);
    r.set(DIR, PIN3);
    assert.equal(r.get(ALL), 0);
    r.set(data(PIN3), 0xff);
    assert.equal(r.get(ALL), PIN3);
  });

  test('a pin that becomes an input shows the level from outside again', () => {
    const r = rig();
    r.device.setInput(3, true);
    r.set(DIR, PIN3);
    assert.equal(r.get(ALL), 0);
    r.set(DIR, 0);
    assert.equal(r.get(ALL), PIN3);
  });

  test('a reset keeps what others put on the pins', () => {
    const r = rig();
    r.device.setInput(3, true);
    r.device.reset();
    assert.equal(r.get(ALL), PIN3);
  });
});

describe('PL061 interrupts (3.3.3 to 3.3.9)', () => {
  const cases = [
    { name: 'falling edges', ibe: 0, iev: 0, rising: 0, falling: PIN3 },
    { name: 'rising edges', ibe: 0, iev: PIN3, rising: PIN3, falling: 0 },
    { name: 'both edges, whatever GPIOIEV says', ibe: PIN3, iev: 0, rising: PIN3, falling: PIN3 },
  ];
  for (const { name, ibe, iev, rising, falling } of cases) {
    test(`edge mode catches ${name} until GPIOIC`, () => {
      const r = rig();
      r.set(IBE, ibe);
      r.set(IEV, iev);
      r.device.setInput(3, true);
      assert.equal(r.get(RIS), rising);
      r.set(IC, 0xff);
      r.device.setInput(3, false);
      assert.equal(r.get(RIS), falling);
      r.device.setInput(3, false);
      r.set(IC, ~PIN3 & 0xff);
      assert.equal(r.get(RIS), falling, 'GPIOIC of other pins');
      r.set(IC, PIN3);
      assert.equal(r.get(RIS), 0);
      r.device.setInput(3, false);
      assert.equal(r.get(RIS), 0, 'no edge');
    });
  }

  test('level mode lasts as long as the level, and GPIOIC does not end it', () => {
    const r = rig();
    r.set(IS, PIN3);
    r.set(IEV, 0xff);
    assert.equal(r.get(RIS), 0);
    r.device.setInput(3, true);
    assert.equal(r.get(RIS), PIN3);
    r.set(IC, 0xff);
    assert.equal(r.get(RIS), PIN3);
    r.device.setInput(3, false);
    assert.equal(r.get(RIS), 0);
    r.set(IEV, 0);
    assert.equal(r.get(RIS), PIN3, 'active low');
  });

  test('edges do not count in level mode, nor levels in edge mode', () => {
    const r = rig();
    r.set(IEV, PIN3);
    r.pulse(3);
    r.set(IS, PIN3);
    assert.equal(r.get(RIS), 0, 'a rising edge is no high level');
    r.set(IC, PIN3);
    r.pulse(3);
    r.set(IS, 0);
    assert.equal(r.get(RIS), 0, 'a high level that came and went is no rising edge');
  });

  test('GPIOIE masks the line, not the raw status', () => {
    const r = rig();
    r.pulse(3);
    assert.deepEqual([r.get(RIS), r.get(MIS), r.level], [PIN3, 0, false]);
    r.set(IE, PIN3);
    assert.deepEqual([r.get(RIS), r.get(MIS), r.level], [PIN3, PIN3, true]);
    r.set(IC, PIN3);
    assert.equal(r.level, false);
  });

  test('a pin that is an output raises none', () => {
    const r = rig();
    r.set(DIR, 0xff);
    r.set(IBE, 0xff);
    r.pulse(3);
    assert.equal(r.get(RIS), 0);
    r.set(IS, 0xff);
    assert.equal(r.get(RIS), 0);
  });

  test('the power key: a press raises the line, as Linux gpio-keys sets pin 3 up', () => {
    const r = rig();
    r.set(IBE, PIN3);
    r.set(IC, PIN3);
    r.set(IE, PIN3);
    r.device.setInput(3, true);
    assert.equal(r.level, true);
    assert.equal(r.get(data(PIN3)), PIN3);
    r.set(IC, PIN3);
    assert.equal(r.level, false);
    r.device.setInput(3, false);
    assert.equal(r.level, true);
  });
});

test('a pin that does not exist is our own mistake', () => {
  assert.throws(() => rig().device.setInput(8, true), InvariantError);
});

test('describe() and the power key are the nodes that QEMU gives its virt board', () => {
  assert.deepEqual(rig().device.describe({ base: 0x903_0000, spi: 7, label: 'gpio' }), [
    {
      name: 'pl061@9030000',
      label: 'gpio',
      properties: {
        compatible: ['arm,pl061', 'arm,primecell'],
        reg: { cells: [0, 0x903_0000, 0, 0x1000] },
        interrupts: { cells: [0, 7, 4] },
        clocks: { cells: [{ phandle: 'apb-pclk' }] },
        'clock-names': ['apb_pclk'],
        'gpio-controller': true,
        '#gpio-cells': { cells: [2] },
      },
    },
  ]);
  assert.deepEqual(gpioPowerKeyNode('gpio', 3), {
    name: 'gpio-keys',
    properties: { compatible: 'gpio-keys' },
    children: [
      {
        name: 'poweroff',
        properties: {
          label: 'GPIO Key Poweroff',
          'linux,code': { cells: [0x74] },
          gpios: { cells: [{ phandle: 'gpio' }, 3, 0] },
        },
      },
    ],
  });
});
