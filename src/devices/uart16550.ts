/**
 * 16550A UART.
 *
 * National Semiconductor PC16550D, "Universal Asynchronous Receiver/Transmitter with FIFOs" (clauses are named by the
 * register they are about). Registers are bytes, one after the other.
 *
 * Modelled: data and FIFOs, trigger levels and character timeout, the four interrupts and their order, divisor latch,
 * loopback of data, break and modem lines.
 *
 * @deviation Transmission takes no time: LSR always shows the transmitter empty. A guest sees an infinitely fast line.
 * @deviation Word length, parity and stop bits are stored and not applied: every character is 8 bits and arrives
 *   without framing or parity errors. The divisor only sets the length of the character timeout.
 * @deviation What arrives while the receiver is full waits outside, so overruns happen in loopback only.
 * @deviation Outside loopback DCD, DSR and CTS are asserted and RI is not, as on kvmtool's machine; nothing changes
 *   them.
 * @deviation No DMA signals: FCR's mode bit does nothing.
 */
import { cells64 } from '../bus/index.js';
import type { AccessSize, DtNode, MmioDevice } from '../bus/index.js';
import { spiInterrupt } from './interrupt-spec.js';
import type { PeripheralPlace } from './primecell.js';
import { RegisterBlock, registers, resetValues } from './registers.js';
import type { RegisterValue, RegisterValues } from './registers.js';
import { Uart, type UartPorts } from './uart.js';

const SIZE_BYTES = 8;
const FIFO_DEPTH = 16;
/** What drives the baud rate generator: 115200 baud with a divisor of 1. */
const CLOCK_HZ = 1_843_200;
const CLOCKS_PER_BIT = 16;

const R = registers({
  RBR: { at: 0, width: 8, access: 'ro', computed: true, spec: 'PC16550D Receiver Buffer Register' },
  THR: { at: 0, width: 8, access: 'wo', spec: 'PC16550D Transmitter Holding Register' },
  IER: {
    at: 1,
    width: 4,
    access: 'rw',
    spec: 'PC16550D Interrupt Enable Register',
    fields: { ERBFI: [0, 1], ETBEI: [1, 1], ELSI: [2, 1], EDSSI: [3, 1] },
  },
  IIR: {
    at: 2,
    width: 8,
    access: 'ro',
    computed: true,
    spec: 'PC16550D Interrupt Identification Register',
    fields: { ID: [0, 4], FIFOS: [6, 2] },
  },
  FCR: {
    at: 2,
    width: 8,
    access: 'wo',
    spec: 'PC16550D FIFO Control Register',
    fields: { ENABLE: [0, 1], RX_RESET: [1, 1], TX_RESET: [2, 1], DMA_MODE: [3, 1], TRIGGER: [6, 2] },
  },
  LCR: {
    at: 3,
    width: 8,
    access: 'rw',
    spec: 'PC16550D Line Control Register',
    fields: {
      WLS: [0, 2],
      STB: [2, 1],
      PEN: [3, 1],
      EPS: [4, 1],
      STICK: [5, 1],
      BREAK: [6, 1],
      DLAB: [7, 1],
    },
  },
  MCR: {
    at: 4,
    width: 5,
    access: 'rw',
    spec: 'PC16550D MODEM Control Register',
    fields: { DTR: [0, 1], RTS: [1, 1], OUT1: [2, 1], OUT2: [3, 1], LOOP: [4, 1] },
  },
  LSR: {
    at: 5,
    width: 8,
    access: 'ro',
    computed: true,
    spec: 'PC16550D Line Status Register',
    fields: {
      DR: [0, 1],
      OE: [1, 1],
      PE: [2, 1],
      FE: [3, 1],
      BI: [4, 1],
      THRE: [5, 1],
      TEMT: [6, 1],
      FIFO_ERROR: [7, 1],
    },
  },
  MSR: {
    at: 6,
    width: 8,
    access: 'ro',
    computed: true,
    spec: 'PC16550D MODEM Status Register',
    fields: {
      DCTS: [0, 1],
      DDSR: [1, 1],
      TERI: [2, 1],
      DDCD: [3, 1],
      CTS: [4, 1],
      DSR: [5, 1],
      RI: [6, 1],
      DCD: [7, 1],
    },
  },
  SCR: { at: 7, width: 8, access: 'rw', spec: 'PC16550D Scratchpad Register' },
});

/** What is in the place of the first two registers while LCR.DLAB is set. */
const LATCH = registers({
  DLL: { at: 0, width: 8, access: 'rw', spec: 'PC16550D Programmable Baud Generator' },
  DLM: { at: 1, width: 8, access: 'rw', spec: 'PC16550D Programmable Baud Generator' },
});

/** IIR.ID, the highest priority first. */
const INTERRUPT = {
  lineStatus: 0b0110,
  dataAvailable: 0b0100,
  characterTimeout: 0b1100,
  transmitterEmpty: 0b0010,
  modemStatus: 0b0000,
  none: 0b0001,
} as const;

/** Characters in the receive FIFO at which it interrupts, by FCR.TRIGGER. */
const TRIGGER_LEVELS = [1, 4, 8, 14] as const;

/** With a character waiting, this long without another and without a read is a timeout: four characters of ten bits. */
const TIMEOUT_BITS = 40;

/** What the receiver holds: a character, or a break, which is a zero with this bit. */
const BREAK = 0x100;

type ModemLine = 'CTS' | 'DSR' | 'RI' | 'DCD';
type ModemLines = Record<ModemLine, boolean>;

/** Which MSR bit notes that a line changed. */
const MODEM_CHANGES = { CTS: 'DCTS', DSR: 'DDSR', RI: 'TERI', DCD: 'DDCD' } as const;

export interface Uart16550State {
  regs: RegisterValues<typeof R>;
  latch: RegisterValues<typeof LATCH>;
  /** FCR as it is in effect, without the bits that only do something. */
  fifoControl: RegisterValue<'FCR'>;
  /** The receive FIFO, oldest first. */
  rx: number[];
  /** A character was lost since LSR was read. */
  isOverrun: boolean;
  /** The transmitter became empty, and IIR has not told so yet. */
  isTransmitterNews: boolean;
  /** Changes of modem lines since MSR was read. */
  modemChanges: RegisterValue<'MSR'>;
  /** The character timeout has come. */
  isTimedOut: boolean;
  /** When it will come, in guest time, where it is running. */
  rxTimeoutNs: number | null;
}

export class Uart16550 extends Uart<Uart16550State> implements MmioDevice {
  readonly sizeBytes = SIZE_BYTES;
  readonly maxAccess = 1;
  readonly #block: RegisterBlock<typeof R>;
  readonly #latch: RegisterBlock<typeof LATCH>;

  constructor(name: string, ports: UartPorts) {
    super(name, ports, initialState);
    this.#block = new RegisterBlock<typeof R>(
      name,
      R,
      () => this.state.regs,
      {
        read: {
          RBR: () => this.#takeCharacter(),
          IIR: () => this.#identifyInterrupt(),
          LSR: () => this.#takeLineStatus(),
          MSR: () => this.#takeModemStatus(),
        },
        write: {
          THR: (value) => this.#transmit(value),
          IER: (value) => this.#enableInterrupts(value),
          FCR: (value) => this.#controlFifo(value),
          LCR: (value) => this.#setLineControl(value),
          MCR: (value) => this.#setModemControl(value),
        },
      },
      ports.trace,
      1,
    );
    const { trace } = ports;
    this.#latch = new RegisterBlock<typeof LATCH>(
      name,
      LATCH,
      () => this.state.latch,
      { read: {}, write: {} },
      trace,
      1,
    );
  }

  read(offset: number, size: AccessSize): number {
    return this.act(() => this.#bank(offset).read(offset, size));
  }

  write(offset: number, size: AccessSize, value: number): void {
    this.act(() => {
      this.#bank(offset).write(offset, size, value);
    });
  }

  /** Its node, named as kvmtool names it; `ns16550a` of the binding `8250.yaml` of Linux. */
  describe({ base, spi }: PeripheralPlace): DtNode {
    return {
      name: `U6_16550A@${base.toString(16)}`,
      properties: {
        compatible: 'ns16550a',
        reg: { cells: [...cells64(base), ...cells64(SIZE_BYTES)] },
        interrupts: { cells: spiInterrupt(spi, 'level-high') },
        'clock-frequency': { cells: [CLOCK_HZ] },
      },
    };
  }

  #bank(offset: number): Pick<RegisterBlock<typeof R>, 'read' | 'write'> {
    const isLatch = offset <= LATCH.DLM.definition.at && R.LCR.has(this.state.regs.LCR, 'DLAB');
    return isLatch ? this.#latch : this.#block;
  }

  protected override isInterrupting(): boolean {
    return this.#pendingInterrupt() !== INTERRUPT.none;
  }

  protected override takeByte(byte: number): void {
    this.#takeIn(byte);
  }

  protected override onRxTimeout(): void {
    this.state.isTimedOut = true;
  }

  /** The enabled interrupt of the highest priority. */
  #pendingInterrupt(): number {
    const { regs, rx, isOverrun, isTimedOut, isTransmitterNews, modemChanges } = this.state;
    const isEnabled = (interrupt: 'ERBFI' | 'ETBEI' | 'ELSI' | 'EDSSI') => R.IER.has(regs.IER, interrupt);
    if (isEnabled('ELSI') && (isOverrun || this.#isBreakNext())) return INTERRUPT.lineStatus;
    if (isEnabled('ERBFI') && rx.length >= this.#trigger()) return INTERRUPT.dataAvailable;
    if (isEnabled('ERBFI') && isTimedOut) return INTERRUPT.characterTimeout;
    if (isEnabled('ETBEI') && isTransmitterNews) return INTERRUPT.transmitterEmpty;
    if (isEnabled('EDSSI') && modemChanges !== 0) return INTERRUPT.modemStatus;
    return INTERRUPT.none;
  }

  #identifyInterrupt(): number {
    const id = this.#pendingInterrupt();
    if (id === INTERRUPT.transmitterEmpty) this.state.isTransmitterNews = false;
    return R.IIR.of({ ID: id, FIFOS: this.#hasFifos() ? 3 : 0 });
  }

  #hasFifos(): boolean {
    return R.FCR.has(this.state.fifoControl, 'ENABLE');
  }

  protected override depth(): number {
    return this.#hasFifos() ? FIFO_DEPTH : 1;
  }

  #trigger(): number {
    if (!this.#hasFifos()) return 1;
    return TRIGGER_LEVELS[R.FCR.get(this.state.fifoControl, 'TRIGGER')] ?? 1;
  }

  protected override isLoopback(): boolean {
    return R.MCR.has(this.state.regs.MCR, 'LOOP');
  }

  #isBreakNext(): boolean {
    return ((this.state.rx[0] ?? 0) & BREAK) !== 0;
  }

  #takeIn(character: number): void {
    const state = this.state;
    if (state.rx.length >= this.depth()) {
      state.isOverrun = true;
      // With FIFOs the newcomer is lost, without it takes the place of the character that nobody read.
      if (!this.#hasFifos()) state.rx = [character];
      return;
    }
    state.rx.push(character);
    this.#restartTimeout();
  }

  #takeCharacter(): number {
    const character = this.state.rx.shift() ?? 0;
    this.state.isTimedOut = false;
    this.#restartTimeout();
    return character & 0xff;
  }

  #takeLineStatus(): number {
    const state = this.state;
    const status = R.LSR.of({
      DR: state.rx.length > 0,
      OE: state.isOverrun,
      BI: this.#isBreakNext(),
      THRE: 1,
      TEMT: 1,
      FIFO_ERROR: this.#hasFifos() && state.rx.some((character) => (character & BREAK) !== 0),
    });
    state.isOverrun = false;
    if (this.#isBreakNext()) state.rx[0] = 0;
    return status;
  }

  /** In loopback the modem outputs come back as inputs. */
  #modemLines(): ModemLines {
    const control = this.state.regs.MCR;
    if (!this.isLoopback()) return { CTS: true, DSR: true, RI: false, DCD: true };
    return {
      CTS: R.MCR.has(control, 'RTS'),
      DSR: R.MCR.has(control, 'DTR'),
      RI: R.MCR.has(control, 'OUT1'),
      DCD: R.MCR.has(control, 'OUT2'),
    };
  }

  #takeModemStatus(): number {
    const status = R.MSR.of({ ...this.#modemLines() }) | this.state.modemChanges;
    this.state.modemChanges = R.MSR.value(0);
    return status;
  }

  #transmit(value: RegisterValue<'THR'>): void {
    if (!this.isLoopback()) this.ports.output.write(value);
    else this.#takeIn(value);
    this.state.isTransmitterNews = true;
  }

  #enableInterrupts(value: RegisterValue<'IER'>): void {
    const { regs } = this.state;
    // Enabling it with the transmitter empty, which it always is, is news: drivers look for that.
    if (R.IER.has(value, 'ETBEI') && !R.IER.has(regs.IER, 'ETBEI')) this.state.isTransmitterNews = true;
    regs.IER = value;
  }

  #controlFifo(value: RegisterValue<'FCR'>): void {
    const state = this.state;
    const isEnabled = R.FCR.has(value, 'ENABLE');
    const isChange = isEnabled !== this.#hasFifos();
    // Without the enable bit the others are not programmed.
    state.fifoControl = isEnabled
      ? R.FCR.of({ ENABLE: 1, TRIGGER: R.FCR.get(value, 'TRIGGER') })
      : R.FCR.value(0);
    if (!isChange && !(isEnabled && R.FCR.has(value, 'RX_RESET'))) return;
    state.rx = [];
    state.isTimedOut = false;
    this.setRxTimeout(null);
  }

  #setLineControl(value: RegisterValue<'LCR'>): void {
    const { regs } = this.state;
    const isBreakStart = R.LCR.has(value, 'BREAK') && !R.LCR.has(regs.LCR, 'BREAK');
    regs.LCR = value;
    if (isBreakStart && this.isLoopback()) this.#takeIn(BREAK);
  }

  #setModemControl(value: RegisterValue<'MCR'>): void {
    const state = this.state;
    const before = this.#modemLines();
    state.regs.MCR = value;
    const after = this.#modemLines();
    for (const line of Object.keys(MODEM_CHANGES) as ModemLine[]) {
      // RI is noted at its end only.
      const isNoted = line === 'RI' ? before.RI && !after.RI : before[line] !== after[line];
      if (isNoted) state.modemChanges = R.MSR.with(state.modemChanges, MODEM_CHANGES[line], 1);
    }
  }

  #timeoutLengthNs(): number {
    const { DLL, DLM } = this.state.latch;
    const divisor = (DLM << 8) | DLL;
    // A guest that has set no divisor is taken to use the fastest rate.
    return Math.ceil((TIMEOUT_BITS * CLOCKS_PER_BIT * Math.max(divisor, 1) * 1e9) / CLOCK_HZ);
  }

  #restartTimeout(): void {
    const isRunning = this.#hasFifos() && this.state.rx.length > 0;
    this.setRxTimeout(isRunning ? this.ports.clock.nowNs() + this.#timeoutLengthNs() : null);
  }
}

function initialState(): Uart16550State {
  return {
    regs: resetValues(R),
    latch: resetValues(LATCH),
    fifoControl: R.FCR.value(0),
    rx: [],
    isOverrun: false,
    isTransmitterNews: false,
    modemChanges: R.MSR.value(0),
    isTimedOut: false,
    rxTimeoutNs: null,
  };
}
