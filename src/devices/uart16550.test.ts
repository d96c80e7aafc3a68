import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { deviceSuite } from './device-suite.js';
import { Uart16550 } from './uart16550.js';
import { uartRig, uartSuite } from './uart-suite.js';

// Offsets and bits as in the PC16550D data sheet, table "Summary of Registers", stated here independently of the device.
const [RBR, IER, IIR, LCR, MCR, LSR, MSR, SCR] = [0, 1, 2, 3, 4, 5, 6, 7];
const [THR, FCR, DLL, DLM] = [0, 2, 0, 1];
const [IER_RX, IER_TX, IER_LINE, IER_MODEM] = [1, 2, 4, 8];
const [LSR_DR, LSR_OE, LSR_BI, LSR_FIFO_ERROR] = [0x01, 0x02, 0x10, 0x80];
const LSR_EMPTY = 0x60;
const [LCR_8N1, LCR_BREAK, LCR_DLAB] = [0x03, 0x40, 0x80];
const MCR_LOOP = 0x10;
const FIFO_ON = 0x01;
/** IIR with FIFOs. */
const [NONE, LINE, DATA, TIMEOUT, EMPTY, MODEM] = [0xc1, 0xc6, 0xc4, 0xcc, 0xc2, 0xc0];
/** Four characters of ten bits at 115200 baud. */
const TIMEOUT_NS = Math.ceil((40 * 1e9) / 115_200);

function rig() {
  const uart = uartRig(Uart16550, 1);
  const { device } = uart;
  return {
    ...uart,
    readText() {
      let text = '';
      while ((device.read(LSR, 1) & LSR_DR) !== 0) text += String.fromCharCode(device.read(RBR, 1));
      return text;
    },
    setDivisor(divisor: number) {
      device.write(LCR, 1, LCR_DLAB | LCR_8N1);
      device.write(DLL, 1, divisor & 0xff);
      device.write(DLM, 1, divisor >> 8);
      device.write(LCR, 1, LCR_8N1);
    },
    /** The set-up that Linux leaves behind: 115200 baud, FIFOs, a trigger at 8. */
    enable() {
      this.setDivisor(1);
      device.write(FCR, 1, FIFO_ON | 0x80);
      return this;
    },
  };
}

type Rig = ReturnType<typeof rig>;

deviceSuite<ReturnType<Uart16550['saveState']>, Rig>({
  title: '16550A (PC16550D)',
  make: rig,
  registers: [
    { name: 'RBR', at: RBR, size: 1, reset: 0 },
    { name: 'IER', at: IER, size: 1, reset: 0, writable: 0x0f },
    { name: 'IIR', at: IIR, size: 1, reset: 0x01 },
    { name: 'LCR', at: LCR, size: 1, reset: 0, writable: 0xff },
    { name: 'MCR', at: MCR, size: 1, reset: 0, writable: 0x1f },
    { name: 'LSR', at: LSR, size: 1, reset: 0x60, writable: 0 },
    { name: 'MSR', at: MSR, size: 1, reset: 0xb0, writable: 0 },
    { name: 'SCR', at: SCR, size: 1, reset: 0, writable: 0xff },
  ],
  activity: (r) => {
    r.enable();
    r.set(IER, IER_RX | IER_TX | IER_LINE);
    r.type('some');
    r.clock.advance(1000);
    r.set(THR, 0x41);
  },
  stimulate: (r, seed) => r.device.receive(new Uint8Array(seed % 20).fill(seed >>> 8)),
});

uartSuite<Rig>({
  title: '16550A',
  make: () => rig().enable(),
  take: (r) => r.get(RBR),
  empty: (r) => r.set(FCR, FIFO_ON | 0x02),
  setLoopback: (r, isOn) => r.set(MCR, isOn ? MCR_LOOP : 0),
});

describe('16550A transmitter', () => {
  test('what is written to THR comes out at once, and LSR shows it empty', () => {
    const r = rig().enable();
    for (let byte = 0; byte < 40; byte++) r.set(THR, byte);
    assert.deepEqual(
      r.sent,
      Array.from({ length: 40 }, (_, byte) => byte),
    );
    assert.equal(r.get(LSR), LSR_EMPTY);
  });

  test('transmits before anyone has set it up, for earlycon', () => {
    const r = rig();
    r.set(THR, 0x41);
    assert.deepEqual(r.sent, [0x41]);
  });

  test('it interrupts when enabled, until IIR has told so, and after each character (Interrupt Identification)', () => {
    const r = rig().enable();
    r.set(IER, IER_TX);
    assert.equal(r.isHigh(), true);
    assert.equal(r.get(IIR), EMPTY);
    assert.equal(r.isHigh(), false, 'reading IIR clears it');
    assert.equal(r.get(IIR), NONE);
    r.set(THR, 0x41);
    assert.equal(r.isHigh(), true);
    r.set(IER, 0);
    assert.equal(r.isHigh(), false);
    r.set(IER, IER_TX);
    assert.equal(r.get(IIR), EMPTY, 'enabling it again tells again, as Linux tests');
    r.set(IER, IER_TX);
    assert.equal(r.isHigh(), false, 'writing the same enables nothing');
  });
});

describe('16550A divisor latch (Line Control, Programmable Baud Generator)', () => {
  test('LCR.DLAB puts it in the place of the first two registers, which keep their contents', () => {
    const r = rig().enable();
    r.set(IER, IER_RX);
    r.type('a');
    r.set(LCR, LCR_DLAB);
    r.set(DLL, 0x0c);
    r.set(DLM, 0x34);
    assert.deepEqual([r.get(DLL), r.get(DLM)], [0x0c, 0x34]);
    assert.equal(r.get(IIR), NONE, 'IIR is where it was');
    r.set(LCR, 0);
    assert.deepEqual([r.get(IER), r.get(RBR)], [IER_RX, 0x61]);
    assert.deepEqual(r.sent, []);
  });
});

describe('16550A receiver', () => {
  test('FIFOs hold 16 characters and give them in order; the rest waits outside (FIFO Control)', () => {
    const r = rig().enable();
    assert.equal(r.type('0123456789abcdefXYZ'), 16);
    assert.equal(r.type('!'), 0);
    assert.equal(r.readText(), '0123456789abcdef');
    assert.equal(r.get(LSR), LSR_EMPTY, 'waiting is no overrun');
  });

  test('without FIFOs it holds one, and IIR shows that there are none', () => {
    const r = rig();
    r.set(IER, IER_RX);
    assert.equal(r.type('ab'), 1);
    assert.equal(r.get(IIR), 0x04);
    assert.equal(r.get(RBR), 0x61);
    assert.equal(r.get(IIR), 0x01);
    assert.equal(r.get(RBR), 0, 'empty');
  });

  test('FCR empties it: by its reset bit, which needs the enable bit, and by turning FIFOs on or off', () => {
    const r = rig().enable();
    r.type('abc');
    r.set(FCR, FIFO_ON | 0x80);
    assert.equal(r.get(LSR) & LSR_DR, LSR_DR, 'the same again');
    r.set(FCR, FIFO_ON | 0x04);
    assert.equal(r.get(LSR) & LSR_DR, LSR_DR, 'the transmitter’s reset bit');
    r.set(FCR, FIFO_ON | 0x02);
    assert.equal(r.get(LSR) & LSR_DR, 0);
    r.type('abc');
    r.set(FCR, 0);
    assert.equal(r.get(LSR) & LSR_DR, 0);
    r.type('a');
    r.set(FCR, 0x02);
    assert.equal(r.get(LSR) & LSR_DR, LSR_DR, 'not enabled, not programmed');
    assert.equal(r.get(IIR), 0x01);
  });

  test('setting the line to 8N1 keeps what was received: LCR is not FCR', () => {
    const r = rig().enable();
    r.type('abc');
    r.set(LCR, 0x07);
    r.set(LCR, LCR_8N1);
    assert.equal(r.readText(), 'abc');
  });

  test('it interrupts at the trigger level and no longer below it (FIFO Interrupt Mode Operation)', () => {
    for (const [select, level] of [1, 4, 8, 14].entries()) {
      const r = rig().enable();
      r.set(FCR, FIFO_ON | (select << 6));
      r.set(IER, IER_RX);
      r.type('x'.repeat(level - 1));
      assert.equal(r.isHigh(), false, `${level - 1} characters at level ${level}`);
      r.type('x');
      assert.equal(r.isHigh(), true, `${level} characters at level ${level}`);
      assert.equal(r.get(IIR), DATA);
      r.get(RBR);
      assert.equal(r.isHigh(), false, 'one was read');
    }
  });

  test('four character times without a character or a read, one waiting, are a timeout', () => {
    const r = rig().enable();
    r.set(IER, IER_RX);
    r.type('ab');
    r.clock.advance(TIMEOUT_NS - 1);
    r.type('c');
    r.clock.advance(TIMEOUT_NS - 1);
    assert.equal(r.get(RBR), 0x61);
    r.clock.advance(TIMEOUT_NS - 1);
    assert.equal(r.isHigh(), false);
    r.clock.advance(1);
    assert.equal(r.isHigh(), true);
    assert.equal(r.get(IIR), TIMEOUT);
    r.get(RBR);
    assert.equal(r.isHigh(), false, 'a read clears it');
    r.clock.advance(TIMEOUT_NS);
    assert.equal(r.get(IIR), TIMEOUT, 'and starts it again');
    r.get(RBR);
    r.clock.advance(TIMEOUT_NS);
    assert.equal(r.get(IIR), NONE, 'empty');
  });

  test('the timeout follows the divisor', () => {
    const r = rig().enable();
    r.setDivisor(96);
    r.set(IER, IER_RX);
    r.type('a');
    r.clock.advance(33e6);
    assert.equal(r.isHigh(), false, '1200 baud: 40 bits take 33.3 ms');
    r.clock.advance(1e6);
    assert.equal(r.isHigh(), true);
  });
});

describe('16550A modem lines (MODEM Status)', () => {
  test('outside loopback DCD, DSR and CTS are asserted, and MCR changes nothing', () => {
    const r = rig();
    r.set(MCR, 0x0f);
    assert.equal(r.get(MSR), 0xb0);
  });

  test('in loopback they are RTS, DTR, OUT1 and OUT2, by which Linux tells that a UART is there', () => {
    const r = rig();
    r.set(MCR, MCR_LOOP | 0x0a);
    assert.equal(r.get(MSR) & 0xf0, 0x90);
    for (const [output, input] of [
      [0x01, 0x20],
      [0x02, 0x10],
      [0x04, 0x40],
      [0x08, 0x80],
    ] as const) {
      r.set(MCR, MCR_LOOP | output);
      assert.equal(r.get(MSR) & 0xf0, input);
    }
  });

  test('changes are noted until MSR is read, those of RI at its end only, and interrupt', () => {
    const r = rig().enable();
    r.set(MCR, MCR_LOOP | 0x0b);
    r.get(MSR);
    r.set(IER, IER_MODEM);
    r.set(MCR, MCR_LOOP | 0x0f);
    assert.equal(r.isHigh(), false, 'RI begins');
    r.set(MCR, MCR_LOOP | 0x0b);
    assert.equal(r.get(IIR), MODEM);
    assert.equal(r.get(MSR), 0xb4);
    assert.equal(r.isHigh(), false);
    r.set(MCR, MCR_LOOP);
    assert.equal(r.get(MSR), 0x0b);
    assert.equal(r.get(MSR), 0x00);
  });
});

describe('16550A loopback (MODEM Control)', () => {
  function looped(): Rig {
    const r = rig().enable();
    r.set(MCR, MCR_LOOP);
    r.get(MSR);
    return r;
  }

  test('what is transmitted is received, and does not come out', () => {
    const r = looped();
    for (const byte of Buffer.from('loop')) r.set(THR, byte);
    assert.equal(r.readText(), 'loop');
    assert.deepEqual(r.sent, []);
  });

  test('a character into a full FIFO is lost and is an overrun until LSR is read', () => {
    const r = looped();
    r.set(IER, IER_LINE);
    for (let byte = 0; byte < 17; byte++) r.set(THR, byte);
    assert.equal(r.get(IIR), LINE);
    assert.equal(r.get(LSR), LSR_EMPTY | LSR_DR | LSR_OE);
    assert.equal(r.get(LSR), LSR_EMPTY | LSR_DR);
    assert.equal(r.isHigh(), false);
    assert.equal(r.get(RBR), 0);
    const rest = Array.from({ length: 15 }, () => r.get(RBR));
    assert.equal(rest.at(-1), 15);
  });

  test('without FIFOs the newer character stays (Line Status, OE)', () => {
    const r = looped();
    r.set(FCR, 0);
    r.set(THR, 0x61);
    r.set(THR, 0x62);
    assert.equal(r.get(LSR), LSR_EMPTY | LSR_DR | LSR_OE);
    assert.equal(r.get(RBR), 0x62);
  });

  test('a break is received as a zero, once, and told when it is the next to be read', () => {
    const r = looped();
    r.set(IER, IER_LINE);
    r.set(THR, 0x41);
    r.set(LCR, LCR_8N1 | LCR_BREAK);
    r.set(LCR, LCR_8N1 | LCR_BREAK);
    assert.equal(r.get(LSR), LSR_EMPTY | LSR_DR | LSR_FIFO_ERROR);
    assert.equal(r.isHigh(), false);
    assert.equal(r.get(RBR), 0x41);
    assert.equal(r.isHigh(), true);
    assert.equal(r.get(LSR), LSR_EMPTY | LSR_DR | LSR_BI | LSR_FIFO_ERROR);
    assert.equal(r.get(LSR), LSR_EMPTY | LSR_DR);
    assert.equal(r.get(RBR), 0);
    assert.equal(r.get(LSR), LSR_EMPTY);
  });
});

test('16550A interrupts in the order of the data sheet: line, data, transmitter, modem', () => {
  const r = rig().enable();
  r.set(MCR, MCR_LOOP);
  for (let byte = 0; byte < 17; byte++) r.set(THR, byte);
  r.set(IER, IER_RX | IER_TX | IER_LINE | IER_MODEM);
  assert.equal(r.get(IIR), LINE);
  r.get(LSR);
  assert.equal(r.get(IIR), DATA);
  for (let count = 0; count < 9; count++) r.get(RBR);
  assert.equal(r.get(IIR), EMPTY);
  assert.equal(r.get(IIR), MODEM);
  r.get(MSR);
  assert.equal(r.get(IIR), NONE);
});

test('16550A describe() is the node that kvmtool gives its machine', () => {
  assert.deepEqual(rig().device.describe({ base: 0x100_0000, spi: 0 }), {
    name: 'U6_16550A@1000000',
    properties: {
      compatible: 'ns16550a',
      reg: { cells: [0, 0x100_0000, 0, 8] },
      interrupts: { cells: [0, 0, 4] },
      'clock-frequency': { cells: [1_843_200] },
    },
  });
});
