import { bits, hex, type Trace } from '../../base/index.js';
import type { AccessSize, MmioDevice } from '../../bus/index.js';
import type { BankAspect } from './interrupt-bank.js';

/** One row of a frame's register table: a register, or an array of equal ones. */
export interface RegisterRow {
  /** Byte offset in the frame. */
  readonly at: number;
  /** How many consecutive 32-bit words the register or array takes; 1 if absent. */
  readonly words?: number;
  /** Byte and halfword accesses work too. Everywhere else they read as zero and are ignored. */
  readonly byteAccess?: true;
  /** For an array with a field for each interrupt: which aspect of the interrupts it shows. */
  readonly aspect?: BankAspect;
  /** What the words of a constant register read as. The device is not asked for them, and writes change nothing. */
  readonly values?: readonly number[];
  /** Clause of the document that the frame's file names, or document and clause. */
  readonly spec: string;
}

/** A row and its name. */
export interface FrameRegister<Name extends string> extends RegisterRow {
  readonly name: Name;
}

/** What a frame does with an access that its table allows. */
export interface FrameBehaviour<Name extends string> {
  /** Word `index` of the register, as seen in copy number `copy` of the frame. */
  read(register: FrameRegister<Name>, index: number, copy: number): number;
  /** `size` bytes from byte `at` of the register. Only registers with byte access see less than 4. */
  write(register: FrameRegister<Name>, at: number, size: AccessSize, value: number, copy: number): void;
  reset(): void;
}

/**
 * A GIC register frame on the bus, or several copies of it in a row. GIC registers come in long arrays with a field
 * for each interrupt and byte accesses to some, banked by CPU: rows describe arrays, and reads and writes are
 * methods of the device.
 */
export class RegisterFrame<Name extends string> implements MmioDevice {
  readonly name: string;
  readonly sizeBytes: number;
  readonly maxAccess = 8;
  readonly #frameBytes: number;
  readonly #registers: FrameRegister<Name>[] = [];
  /** For each word of the frame, 1 + the index of the register there. */
  readonly #byWord: Uint8Array;
  readonly #behaviour: FrameBehaviour<Name>;
  readonly #trace: Trace;

  constructor(
    name: string,
    frameBytes: number,
    copies: number,
    table: Readonly<Record<Name, RegisterRow>>,
    behaviour: FrameBehaviour<Name>,
    trace: Trace,
  ) {
    this.name = name;
    this.sizeBytes = frameBytes * copies;
    this.#frameBytes = frameBytes;
    this.#behaviour = behaviour;
    this.#trace = trace;
    this.#byWord = new Uint8Array(frameBytes / 4);
    for (const [rowName, row] of Object.entries<RegisterRow>(table)) {
      this.#registers.push({ ...row, name: rowName as Name });
      const first = row.at / 4;
      this.#byWord.fill(this.#registers.length, first, first + (row.words ?? 1));
    }
  }

  read(offset: number, size: AccessSize): number {
    const inFrame = offset % this.#frameBytes;
    const register = this.#find('read', inFrame, size);
    if (register === undefined) return 0;
    const at = inFrame - register.at;
    const index = at >>> 2;
    const word =
      register.values?.[index] ??
      this.#behaviour.read(register, index, Math.floor(offset / this.#frameBytes));
    const value = bits(word, (at & 3) * 8, size * 8);
    if (this.#trace.on('mmio')) this.#traceAccess(register, at, '->', value);
    return value;
  }

  write(offset: number, size: AccessSize, value: number): void {
    const inFrame = offset % this.#frameBytes;
    const register = this.#find('write', inFrame, size);
    if (register === undefined) return;
    const at = inFrame - register.at;
    if (this.#trace.on('mmio')) this.#traceAccess(register, at, '<-', value);
    if (register.values !== undefined) return;
    this.#behaviour.write(register, at, size, value, Math.floor(offset / this.#frameBytes));
  }

  /** 64-bit registers are pairs of words, each accessible by itself; a pair is two accesses, low word first. */
  read64(offset: number): bigint {
    const low = this.read(offset, 4);
    return BigInt(low) | (BigInt(this.read(offset + 4, 4)) << 32n);
  }

  write64(offset: number, value: bigint): void {
    this.write(offset, 4, Number(value & 0xffff_ffffn));
    this.write(offset + 4, 4, Number(value >> 32n));
  }

  reset(): void {
    this.#behaviour.reset();
  }

  #find(verb: 'read' | 'write', inFrame: number, size: AccessSize): FrameRegister<Name> | undefined {
    const register = this.#registers[this.#byWord[inFrame >>> 2]! - 1];
    if (register !== undefined && (size === 4 || register.byteAccess !== undefined)) return register;
    if (this.#trace.on('guest-errors')) {
      const what = register === undefined ? `offset ${hex(inFrame)}, where no register is` : register.name;
      this.#trace.event('guest-errors', `${this.name}: ${verb} of ${size} bytes of ${what}`);
    }
    return undefined;
  }

  #traceAccess(register: FrameRegister<Name>, at: number, arrow: '->' | '<-', value: number): void {
    const position = register.words === undefined ? '' : `+${hex(at)}`;
    this.#trace.event('mmio', `${this.name}: ${register.name}${position} ${arrow} ${hex(value)}`);
  }
}
