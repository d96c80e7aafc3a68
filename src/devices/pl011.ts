/**
 * PL011 UART.
 *
 * Arm DDI0183G, "PrimeCell UART (PL011) Technical Reference Manual", r1p5. It identifies itself as r1p1, as the
 * UART of QEMU's `virt` board does: the same registers with FIFOs 16 deep, where r1p5 has 32 (drivers take the
 * depth from UARTPeriphID2).
 *
 * Modelled: data and FIFOs, receive trigger levels and timeout, all interrupts, loopback of data, break and modem
 * lines, identification.
 *
 * @deviation Transmission takes no time: UARTFR never shows the transmitter busy or full, and every write to
 *   UARTDR raises the transmit interrupt, whatever the trigger level. A guest sees an infinitely fast line.
 * @deviation UARTEN, TXE and RXE hold nothing back. Guests that rely on firmware having enabled the UART, such as
 *   Linux `earlycon`, work when there was no firmware.
 * @deviation Word length, parity, stop bits and SIR coding are stored and not applied: every character is 8 bits
 *   and arrives without framing or parity errors. The baud rate only sets the length of the receive timeout.
 * @deviation What arrives while the receiver is full waits outside, so overruns happen in loopback only.
 * @deviation Nothing drives the modem inputs; outside loopback they read as deasserted, and CTSEn and RTSEn do
 *   nothing.
 * @deviation No DMA requests (UARTDMACR is stored), and the test registers of chapter 4 are absent.
 */
import type { AccessSize, AcpiDevice, AcpiSerialPort, DtNode, MmioDevice } from '../bus/index.js';
import { registerResources } from './acpi-resources.js';
import { gsiOfSpi } from './interrupt-spec.js';
import { APB_CLOCK_HZ, PRIMECELL_SIZE_BYTES, primecellIds, primecellNode } from './primecell.js';
import type { PeripheralPlace } from './primecell.js';
import { RegisterBlock, registers, resetValues } from './registers.js';
import type { RegisterValue, RegisterValues } from './registers.js';
import { Uart, type UartPorts } from './uart.js';

/** The release and the FIFO depth that go together: DDI0183G 3.3.15 and 2.4. */
const REVISION_R1P1 = 1;
const FIFO_DEPTH = 16;

/** Bits of UARTIMSC, UARTRIS, UARTMIS and UARTICR; the manual appends IM, RIS, MIS and IC to their names. */
const INTERRUPTS = {
  RI: [0, 1],
  CTS: [1, 1],
  DCD: [2, 1],
  DSR: [3, 1],
  RX: [4, 1],
  TX: [5, 1],
  RT: [6, 1],
  FE: [7, 1],
  PE: [8, 1],
  BE: [9, 1],
  OE: [10, 1],
} as const;

const R = registers({
  UARTDR: {
    at: 0x000,
    width: 12,
    access: 'rw',
    computed: true,
    spec: 'DDI0183G 3.3.1',
    fields: { DATA: [0, 8], FE: [8, 1, 'ro'], PE: [9, 1, 'ro'], BE: [10, 1, 'ro'], OE: [11, 1, 'ro'] },
  },
  UARTRSR: {
    at: 0x004,
    width: 4,
    access: 'ro',
    spec: 'DDI0183G 3.3.2',
    fields: { FE: [0, 1], PE: [1, 1], BE: [2, 1], OE: [3, 1] },
  },
  UARTECR: { at: 0x004, width: 8, access: 'wo', spec: 'DDI0183G 3.3.2' },
  UARTFR: {
    at: 0x018,
    width: 9,
    access: 'ro',
    computed: true,
    spec: 'DDI0183G 3.3.3',
    fields: {
      CTS: [0, 1],
      DSR: [1, 1],
      DCD: [2, 1],
      BUSY: [3, 1],
      RXFE: [4, 1],
      TXFF: [5, 1],
      RXFF: [6, 1],
      TXFE: [7, 1],
      RI: [8, 1],
    },
  },
  UARTILPR: { at: 0x020, width: 8, access: 'rw', spec: 'DDI0183G 3.3.4' },
  UARTIBRD: { at: 0x024, width: 16, access: 'rw', spec: 'DDI0183G 3.3.5' },
  UARTFBRD: { at: 0x028, width: 6, access: 'rw', spec: 'DDI0183G 3.3.6' },
  UARTLCR_H: {
    at: 0x02c,
    width: 8,
    access: 'rw',
    spec: 'DDI0183G 3.3.7',
    fields: { BRK: [0, 1], PEN: [1, 1], EPS: [2, 1], STP2: [3, 1], FEN: [4, 1], WLEN: [5, 2], SPS: [7, 1] },
  },
  UARTCR: {
    at: 0x030,
    width: 16,
    access: 'rw',
    reset: 0x300,
    spec: 'DDI0183G 3.3.8',
    fields: {
      UARTEN: [0, 1],
      SIREN: [1, 1],
      SIRLP: [2, 1],
      LBE: [7, 1],
      TXE: [8, 1],
      RXE: [9, 1],
      DTR: [10, 1],
      RTS: [11, 1],
      Out1: [12, 1],
      Out2: [13, 1],
      RTSEn: [14, 1],
      CTSEn: [15, 1],
    },
  },
  UARTIFLS: {
    at: 0x034,
    width: 6,
    access: 'rw',
    reset: 0x12,
    spec: 'DDI0183G 3.3.9',
    fields: { TXIFLSEL: [0, 3], RXIFLSEL: [3, 3] },
  },
  UARTIMSC: { at: 0x038, width: 11, access: 'rw', spec: 'DDI0183G 3.3.10', fields: INTERRUPTS },
  UARTRIS: { at: 0x03c, width: 11, access: 'ro', spec: 'DDI0183G 3.3.11', fields: INTERRUPTS },
  UARTMIS: {
    at: 0x040,
    width: 11,
    access: 'ro',
    computed: true,
    spec: 'DDI0183G 3.3.12',
    fields: INTERRUPTS,
  },
  UARTICR: { at: 0x044, width: 11, access: 'wo', spec: 'DDI0183G 3.3.13', fields: INTERRUPTS },
  UARTDMACR: {
    at: 0x048,
    width: 3,
    access: 'rw',
    spec: 'DDI0183G 3.3.14',
    fields: { RXDMAE: [0, 1], TXDMAE: [1, 1], DMAONERR: [2, 1] },
  },
  ...primecellIds('UART', { part: 0x011, revision: REVISION_R1P1, spec: 'DDI0183G 3.3.15' }),
});

/** Eighths of the FIFO by UARTIFLS.RXIFLSEL; the manual reserves the rest, which acts like the highest level. */
const TRIGGER_EIGHTHS = [1, 2, 4, 6, 7] as const;

/** A guest that has not set a divisor is taken to use this rate. */
const DEFAULT_BAUD = 115_200;
/** DDI0183G 2.8.4: no character for this long, with one waiting, is a receive timeout. */
const RX_TIMEOUT_BITS = 32;

const ACPI_NAME = 'COM0';
/** Debug Port Table 2, table 3: "Arm PL011 UART". */
const DBG2_PL011 = 0x0003;

export interface Pl011State {
  regs: RegisterValues<typeof R>;
  /** The receive FIFO, oldest first: data and error bits as UARTDR shows them, without OE. */
  rx: RegisterValue<'UARTDR'>[];
  /** A character was lost, and none has been taken since: what UARTDR.OE shows. */
  isOverrun: boolean;
  /** When the receive timeout ends, in guest time, where one is running. */
  rxTimeoutNs: number | null;
}

export class Pl011 extends Uart<Pl011State> implements MmioDevice {
  readonly sizeBytes = PRIMECELL_SIZE_BYTES;
  readonly maxAccess = 4;
  readonly #block: RegisterBlock<typeof R>;

  constructor(name: string, ports: UartPorts) {
    super(name, ports, initialState);
    this.#block = new RegisterBlock<typeof R>(
      name,
      R,
      () => this.state.regs,
      {
        read: {
          UARTDR: () => this.#takeCharacter(),
          UARTFR: () => this.#flags(),
          UARTMIS: () => this.#maskedStatus(),
        },
        write: {
          UARTDR: (value) => this.#transmit(value),
          UARTECR: () => {
            this.state.regs.UARTRSR = R.UARTRSR.value(0);
          },
          UARTLCR_H: (value) => this.#setLineControl(value),
          UARTCR: (value) => this.#setControl(value),
          UARTICR: (value) => {
            this.state.regs.UARTRIS = R.UARTRIS.value(this.state.regs.UARTRIS & ~value);
          },
        },
      },
      ports.trace,
    );
  }

  read(offset: number, size: AccessSize): number {
    return this.act(() => this.#block.read(offset, size));
  }

  write(offset: number, size: AccessSize, value: number): void {
    this.act(() => this.#block.write(offset, size, value));
  }

  describe(place: PeripheralPlace): readonly DtNode[] {
    return [primecellNode('pl011', place, { clockNames: ['uartclk', 'apb_pclk'] })];
  }

  /** Its device in the namespace: the generic UART of Arm's Server Base System Architecture finds it so. */
  describeAcpi({ base, spi }: PeripheralPlace): AcpiDevice {
    return {
      name: ACPI_NAME,
      objects: {
        _HID: 'ARMH0011',
        _UID: 0,
        _CRS: registerResources(base, PRIMECELL_SIZE_BYTES, { spi, trigger: 'level-high' }),
      },
    };
  }

  describeSerialPort({ base, spi }: PeripheralPlace): AcpiSerialPort {
    return {
      base,
      sizeBytes: PRIMECELL_SIZE_BYTES,
      gsi: gsiOfSpi(spi),
      subtype: DBG2_PL011,
      device: `\\_SB.${ACPI_NAME}`,
    };
  }

  protected override isInterrupting(): boolean {
    return this.#maskedStatus() !== 0;
  }

  protected override takeByte(byte: number): void {
    this.#takeIn(R.UARTDR.of({ DATA: byte }));
  }

  protected override onRxTimeout(): void {
    this.#raise({ RT: true });
  }

  #maskedStatus(): RegisterValue<'UARTMIS'> {
    return R.UARTMIS.value(this.state.regs.UARTRIS & this.state.regs.UARTIMSC);
  }

  #raise(interrupts: Partial<Record<keyof typeof INTERRUPTS, boolean>>): void {
    const { regs } = this.state;
    regs.UARTRIS = R.UARTRIS.value(regs.UARTRIS | R.UARTRIS.of(interrupts));
  }

  /** Without FIFOs the receiver holds one character (DDI0183G 3.3.7, FEN). */
  protected override depth(): number {
    return R.UARTLCR_H.has(this.state.regs.UARTLCR_H, 'FEN') ? FIFO_DEPTH : 1;
  }

  protected override isLoopback(): boolean {
    return R.UARTCR.has(this.state.regs.UARTCR, 'LBE');
  }

  /** The fill level at which the receive interrupt comes. */
  #rxTrigger(): number {
    const eighths = TRIGGER_EIGHTHS[R.UARTIFLS.get(this.state.regs.UARTIFLS, 'RXIFLSEL')] ?? 7;
    return Math.max(1, (this.depth() * eighths) >> 3);
  }

  #takeIn(character: RegisterValue<'UARTDR'>): void {
    const state = this.state;
    if (state.rx.length >= this.depth()) {
      state.isOverrun = true;
      state.regs.UARTRSR = R.UARTRSR.with(state.regs.UARTRSR, 'OE', 1);
      this.#raise({ OE: true });
      return;
    }
    state.isOverrun = false;
    state.rx.push(character);
    this.#raise({ BE: R.UARTDR.has(character, 'BE'), RX: state.rx.length >= this.#rxTrigger() });
    this.setRxTimeout(this.ports.clock.nowNs() + this.#rxTimeoutLengthNs());
  }

  #takeCharacter(): number {
    const state = this.state;
    const { regs, rx } = state;
    const character = rx.shift();
    if (character === undefined) return 0;
    regs.UARTRSR = R.UARTRSR.of({
      FE: R.UARTDR.get(character, 'FE'),
      PE: R.UARTDR.get(character, 'PE'),
      BE: R.UARTDR.get(character, 'BE'),
      OE: R.UARTRSR.get(regs.UARTRSR, 'OE'),
    });
    if (rx.length < this.#rxTrigger()) regs.UARTRIS = R.UARTRIS.with(regs.UARTRIS, 'RX', 0);
    if (rx.length === 0) this.#endRxTimeout();
    return R.UARTDR.with(character, 'OE', state.isOverrun);
  }

  #flags(): number {
    const { rx } = this.state;
    return R.UARTFR.of({
      ...this.#modemInputs(),
      RXFE: rx.length === 0,
      RXFF: rx.length >= this.depth(),
      TXFE: true,
    });
  }

  /** In loopback the modem outputs come back as inputs (DDI0183G 3.3.8, LBE). */
  #modemInputs(): { CTS: boolean; DSR: boolean; DCD: boolean; RI: boolean } {
    const control = this.state.regs.UARTCR;
    const comesBack = (output: 'RTS' | 'DTR' | 'Out1' | 'Out2') =>
      this.isLoopback() && R.UARTCR.has(control, output);
    return { CTS: comesBack('RTS'), DSR: comesBack('DTR'), DCD: comesBack('Out1'), RI: comesBack('Out2') };
  }

  #transmit(value: RegisterValue<'UARTDR'>): void {
    const data = R.UARTDR.get(value, 'DATA');
    this.ports.output.write(data);
    this.#raise({ TX: true });
    if (this.isLoopback()) this.#takeIn(R.UARTDR.of({ DATA: data }));
  }

  #setLineControl(value: RegisterValue<'UARTLCR_H'>): void {
    const state = this.state;
    const previous = state.regs.UARTLCR_H;
    state.regs.UARTLCR_H = value;
    if (R.UARTLCR_H.has(previous, 'FEN') !== R.UARTLCR_H.has(value, 'FEN')) {
      // Turning FIFOs on or off empties them; drivers flush this way.
      state.rx = [];
      state.isOverrun = false;
      state.regs.UARTRIS = R.UARTRIS.with(state.regs.UARTRIS, 'RX', 0);
      this.#endRxTimeout();
    }
    const isBreakStart = R.UARTLCR_H.has(value, 'BRK') && !R.UARTLCR_H.has(previous, 'BRK');
    if (isBreakStart && this.isLoopback()) this.#takeIn(R.UARTDR.of({ BE: 1 }));
  }

  #setControl(value: RegisterValue<'UARTCR'>): void {
    const before = this.#modemInputs();
    this.state.regs.UARTCR = value;
    const after = this.#modemInputs();
    this.#raise({
      CTS: before.CTS !== after.CTS,
      DSR: before.DSR !== after.DSR,
      DCD: before.DCD !== after.DCD,
      RI: before.RI !== after.RI,
    });
  }

  #rxTimeoutLengthNs(): number {
    const { UARTIBRD, UARTFBRD } = this.state.regs;
    const clocksPerBit = 16 * (UARTIBRD + UARTFBRD / 64);
    const baud = UARTIBRD === 0 ? DEFAULT_BAUD : APB_CLOCK_HZ / clocksPerBit;
    return Math.ceil((RX_TIMEOUT_BITS * 1e9) / baud);
  }

  /** The receiver is empty: nothing is waiting to be timed out. */
  #endRxTimeout(): void {
    const { regs } = this.state;
    regs.UARTRIS = R.UARTRIS.with(regs.UARTRIS, 'RT', 0);
    this.setRxTimeout(null);
  }
}

function initialState(): Pl011State {
  return { regs: resetValues(R), rx: [], isOverrun: false, rxTimeoutNs: null };
}
