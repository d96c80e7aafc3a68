/** Width of one access in bytes. Wider accesses (pairs, vectors) reach the bus as several of these. */
export type AccessSize = 1 | 2 | 4 | 8;

/**
 * A block of registers on the bus.
 *
 * The bus promises: `offset` and `offset + size` lie inside `sizeBytes`; `offset` is a multiple of `size`;
 * `size` is at most `maxAccess` (a wider access arrives as several, lowest address first). Values are unsigned
 * and little-endian. A device never throws for anything a guest does: an odd access reads as zero or is
 * ignored, as the part's manual says, and leaves a `guest-errors` trace event.
 */
export interface MmioDevice {
  /** Short name in traces and statistics: `uart0`, `gicd`. */
  readonly name: string;
  /** Bytes of address space that the device decodes. */
  readonly sizeBytes: number;
  /** Widest access the device takes whole. With 8, `read64` and `write64` exist. */
  readonly maxAccess: 1 | 2 | 4 | 8;
  /** `size` is 1, 2 or 4. Returns the unsigned value. */
  read(offset: number, size: AccessSize): number;
  /** `size` is 1, 2 or 4. `value` is unsigned and no wider than `size`. */
  write(offset: number, size: AccessSize, value: number): void;
  read64?(offset: number): bigint;
  write64?(offset: number, value: bigint): void;
  /** Power-on or system reset: registers to their reset values, lines down. Media (flash, disks) keep. */
  reset(): void;
}

/** A device whose whole mutable state is one plain object (structured-clonable: no functions, no views of shared memory). */
export interface Snapshottable<State> {
  /** A deep copy. */
  saveState(): State;
  /** Replaces the state by a deep copy of `state` and drives the lines accordingly. */
  restoreState(state: State): void;
}

/** An interrupt line, wire or message; level-triggered unless the board says otherwise. */
export interface IrqLine {
  /** Drives the line. Setting the level it already has does nothing. */
  set(level: boolean): void;
}

/** Guest memory as a bus master sees it: RAM and the flash arrays. */
export interface DmaPort {
  /** Copies guest memory at `address` into `into`. False, with nothing copied, if any byte is not memory. */
  read(address: number, into: Uint8Array): boolean;
  /** Copies `from` to guest RAM at `address`. False, with nothing written, if any byte is not RAM. */
  write(address: number, from: Uint8Array): boolean;
}

/** The same for who has much to put there, and can do without a copy of its own. */
export interface LendingDmaPort extends DmaPort {
  /**
   * Guest RAM at `address` itself, to be written as by `write`: borrowed until the call returns to who runs the guest.
   * Undefined if any byte is not RAM.
   */
  lend(address: number, length: number): Uint8Array | undefined;
}

/** Takes message-signalled interrupts. */
export interface MessagePort {
  /**
   * A 32-bit write of `data` to `address` by the bus master `requester`: bus, device and function of PCI. It goes to
   * whatever takes messages there, or to memory; elsewhere it is lost.
   */
  send(address: number, data: number, requester: number): void;
}

/** What a device may do about the part of its range that the CPU sees as plain read-only memory. */
export interface DirectMap {
  readonly sizeBytes: number;
  /**
   * `length` bytes of the array from `offset`, borrowed: the same that the CPU loads and executes while mapped. The
   * array is all ones at first, and a page of ones that was never asked for here costs the host no memory.
   */
  bytes(offset: number, length: number): Uint8Array;
  /** Copies `bytes` into the array at `offset`, before the guest runs; pages of ones stay free. */
  load(offset: number, bytes: Uint8Array): void;
  /**
   * Maps the array read-only at the device's address (true) or takes the mapping away (false), before the
   * guest's next access. While mapped, loads and instruction fetches never reach the device; stores do.
   */
  setMapped(mapped: boolean): void;
  /** Call after changing `length` bytes of the array from `offset`, so that code decoded from them is dropped. */
  changed(offset: number, length: number): void;
}

/** Where a serial device puts the bytes the guest transmits. */
export interface ByteSink {
  write(byte: number): void;
}

/** A device that takes bytes from outside. */
export interface ByteReceiver {
  /** Takes as many of `bytes` as fit and returns how many. */
  receive(bytes: Uint8Array): number;
  /** Called by the device, when set, each time room appears after it was full. */
  onReceiveRoom: (() => void) | undefined;
}

/** Random bytes, of the host or of a seed. */
export interface ByteSource {
  fill(into: Uint8Array): void;
}
