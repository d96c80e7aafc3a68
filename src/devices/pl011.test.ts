import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { deviceSuite } from './device-suite.js';
import { Pl011 } from './pl011.js';
import { uartRig, uartSuite } from './uart-suite.js';

// Offsets and bits as in DDI0183G chapter 3, stated here independently of the device.
const DR = 0x00;
const RSR = 0x04;
const FR = 0x18;
const IBRD = 0x24;
const FBRD = 0x28;
const LCR_H = 0x2c;
const CR = 0x30;
const IFLS = 0x34;
const IMSC = 0x38;
const RIS = 0x3c;
const MIS = 0x40;
const ICR = 0x44;
const [FR_RXFE, FR_TXFF, FR_RXFF, FR_TXFE] = [0x10, 0x20, 0x40, 0x80];
const [LCR_BRK, LCR_FEN, LCR_WLEN8] = [0x01, 0x10, 0x60];
const [CR_UARTEN, CR_LBE, CR_TXE, CR_RXE] = [0x001, 0x080, 0x100, 0x200];
const [INT_RX, INT_TX, INT_RT, INT_BE, INT_OE] = [0x010, 0x020, 0x040, 0x200, 0x400];
/** 115200 baud from 24 MHz, as EDK2 and Linux compute it: 24e6 / (16 * 115200) = 13.02. */
const [IBRD_115200, FBRD_115200] = [13, 1];
const TIMEOUT_115200_NS = Math.ceil((32 * 16 * (13 + 1 / 64) * 1e9) / 24e6);

function rig() {
  const uart = uartRig(Pl011, 4);
  const { device } = uart;
  return {
    ...uart,
    readText() {
      let text = '';
      while ((device.read(FR, 4) & FR_RXFE) === 0) text += String.fromCharCode(device.read(DR, 4) & 0xff);
      return text;
    },
    /** The set-up that EDK2 and Linux leave behind. */
    enable(fifo: 'fifo' | 'character' = 'fifo') {
      device.write(IBRD, 4, IBRD_115200);
      device.write(FBRD, 4, FBRD_115200);
      device.write(LCR_H, 4, LCR_WLEN8 | (fifo === 'fifo' ? LCR_FEN : 0));
      device.write(CR, 4, CR_UARTEN | CR_TXE | CR_RXE);
      return this;
    },
  };
}

type Rig = ReturnType<typeof rig>;

deviceSuite<ReturnType<Pl011['saveState']>, Rig>({
  title: 'PL011 (DDI0183G)',
  make: rig,
  registers: [
    { name: 'UARTDR', at: 0x00, size: 4, reset: 0 },
    { name: 'UARTRSR', at: 0x04, size: 4, reset: 0 },
    { name: 'UARTFR', at: 0x18, size: 4, reset: 0x90, writable: 0 },
    { name: 'UARTILPR', at: 0x20, size: 4, reset: 0, writable: 0xff },
    { name: 'UARTIBRD', at: 0x24, size: 4, reset: 0, writable: 0xffff },
    { name: 'UARTFBRD', at: 0x28, size: 4, reset: 0, writable: 0x3f },
    { name: 'UARTLCR_H', at: 0x2c, size: 4, reset: 0, writable: 0xff },
    { name: 'UARTCR', at: 0x30, size: 4, reset: 0x300, writable: 0xff87 },
    { name: 'UARTIFLS', at: 0x34, size: 4, reset: 0x12, writable: 0x3f },
    { name: 'UARTIMSC', at: 0x38, size: 4, reset: 0, writable: 0x7ff },
    { name: 'UARTRIS', at: 0x3c, size: 4, reset: 0, writable: 0 },
    { name: 'UARTMIS', at: 0x40, size: 4, reset: 0, writable: 0 },
    { name: 'UARTICR', at: 0x44, size: 4, reset: 0 },
    { name: 'UARTDMACR', at: 0x48, size: 4, reset: 0, writable: 7 },
    ...[0x11, 0x10, 0x14, 0x00, 0x0d, 0xf0, 0x05, 0xb1].map((reset, index) => ({
      name: index < 4 ? `UARTPeriphID${index}` : `UARTPCellID${index - 4}`,
      at: 0xfe0 + index * 4,
      size: 4 as const,
      reset,
      writable: 0,
    })),
  ],
  activity: (r) => {
    r.enable();
    r.set(IMSC, INT_RX | INT_RT | INT_OE);
    r.type('half full');
    r.clock.advance(1000);
    r.set(DR, 0x41);
  },
  stimulate: (r, seed) => r.device.receive(new Uint8Array(seed % 20).fill(seed >>> 8)),
});

uartSuite<Rig>({
  title: 'PL011',
  make: () => rig().enable(),
  take: (r) => r.get(DR),
  empty: (r) => r.set(LCR_H, LCR_WLEN8),
  setLoopback: (r, isOn) => r.set(CR, CR_UARTEN | CR_TXE | CR_RXE | (isOn ? CR_LBE : 0)),
});

describe('PL011 transmitter', () => {
  test('what is written to UARTDR comes out at once, low eight bits, and UARTFR shows an empty FIFO (3.3.1, 3.3.3)', () => {
    const r = rig().enable();
    for (let byte = 0; byte < 40; byte++) r.set(DR, 0xf00 | byte);
    assert.deepEqual(
      r.sent,
      Array.from({ length: 40 }, (_, byte) => byte),
    );
    assert.equal(r.get(FR) & (FR_TXFF | FR_TXFE), FR_TXFE);
  });

  test('byte and halfword writes to UARTDR transmit, as EDK2 and Linux do it', () => {
    const r = rig().enable();
    r.device.write(DR, 1, 0x41);
    r.device.write(DR, 2, 0x42);
    assert.deepEqual(r.sent, [0x41, 0x42]);
  });

  test('transmits before anyone has enabled it, for earlycon', () => {
    const r = rig();
    r.set(DR, 0x41);
    assert.deepEqual(r.sent, [0x41]);
  });

  test('each write raises the transmit interrupt, UARTICR clears it (3.3.11, 3.3.13)', () => {
    const r = rig().enable();
    r.set(IMSC, INT_TX);
    assert.equal(r.isHigh(), false, 'nothing was transmitted yet');
    r.set(DR, 0x41);
    assert.equal(r.get(MIS), INT_TX);
    assert.equal(r.isHigh(), true);
    r.set(ICR, INT_TX);
    assert.equal(r.get(RIS), 0);
    assert.equal(r.isHigh(), false);
  });
});

describe('PL011 receiver', () => {
  test('FIFO mode holds 16 characters and gives them in order; the rest waits outside (2.4)', () => {
    const r = rig().enable();
    assert.equal(r.type('0123456789abcdefXYZ'), 16);
    assert.equal(r.get(FR) & (FR_RXFE | FR_RXFF), FR_RXFF);
    assert.equal(r.type('!'), 0);
    assert.equal(r.readText(), '0123456789abcdef');
    assert.equal(r.get(FR) & (FR_RXFE | FR_RXFF), FR_RXFE);
    assert.equal(r.get(RIS) & INT_OE, 0, 'waiting is no overrun');
  });

  test('character mode holds one (3.3.7 FEN)', () => {
    const r = rig().enable('character');
    assert.equal(r.type('ab'), 1);
    assert.equal(r.get(FR) & (FR_RXFE | FR_RXFF), FR_RXFF);
    assert.equal(r.get(DR), 0x61);
    assert.equal(r.get(FR) & (FR_RXFE | FR_RXFF), FR_RXFE);
  });

  test('an empty receiver reads as zero', () => {
    assert.equal(rig().enable().get(DR), 0);
  });

  test('turning FIFOs on or off empties the receiver, writing FEN unchanged does not', () => {
    const r = rig().enable();
    r.type('abc');
    r.set(LCR_H, LCR_WLEN8 | LCR_FEN);
    assert.equal(r.get(FR) & FR_RXFE, 0);
    r.set(LCR_H, LCR_WLEN8);
    assert.equal(r.get(FR) & FR_RXFE, FR_RXFE);
    r.clock.advance(1e9);
    assert.equal(r.get(RIS) & (INT_RX | INT_RT), 0);
  });

  test('the receive interrupt comes at the UARTIFLS level and goes below it (3.3.9)', () => {
    const levels = [2, 4, 8, 12, 14];
    for (const [select, level] of levels.entries()) {
      const r = rig().enable();
      r.set(IFLS, select << 3);
      r.set(IMSC, INT_RX);
      r.type('x'.repeat(level - 1));
      assert.equal(r.isHigh(), false, `${level - 1} characters at level ${level}`);
      r.type('x');
      assert.equal(r.isHigh(), true, `${level} characters at level ${level}`);
      assert.equal(r.get(MIS), INT_RX);
      r.get(DR);
      assert.equal(r.isHigh(), false, 'one was read');
    }
  });

  test('in character mode every character raises the receive interrupt and reading it clears (3.3.11)', () => {
    const r = rig().enable('character');
    r.set(IMSC, INT_RX);
    r.type('a');
    assert.equal(r.isHigh(), true);
    r.get(DR);
    assert.equal(r.isHigh(), false);
  });

  test('UARTICR clears the receive interrupt while characters wait; the next one raises it (3.3.13)', () => {
    const r = rig().enable();
    r.set(IMSC, INT_RX);
    r.type('12345678');
    r.set(ICR, INT_RX);
    assert.equal(r.isHigh(), false);
    r.type('9');
    assert.equal(r.isHigh(), true);
  });

  test('32 bit times without a character, one waiting, is a receive timeout (2.8.4)', () => {
    const r = rig().enable();
    r.set(IMSC, INT_RT);
    r.type('a');
    r.clock.advance(TIMEOUT_115200_NS - 1);
    assert.equal(r.isHigh(), false);
    r.clock.advance(1);
    assert.equal(r.isHigh(), true);
    assert.equal(r.get(MIS), INT_RT);
    r.get(DR);
    assert.equal(r.isHigh(), false, 'emptying the FIFO clears it');
  });

  test('a character starts the timeout again; reading all of them ends it', () => {
    const r = rig().enable();
    r.type('a');
    r.clock.advance(TIMEOUT_115200_NS - 1);
    r.type('b');
    r.clock.advance(TIMEOUT_115200_NS - 1);
    assert.equal(r.get(RIS) & INT_RT, 0);
    assert.equal(r.readText(), 'ab');
    r.clock.advance(TIMEOUT_115200_NS);
    assert.equal(r.get(RIS) & INT_RT, 0);
  });

  test('the timeout follows the divisor (3.3.5, 3.3.6)', () => {
    const r = rig().enable();
    r.set(IBRD, 1250);
    r.set(FBRD, 0);
    r.type('a');
    const ms = 1e6;
    r.clock.advance(26 * ms);
    assert.equal(r.get(RIS) & INT_RT, 0, '1200 baud: 32 bits take 26.7 ms');
    r.clock.advance(ms);
    assert.equal(r.get(RIS) & INT_RT, INT_RT);
  });
});

test('PL011 receive timeout of a guest that set no divisor: that of 115200 baud', () => {
  const r = rig();
  r.type('a');
  r.clock.advance(Math.floor((32 * 1e9) / 115_200));
  assert.equal(r.get(RIS) & INT_RT, 0);
  r.clock.advance(1);
  assert.equal(r.get(RIS) & INT_RT, INT_RT);
});

describe('PL011 interrupts', () => {
  test('UARTMIS is UARTRIS and UARTIMSC, and the line is UARTMIS not zero (3.3.12)', () => {
    const r = rig().enable();
    r.type('12345678');
    r.set(DR, 0x41);
    assert.equal(r.get(RIS), INT_RX | INT_TX);
    for (const [mask, status] of [
      [0, 0],
      [INT_RX, INT_RX],
      [INT_TX | INT_RT, INT_TX],
      [0x7ff, INT_RX | INT_TX],
    ] as const) {
      r.set(IMSC, mask);
      assert.equal(r.get(MIS), status);
      assert.equal(r.isHigh(), status !== 0);
    }
  });

  test('reset lets the line go', () => {
    const r = rig().enable();
    r.set(IMSC, INT_TX);
    r.set(DR, 0x41);
    r.device.reset();
    assert.equal(r.isHigh(), false);
  });
});

describe('PL011 loopback (3.3.8 LBE)', () => {
  function looped(): Rig {
    const r = rig().enable();
    r.set(CR, CR_UARTEN | CR_TXE | CR_RXE | CR_LBE);
    return r;
  }

  test('what is transmitted is received', () => {
    const r = looped();
    for (const byte of Buffer.from('loop')) r.set(DR, byte);
    assert.equal(r.readText(), 'loop');
  });

  test('a character into a full FIFO is lost and reported as overrun (3.3.1, 3.3.2)', () => {
    const r = looped();
    r.set(IMSC, INT_OE);
    for (let byte = 0; byte < 17; byte++) r.set(DR, byte);
    assert.equal(r.isHigh(), true);
    assert.equal(r.get(RSR), 8);
    assert.equal(r.get(DR), 0x800, 'OE with the first character');
    r.set(DR, 0x55);
    assert.equal(r.get(DR), 0x001, 'OE ends when there is room for a new character');
    assert.equal(r.get(RSR), 8, 'the status stays');
    r.set(RSR, 0xff);
    assert.equal(r.get(RSR), 0, 'until UARTECR is written');
    r.set(ICR, INT_OE);
    assert.equal(r.isHigh(), false);
  });

  test('a break is received as a zero with BE, once (3.3.7 BRK)', () => {
    const r = looped();
    r.set(IMSC, INT_BE);
    r.set(LCR_H, LCR_WLEN8 | LCR_FEN | LCR_BRK);
    r.set(LCR_H, LCR_WLEN8 | LCR_FEN | LCR_BRK);
    assert.equal(r.isHigh(), true);
    assert.equal(r.get(DR), 0x400);
    assert.equal(r.get(RSR), 4);
    assert.equal(r.get(FR) & FR_RXFE, FR_RXFE);
  });

  test('the modem outputs come back as inputs and their changes raise interrupts (3.3.3, 3.3.11)', () => {
    const pairs = [
      { output: 0x0800, flag: 0x001, interrupt: 0x2 }, // RTS, CTS
      { output: 0x0400, flag: 0x002, interrupt: 0x8 }, // DTR, DSR
      { output: 0x1000, flag: 0x004, interrupt: 0x4 }, // Out1, DCD
      { output: 0x2000, flag: 0x100, interrupt: 0x1 }, // Out2, RI
    ];
    for (const { output, flag, interrupt } of pairs) {
      const r = looped();
      r.set(CR, r.get(CR) | output);
      assert.equal(r.get(FR) & 0x107, flag);
      assert.equal(r.get(RIS), interrupt);
      r.set(ICR, interrupt);
      r.set(CR, r.get(CR) & ~CR_LBE);
      assert.equal(r.get(FR) & 0x107, 0, 'nothing drives them from outside');
      assert.equal(r.get(RIS), interrupt);
    }
  });
});

test('describe() is the node that QEMU gives its virt board', () => {
  assert.deepEqual(rig().device.describe({ base: 0x900_0000, spi: 1 }), [
    {
      name: 'pl011@9000000',
      properties: {
        compatible: ['arm,pl011', 'arm,primecell'],
        reg: { cells: [0, 0x900_0000, 0, 0x1000] },
        interrupts: { cells: [0, 1, 4] },
        clocks: { cells: [{ phandle: 'apb-pclk' }, { phandle: 'apb-pclk' }] },
        'clock-names': ['uartclk', 'apb_pclk'],
      },
    },
  ]);
});
