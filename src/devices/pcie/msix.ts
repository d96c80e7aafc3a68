/**
 * MSI-X: messages instead of interrupt pins, one for each vector of a table that is in memory space of the function
 * (PCI Local Bus Specification 3.0, "PCI", 6.8.2).
 *
 * A vector that may not be sent (masked, or the function is masked or no bus master) is pending until it may.
 */
import { deepCopy, hex, invariant, type Trace } from '../../base/index.js';
import type { AccessSize } from '../../bus/index.js';
import { RegisterBlock, registers, resetValues, type RegisterValues } from '../registers.js';
import type { BarRegion, PciCapability } from './pci-function.js';

const MSIX = registers({
  MESSAGE_CONTROL: {
    at: 0x0,
    width: 32,
    access: 'rw',
    spec: 'PCI 6.8.2.3',
    fields: { TABLE_SIZE: [16, 11, 'ro'], FUNCTION_MASK: [30, 1], ENABLE: [31, 1] },
  },
  TABLE: { at: 0x4, width: 32, access: 'ro', computed: true, spec: 'PCI 6.8.2.4' },
  PENDING: { at: 0x8, width: 32, access: 'ro', computed: true, spec: 'PCI 6.8.2.5' },
});

/** An entry of the table: four words (PCI 6.8.2.6 to 6.8.2.9). */
const ENTRY = { words: 4, ADDRESS: 0, UPPER_ADDRESS: 1, DATA: 2, CONTROL: 3 } as const;
const ENTRY_BYTES = 4 * ENTRY.words;
/** Bits that exist in each of them: addresses are of words, and control has the mask bit alone. */
const ENTRY_MASKS = [0xffff_fffc, 0xffff_ffff, 0xffff_ffff, 1] as const;
const MASKED = 1;

/** Table and pending bits share a BAR of 4 KiB or more, the latter in its upper half. */
const MIN_REGION_BYTES = 0x1000;
const MAX_VECTORS = 2048;

export interface MsixState {
  readonly registers: RegisterValues<typeof MSIX>;
  readonly table: Uint32Array;
  /** Numbers of the vectors. */
  readonly pending: ReadonlySet<number>;
}

export interface MsixPorts {
  /** False, with nothing sent, where the function is no bus master. */
  readonly send: (address: number, data: number) => boolean;
  /** MSI-X has been enabled or disabled. */
  readonly enableChanged: () => void;
  readonly trace: Trace;
}

export class Msix implements PciCapability {
  readonly id = 0x11;
  readonly sizeBytes = 0xc;
  readonly vectorCount: number;
  /** What is behind the BAR. */
  readonly region: BarRegion;
  readonly #name: string;
  readonly #pendingAt: number;
  readonly #ports: MsixPorts;
  readonly #registers: RegisterBlock<typeof MSIX>;
  #state = resetValues(MSIX);
  #table: Uint32Array;
  readonly #pending = new Set<number>();

  /** For the BAR with the index `bar`. */
  constructor(name: string, vectorCount: number, bar: number, ports: MsixPorts) {
    invariant(vectorCount >= 1 && vectorCount <= MAX_VECTORS, `${name}: ${vectorCount} vectors`);
    this.#name = name;
    this.vectorCount = vectorCount;
    this.#ports = ports;
    this.#table = this.#initialTable();
    let regionBytes = MIN_REGION_BYTES;
    while (regionBytes / 2 < vectorCount * ENTRY_BYTES) regionBytes *= 2;
    this.#pendingAt = regionBytes / 2;
    this.region = {
      sizeBytes: regionBytes,
      read: (offset, size) => this.#readRegion(offset, size),
      write: (offset, size, value) => {
        this.#writeRegion(offset, size, value);
      },
    };
    const { MESSAGE_CONTROL } = MSIX;
    this.#registers = new RegisterBlock<typeof MSIX>(
      name,
      MSIX,
      () => this.#state,
      {
        read: {
          MESSAGE_CONTROL: () =>
            MESSAGE_CONTROL.with(this.#state.MESSAGE_CONTROL, 'TABLE_SIZE', vectorCount - 1),
          TABLE: () => bar,
          PENDING: () => this.#pendingAt + bar,
        },
        write: {
          MESSAGE_CONTROL: (value) => {
            const wasEnabled = this.isEnabled;
            this.#state.MESSAGE_CONTROL = value;
            if (this.isEnabled !== wasEnabled) ports.enableChanged();
            this.#sendPending();
          },
        },
      },
      ports.trace,
    );
  }

  /** The function must use no pin then (PCI 6.8.2). */
  get isEnabled(): boolean {
    return MSIX.MESSAGE_CONTROL.has(this.#state.MESSAGE_CONTROL, 'ENABLE');
  }

  /** Sends the message of a vector, now or when it may be sent. */
  trigger(vector: number): void {
    if (!this.#send(vector)) this.#pending.add(vector);
  }

  /** What has not been sent will not be. */
  forgetPending(): void {
    this.#pending.clear();
  }

  read(offset: number, size: AccessSize): number {
    return this.#registers.read(offset, size);
  }

  write(offset: number, size: AccessSize, value: number): void {
    this.#registers.write(offset, size, value);
  }

  busMasterChanged(): void {
    this.#sendPending();
  }

  reset(): void {
    this.#state = resetValues(MSIX);
    this.#table = this.#initialTable();
    this.#pending.clear();
  }

  saveState(): MsixState {
    return deepCopy({ registers: this.#state, table: this.#table, pending: this.#pending });
  }

  restoreState(state: MsixState): void {
    const { registers: saved, table, pending } = deepCopy(state);
    this.#state = saved;
    this.#table = table;
    this.#pending.clear();
    for (const vector of pending) this.#pending.add(vector);
  }

  #initialTable(): Uint32Array {
    const table = new Uint32Array(ENTRY.words * this.vectorCount);
    for (let vector = 0; vector < this.vectorCount; vector++) {
      table[ENTRY.words * vector + ENTRY.CONTROL] = MASKED;
    }
    return table;
  }

  /** False where the vector may not be sent. */
  #send(vector: number): boolean {
    const isMasked = MSIX.MESSAGE_CONTROL.has(this.#state.MESSAGE_CONTROL, 'FUNCTION_MASK');
    const at = ENTRY.words * vector;
    if (!this.isEnabled || isMasked || (this.#table[at + ENTRY.CONTROL]! & MASKED) !== 0) return false;
    const address = this.#table[at + ENTRY.UPPER_ADDRESS]! * 2 ** 32 + this.#table[at + ENTRY.ADDRESS]!;
    return this.#ports.send(address, this.#table[at + ENTRY.DATA]!);
  }

  #sendPending(): void {
    for (const vector of [...this.#pending]) if (this.#send(vector)) this.#pending.delete(vector);
  }

  #readRegion(offset: number, size: AccessSize): number {
    const word = offset >>> 2;
    const value =
      offset < this.#pendingAt
        ? (this.#table[word] ?? 0)
        : this.#pendingWord((offset - this.#pendingAt) >>> 2);
    return Math.floor(value / 2 ** (8 * (offset % 4))) % 2 ** (8 * size);
  }

  #pendingWord(index: number): number {
    let word = 0;
    for (const vector of this.#pending) if (vector >>> 5 === index) word |= 1 << (vector & 31);
    return word >>> 0;
  }

  #writeRegion(offset: number, size: AccessSize, value: number): void {
    const word = offset >>> 2;
    // PCI 6.8.2: software writes whole words, and no pending bits.
    if (size !== 4 || word >= this.#table.length) {
      if (this.#ports.trace.on('guest-errors')) {
        this.#ports.trace.event(
          'guest-errors',
          `${this.#name}: write of ${size} bytes to ${hex(offset)} of its MSI-X table`,
        );
      }
      return;
    }
    this.#table[word] = value & ENTRY_MASKS[word % ENTRY.words]!;
    const vector = Math.floor(word / ENTRY.words);
    if (this.#pending.has(vector) && this.#send(vector)) this.#pending.delete(vector);
  }
}
