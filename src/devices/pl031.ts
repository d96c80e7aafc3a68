/**
 * PL031 real time clock.
 *
 * Arm DDI0224C, "PrimeCell Real Time Clock (PL031) Technical Reference Manual". Modelled: the counter of seconds,
 * the match interrupt, identification (of the release that QEMU's `virt` board shows).
 *
 * @deviation The clock runs from power-on, as one that a boot ROM has started: RTCCR reads 1. The manual lets the
 *   guest start it, once.
 * @deviation Seconds begin at multiples of 10^9 ns of guest time. Writing RTCLR takes effect at once and does not
 *   begin a new second.
 * @deviation A system reset does not touch the time, as if the counter had a battery. It does clear the match.
 */
import { deepCopy } from '../base/index.js';
import type { Trace } from '../base/index.js';
import type { AccessSize, Clock, DtNode, IrqLine, MmioDevice, Snapshottable, Timer } from '../bus/index.js';
import { PRIMECELL_SIZE_BYTES, primecellIds, primecellNode } from './primecell.js';
import type { PeripheralPlace } from './primecell.js';
import { RegisterBlock, registers, resetValues } from './registers.js';
import type { RegisterValues } from './registers.js';

const R = registers({
  RTCDR: { at: 0x000, width: 32, access: 'ro', computed: true, spec: 'DDI0224C 3.3.1' },
  RTCMR: { at: 0x004, width: 32, access: 'rw', spec: 'DDI0224C 3.3.2' },
  RTCLR: { at: 0x008, width: 32, access: 'rw', spec: 'DDI0224C 3.3.3' },
  RTCCR: { at: 0x00c, width: 1, access: 'rw', computed: true, spec: 'DDI0224C 3.3.4' },
  RTCIMSC: { at: 0x010, width: 1, access: 'rw', spec: 'DDI0224C 3.3.5' },
  RTCRIS: { at: 0x014, width: 1, access: 'ro', spec: 'DDI0224C 3.3.6' },
  RTCMIS: { at: 0x018, width: 1, access: 'ro', computed: true, spec: 'DDI0224C 3.3.7' },
  RTCICR: { at: 0x01c, width: 1, access: 'wo', spec: 'DDI0224C 3.3.8' },
  ...primecellIds('RTC', { part: 0x031, revision: 1, spec: 'DDI0224C 3.3.9' }),
});

const NS_PER_SECOND = 1e9;
/** The counter's values: it wraps from 2^32-1 to 0. */
const COUNTS = 2 ** 32;

export interface Pl031State {
  regs: RegisterValues<typeof R>;
  /** What the counter would have read when guest time was 0. */
  countAtStart: number;
  /** The second of guest time in which the counter next reaches RTCMR. */
  matchSecond: number;
}

export interface Pl031Ports {
  readonly irq: IrqLine;
  readonly clock: Clock;
  readonly trace: Trace;
}

export class Pl031 implements MmioDevice, Snapshottable<Pl031State> {
  readonly name: string;
  readonly sizeBytes = PRIMECELL_SIZE_BYTES;
  readonly maxAccess = 4;
  #state: Pl031State;
  readonly #ports: Pl031Ports;
  readonly #alarm: Timer;
  readonly #block: RegisterBlock<typeof R>;

  /** `epochSeconds` is the time of day when guest time is 0, in seconds since 1970. */
  constructor(name: string, epochSeconds: number, ports: Pl031Ports) {
    this.name = name;
    this.#ports = ports;
    this.#alarm = ports.clock.timer(`${name} alarm`, () => this.#update());
    this.#block = new RegisterBlock<typeof R>(
      name,
      R,
      () => this.#state.regs,
      {
        read: { RTCDR: () => this.#count(), RTCCR: () => 1, RTCMIS: () => this.#maskedStatus() },
        write: {
          RTCMR: (value) => {
            this.#state.regs.RTCMR = value;
            this.#findMatch(this.#second());
          },
          RTCLR: (value) => {
            this.#state.regs.RTCLR = value;
            this.#state.countAtStart = modulo(value - this.#second());
            this.#findMatch(this.#second());
          },
          // Once running, the counter cannot be stopped.
          RTCCR: () => undefined,
          // DDI0224C 2.1: any value clears.
          RTCICR: () => {
            this.#state.regs.RTCRIS = R.RTCRIS.value(0);
          },
        },
      },
      ports.trace,
    );
    this.#state = { regs: resetValues(R), countAtStart: modulo(Math.floor(epochSeconds)), matchSecond: 0 };
    this.#findMatch(1);
  }

  read(offset: number, size: AccessSize): number {
    this.#update();
    return this.#block.read(offset, size);
  }

  write(offset: number, size: AccessSize, value: number): void {
    this.#update();
    this.#block.write(offset, size, value);
    this.#update();
  }

  reset(): void {
    this.#state.regs = resetValues(R);
    // The reset value of RTCMR is no alarm for the present second.
    this.#findMatch(this.#second() + 1);
    this.#update();
  }

  saveState(): Pl031State {
    return deepCopy(this.#state);
  }

  restoreState(state: Pl031State): void {
    this.#state = deepCopy(state);
    this.#update();
  }

  describe(place: PeripheralPlace): readonly DtNode[] {
    return [primecellNode('pl031', place)];
  }

  /** Whole seconds of guest time. */
  #second(): number {
    return Math.floor(this.#ports.clock.nowNs() / NS_PER_SECOND);
  }

  #count(): number {
    return modulo(this.#state.countAtStart + this.#second());
  }

  /** Looks for the first second, from `fromSecond` on, in which the counter equals RTCMR. */
  #findMatch(fromSecond: number): void {
    const { countAtStart, regs } = this.#state;
    this.#state.matchSecond = fromSecond + modulo(regs.RTCMR - countAtStart - fromSecond);
  }

  #maskedStatus(): number {
    return this.#state.regs.RTCRIS & this.#state.regs.RTCIMSC;
  }

  /** Notes a match that has come, and drives the line. */
  #update(): void {
    const { regs } = this.#state;
    const second = this.#second();
    if (second >= this.#state.matchSecond) {
      regs.RTCRIS = R.RTCRIS.value(1);
      this.#findMatch(second + 1);
    }
    this.#updateIrq();
    this.#setAlarm();
  }

  #updateIrq(): void {
    this.#ports.irq.set(this.#maskedStatus() !== 0);
  }

  /**
   * Without an interrupt to come nobody needs waking: a masked match is noted when the guest looks. (A timer
   * would make virtual time jump to it when the guest idles, decades ahead for the reset value of RTCMR.)
   */
  #setAlarm(): void {
    const { regs, matchSecond } = this.#state;
    const deadlineNs = matchSecond * NS_PER_SECOND;
    // Guest time is a safe integer and never gets to a later deadline.
    const comes = regs.RTCIMSC === 1 && Number.isSafeInteger(deadlineNs);
    if (comes) this.#alarm.arm(deadlineNs);
    else this.#alarm.cancel();
  }
}

function modulo(seconds: number): number {
  return ((seconds % COUNTS) + COUNTS) % COUNTS;
}
