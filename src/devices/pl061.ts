/**
 * PL061 general purpose input/output: eight pins.
 *
 * Arm DDI0190B, "PrimeCell General Purpose Input/Output (PL061) Technical Reference Manual". Modelled: data with
 * address masks, direction, edge and level interrupts, identification.
 *
 * @deviation Nothing is connected to pins that are outputs; a guest can read back what it drives.
 * @deviation Hardware control (GPIOAFSEL) is stored and changes nothing.
 */
import { deepCopy, invariant } from '../base/index.js';
import type { Trace } from '../base/index.js';
import type { AccessSize, DtNode, IrqLine, MmioDevice, Snapshottable } from '../bus/index.js';
import { PRIMECELL_SIZE_BYTES, primecellIds, primecellNode } from './primecell.js';
import type { PeripheralPlace } from './primecell.js';
import { RegisterBlock, registers, resetValues } from './registers.js';
import type { RegisterValue, RegisterValues } from './registers.js';

const PINS = 8;

const R = registers({
  /** The element's number, bits 9:2 of the address, selects the pins that the access reaches. */
  GPIODATA: {
    at: 0x000,
    width: PINS,
    access: 'rw',
    computed: true,
    count: 2 ** PINS,
    spec: 'DDI0190B 3.3.1',
  },
  GPIODIR: { at: 0x400, width: PINS, access: 'rw', spec: 'DDI0190B 3.3.2' },
  GPIOIS: { at: 0x404, width: PINS, access: 'rw', spec: 'DDI0190B 3.3.3' },
  GPIOIBE: { at: 0x408, width: PINS, access: 'rw', spec: 'DDI0190B 3.3.4' },
  GPIOIEV: { at: 0x40c, width: PINS, access: 'rw', spec: 'DDI0190B 3.3.5' },
  GPIOIE: { at: 0x410, width: PINS, access: 'rw', spec: 'DDI0190B 3.3.6' },
  GPIORIS: { at: 0x414, width: PINS, access: 'ro', computed: true, spec: 'DDI0190B 3.3.7' },
  GPIOMIS: { at: 0x418, width: PINS, access: 'ro', computed: true, spec: 'DDI0190B 3.3.8' },
  GPIOIC: { at: 0x41c, width: PINS, access: 'wo', spec: 'DDI0190B 3.3.9' },
  GPIOAFSEL: { at: 0x420, width: PINS, access: 'rw', spec: 'DDI0190B 3.3.10' },
  ...primecellIds('GPIO', { part: 0x061, revision: 0, spec: 'DDI0190B 3.3.11' }),
});

export interface Pl061State {
  regs: RegisterValues<typeof R>;
  /** Levels at the pins from outside, a bit each. */
  inputs: number;
  /** Levels that the guest drives on pins that are outputs. */
  outputs: number;
  /** Edges seen and not yet cleared. */
  edges: number;
}

export interface Pl061Ports {
  readonly irq: IrqLine;
  readonly trace: Trace;
}

export class Pl061 implements MmioDevice, Snapshottable<Pl061State> {
  readonly name: string;
  readonly sizeBytes = PRIMECELL_SIZE_BYTES;
  readonly maxAccess = 4;
  #state = initialState(0);
  readonly #ports: Pl061Ports;
  readonly #block: RegisterBlock<typeof R>;

  constructor(name: string, ports: Pl061Ports) {
    this.name = name;
    this.#ports = ports;
    this.#block = new RegisterBlock<typeof R>(
      name,
      R,
      () => this.#state.regs,
      {
        read: {
          GPIODATA: (pins) => this.#levels() & pins,
          GPIORIS: () => this.#rawStatus(),
          GPIOMIS: () => this.#maskedStatus(),
        },
        write: {
          GPIODATA: (value, pins) => this.#drive(value, pins),
          GPIOIC: (value) => {
            this.#state.edges &= ~value;
          },
        },
      },
      ports.trace,
    );
  }

  read(offset: number, size: AccessSize): number {
    return this.#block.read(offset, size);
  }

  write(offset: number, size: AccessSize, value: number): void {
    this.#block.write(offset, size, value);
    this.#updateIrq();
  }

  /** The levels that others put on the pins stay. */
  reset(): void {
    this.restoreState(initialState(this.#state.inputs));
  }

  saveState(): Pl061State {
    return deepCopy(this.#state);
  }

  restoreState(state: Pl061State): void {
    this.#state = deepCopy(state);
    this.#updateIrq();
  }

  /** Puts a level on pin 0 … 7 from outside. */
  setInput(pin: number, level: boolean): void {
    invariant(Number.isInteger(pin) && pin >= 0 && pin < PINS, `${this.name} has no pin ${pin}`);
    const state = this.#state;
    const bit = 1 << pin;
    if (((state.inputs & bit) !== 0) === level) return;
    state.inputs ^= bit;
    const { GPIODIR, GPIOIS, GPIOIBE, GPIOIEV } = state.regs;
    const isWanted = (GPIOIBE & bit) !== 0 || ((GPIOIEV & bit) !== 0) === level;
    if (isWanted && ((GPIODIR | GPIOIS) & bit) === 0) state.edges |= bit;
    this.#updateIrq();
  }

  /** The node, labelled so that others can refer to pins: `{ cells: [{ phandle: label }, pin, 0] }`. */
  describe({ label, ...place }: PeripheralPlace & { readonly label: string }): readonly DtNode[] {
    return [
      primecellNode('pl061', place, {
        label,
        properties: { 'gpio-controller': true, '#gpio-cells': { cells: [2] } },
      }),
    ];
  }

  #updateIrq(): void {
    this.#ports.irq.set(this.#maskedStatus() !== 0);
  }

  /** What reading a pin gives: what the guest drives on an output, the outside's level on an input. */
  #levels(): number {
    const { inputs, outputs, regs } = this.#state;
    return (outputs & regs.GPIODIR) | (inputs & ~regs.GPIODIR);
  }

  /** Edges wait for GPIOIC; a level counts for as long as it lasts (DDI0190B 3.3.9). */
  #rawStatus(): number {
    const { inputs, edges, regs } = this.#state;
    const active = ~(inputs ^ regs.GPIOIEV) & ~regs.GPIODIR;
    return R.GPIORIS.value((edges & ~regs.GPIOIS) | (active & regs.GPIOIS));
  }

  #maskedStatus(): number {
    return this.#rawStatus() & this.#state.regs.GPIOIE;
  }

  /** Writes reach pins that are selected by the address and are outputs (DDI0190B 3.3.1). */
  #drive(value: RegisterValue<'GPIODATA'>, pins: number): void {
    const state = this.#state;
    const reached = pins & state.regs.GPIODIR;
    state.outputs = (state.outputs & ~reached) | (value & reached);
  }
}

function initialState(inputs: number): Pl061State {
  return { regs: resetValues(R), inputs, outputs: 0, edges: 0 };
}

/** A power button on one pin of a GPIO controller, as the binding `gpio-keys` of Linux has it. */
export function gpioPowerKeyNode(gpioLabel: string, pin: number): DtNode {
  const activeHigh = 0;
  const KEY_POWER = 116;
  return {
    name: 'gpio-keys',
    properties: { compatible: 'gpio-keys' },
    children: [
      {
        name: 'poweroff',
        properties: {
          label: 'GPIO Key Poweroff',
          'linux,code': { cells: [KEY_POWER] },
          gpios: { cells: [{ phandle: gpioLabel }, pin, activeHigh] },
        },
      },
    ],
  };
}
