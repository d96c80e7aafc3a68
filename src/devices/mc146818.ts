/**
 * MC146818A real-time clock with 128 bytes of CMOS RAM, as PCs have it: an index register and a data register.
 *
 * Motorola MC146818A data sheet (clauses are named by the register they are about); the century is where PCs keep it.
 * Time is UTC. After power-on it is in BCD with hours from 0 to 23, which is what kvmtool's device always shows; a guest
 * may choose the other formats in register B.
 *
 * @deviation An update takes no time: register A never shows one in progress.
 * @deviation No interrupts, which kvmtool's machine has no line for: register C is zero, alarms are bytes of RAM, and
 *   there is no periodic interrupt and no square wave.
 * @deviation The divider always runs, and the day of the week follows from the date.
 * @deviation Seconds begin at multiples of 10^9 ns of guest time. Setting the time does not begin a new second.
 * @deviation A system reset does not touch the time nor the RAM, as if they had a battery.
 */
import { deepCopy } from '../base/index.js';
import type { Trace } from '../base/index.js';
import { cells64 } from '../bus/index.js';
import type { AccessSize, Clock, DtNode, MmioDevice, Snapshottable } from '../bus/index.js';
import { RegisterBlock, registers, type RegisterValues } from './registers.js';

const SIZE_BYTES = 2;
const RAM_BYTES = 128;

const R = registers({
  // The part has no register for its address; that of PCs can be read in some chip sets, and EDK2 does read it.
  INDEX: {
    at: 0,
    width: 8,
    access: 'rw',
    computed: true,
    spec: 'MC146818A Address Map',
    fields: { ADDRESS: [0, 7] },
  },
  DATA: { at: 1, width: 8, access: 'rw', computed: true, spec: 'MC146818A Address Map' },
});

/** Addresses in RAM: of the time (MC146818A Time, Calendar, and Alarm Locations), and of the registers. */
const AT = {
  seconds: 0x00,
  minutes: 0x02,
  hours: 0x04,
  dayOfWeek: 0x06,
  dayOfMonth: 0x07,
  month: 0x08,
  year: 0x09,
  registerA: 0x0a,
  registerB: 0x0b,
  registerC: 0x0c,
  registerD: 0x0d,
  century: 0x32,
} as const;
const TIME_ADDRESSES = [
  AT.seconds,
  AT.minutes,
  AT.hours,
  AT.dayOfWeek,
  AT.dayOfMonth,
  AT.month,
  AT.year,
  AT.century,
] as const;
type TimeAddress = (typeof TIME_ADDRESSES)[number];

/** MC146818A Register A: update in progress. */
const UPDATE_IN_PROGRESS = 0x80;
/** MC146818A Register A: a 32.768 kHz crystal, a periodic rate of 1,024 Hz. */
const REGISTER_A_AT_POWER_ON = 0x26;
/** MC146818A Register B. Those of `enables` are cleared by reset: three interrupts and the square wave. */
const REGISTER_B = { set: 0x80, enables: 0x78, isBinary: 0x04, is24Hours: 0x02 } as const;
/** MC146818A Register D: the power has not failed. */
const VALID_RAM_AND_TIME = 0x80;
/** In the hours, where they are from 1 to 12. */
const PM = 0x80;

const NS_PER_SECOND = 1e9;
const MS_PER_SECOND = 1000;
/** What four digits of a year can show. */
const FIRST_TIME = Date.parse('0000-01-01T00:00:00Z') / MS_PER_SECOND;
const LAST_TIME = Date.parse('9999-12-31T23:59:59Z') / MS_PER_SECOND;

export interface Mc146818State {
  /** Address of what DATA reads and writes. */
  index: number;
  /** 128 bytes. Those of the time are in use while register B's SET is set. */
  ram: number[];
  /** Time of day when guest time was 0, in seconds since 1970. */
  secondsAtStart: number;
}

export interface Mc146818Ports {
  readonly clock: Clock;
  readonly trace: Trace;
}

export class Mc146818 implements MmioDevice, Snapshottable<Mc146818State> {
  readonly name: string;
  readonly sizeBytes = SIZE_BYTES;
  readonly maxAccess = 1;
  #state: Mc146818State;
  readonly #ports: Mc146818Ports;
  readonly #block: RegisterBlock<typeof R>;

  /** `epochSeconds` is the time of day when guest time is 0, in seconds since 1970. */
  constructor(name: string, epochSeconds: number, ports: Mc146818Ports) {
    this.name = name;
    this.#ports = ports;
    const ram = Array.from({ length: RAM_BYTES }, () => 0);
    ram[AT.registerA] = REGISTER_A_AT_POWER_ON;
    ram[AT.registerB] = REGISTER_B.is24Hours;
    ram[AT.registerD] = VALID_RAM_AND_TIME;
    this.#state = { index: 0, ram, secondsAtStart: Math.floor(epochSeconds) };
    // All state is behind the two.
    const nothingStored: RegisterValues<typeof R> = {};
    this.#block = new RegisterBlock<typeof R>(
      name,
      R,
      () => nothingStored,
      {
        read: { INDEX: () => this.#state.index, DATA: () => this.#read(this.#state.index) },
        write: {
          INDEX: (value) => {
            this.#state.index = R.INDEX.get(value, 'ADDRESS');
          },
          DATA: (value) => this.#write(this.#state.index, value),
        },
      },
      ports.trace,
      1,
    );
  }

  read(offset: number, size: AccessSize): number {
    return this.#block.read(offset, size);
  }

  write(offset: number, size: AccessSize, value: number): void {
    this.#block.write(offset, size, value);
  }

  reset(): void {
    this.#state.index = 0;
    this.#write(AT.registerB, this.#read(AT.registerB) & ~REGISTER_B.enables);
  }

  saveState(): Mc146818State {
    return deepCopy(this.#state);
  }

  restoreState(state: Mc146818State): void {
    this.#state = deepCopy(state);
  }

  /** Its node, of the binding `motorola,mc146818` of Linux's `rtc-cmos`. */
  describe(base: number): DtNode {
    return {
      name: `rtc@${base.toString(16)}`,
      properties: {
        compatible: 'motorola,mc146818',
        reg: { cells: [...cells64(base), ...cells64(SIZE_BYTES)] },
      },
    };
  }

  #read(address: number): number {
    const { ram } = this.#state;
    if (isTimeAddress(address) && !this.#isSetting()) return this.#encode(address, this.#time());
    return ram[address] ?? 0;
  }

  #write(address: number, value: number): void {
    const { ram } = this.#state;
    if (address === AT.registerC || address === AT.registerD) return;
    if (address === AT.registerB) {
      this.#setRegisterB(value);
    } else if (isTimeAddress(address) && !this.#isSetting()) {
      this.#hold();
      ram[address] = value;
      this.#release();
    } else {
      ram[address] = address === AT.registerA ? value & ~UPDATE_IN_PROGRESS : value;
    }
  }

  /** While SET is set, the time in RAM stands still and is the guest's to change. */
  #isSetting(): boolean {
    return ((this.#state.ram[AT.registerB] ?? 0) & REGISTER_B.set) !== 0;
  }

  #setRegisterB(value: number): void {
    const wasSetting = this.#isSetting();
    const isSetting = (value & REGISTER_B.set) !== 0;
    if (isSetting && !wasSetting) this.#hold();
    this.#state.ram[AT.registerB] = value;
    // What was written is in the format that is chosen by now.
    if (wasSetting && !isSetting) this.#release();
  }

  /** Whole seconds of guest time. */
  #second(): number {
    return Math.floor(this.#ports.clock.nowNs() / NS_PER_SECOND);
  }

  #time(): Date {
    return new Date((this.#state.secondsAtStart + this.#second()) * MS_PER_SECOND);
  }

  #hold(): void {
    const time = this.#time();
    for (const address of TIME_ADDRESSES) this.#state.ram[address] = this.#encode(address, time);
  }

  /** Goes on with the time in RAM, whatever a guest has put there: the 99th of a month is a day of a later one. */
  #release(): void {
    const field = (address: TimeAddress): number => this.#decode(address, this.#state.ram[address] ?? 0);
    const time = new Date(0);
    time.setUTCFullYear(field(AT.century) * 100 + field(AT.year), field(AT.month) - 1, field(AT.dayOfMonth));
    time.setUTCHours(field(AT.hours), field(AT.minutes), field(AT.seconds));
    const seconds = Math.min(Math.max(time.getTime() / MS_PER_SECOND, FIRST_TIME), LAST_TIME);
    this.#state.secondsAtStart = seconds - this.#second();
  }

  #encode(address: TimeAddress, time: Date): number {
    const value = valueOf(address, time);
    if (address !== AT.hours || this.#hasFormat('is24Hours')) return this.#digits(value);
    return this.#digits(value % 12 === 0 ? 12 : value % 12) | (value < 12 ? 0 : PM);
  }

  #decode(address: TimeAddress, byte: number): number {
    if (address !== AT.hours || this.#hasFormat('is24Hours')) return this.#number(byte);
    return (this.#number(byte & ~PM) % 12) + ((byte & PM) === 0 ? 0 : 12);
  }

  #hasFormat(format: 'isBinary' | 'is24Hours'): boolean {
    return ((this.#state.ram[AT.registerB] ?? 0) & REGISTER_B[format]) !== 0;
  }

  #digits(value: number): number {
    return this.#hasFormat('isBinary') ? value : (Math.floor(value / 10) << 4) | (value % 10);
  }

  #number(byte: number): number {
    return this.#hasFormat('isBinary') ? byte : (byte >> 4) * 10 + (byte & 0xf);
  }
}

function isTimeAddress(address: number): address is TimeAddress {
  return (TIME_ADDRESSES as readonly number[]).includes(address);
}

function valueOf(address: TimeAddress, time: Date): number {
  switch (address) {
    case AT.seconds:
      return time.getUTCSeconds();
    case AT.minutes:
      return time.getUTCMinutes();
    case AT.hours:
      return time.getUTCHours();
    case AT.dayOfWeek:
      return time.getUTCDay() + 1;
    case AT.dayOfMonth:
      return time.getUTCDate();
    case AT.month:
      return time.getUTCMonth() + 1;
    case AT.year:
      return time.getUTCFullYear() % 100;
    case AT.century:
      return Math.floor(time.getUTCFullYear() / 100);
  }
}
