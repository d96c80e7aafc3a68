/**
 * CFI NOR flash: one or two 16-bit chips with the Intel/Sharp extended command set, interleaved on a 16- or 32-bit
 * bus. JESD68.01 and JEP137B (query), Intel AN-646 (command set, physics).
 *
 * Array mode is plain memory: while every chip reads its array, the array is mapped through the `DirectMap` port
 * and loads, instruction fetches and page-table walks never come here. Stores always do. The first command that
 * leaves array mode takes the mapping away, the last chip that returns brings it back. A device without direct mapping
 * (`isDirect`) serves each read of the array itself.
 *
 * @deviation Commands complete at once: the status is always ready. There is no suspend; the query table says so.
 * @deviation Blocks are unlocked after reset, where the parts of the time lock them; `virt` and kvmtool guests expect
 * it.
 * @deviation A part whose bytes could be written singly does not exist. A byte written is a command wherever it lies
 * in the chip's word, and as data it programs that byte alone.
 * @deviation Protection registers read as zero and cannot be programmed.
 * @deviation Chips wired in `lock-step` all take the command that any write is, where two real parts would each see
 * their own half of the bus. See `CfiFlashWiring`.
 *
 * @spec JESD68.01; AN-646
 */
import { hex, invariant, isPowerOfTwo, NO_TRACE, type Trace } from '../../base/index.js';
import {
  cells64,
  type AccessSize,
  type DirectMap,
  type DtNode,
  type MmioDevice,
  type Snapshottable,
} from '../../bus/index.js';
import { FlashChip, type ChipState } from './chip.js';

/**
 * What a chip sees of a write:
 * - `per-chip`: its own lanes of the bus, as on a real board. A write that drives none of them never reaches it, so
 *   one chip can be in another mode than its neighbour.
 * - `lock-step`: every write. The low half of what is written, wherever on the bus it lies, is the command or the
 *   word count of all chips; data go to the bytes addressed alone, and a word count is one of writes, whatever their
 *   width. So behaves a bank that has one command machine, as QEMU's has. U-Boot counts on it: it finds one 16-bit
 *   chip where there are two, sends commands to the lower one and consecutive half-words as data.
 */
export type CfiFlashWiring = 'per-chip' | 'lock-step';

/** What a flash device is made of. Sizes are those of the whole device, all chips together, and powers of two. */
export interface CfiFlashGeometry {
  /** 16-bit chips side by side: the bus is 16 or 32 bits wide. */
  readonly chips: 1 | 2;
  /** How two chips share the bus; default: `per-chip`. */
  readonly wiring?: CfiFlashWiring;
  readonly sizeBytes: number;
  /** What one erase command, given to all chips, erases. */
  readonly blockBytes: number;
  /** What one buffered program, given to all chips, programs at most. */
  readonly bufferBytes: number;
  /** JEP106 code, at word 0 of identifier space. */
  readonly manufacturerId: number;
  readonly deviceId: number;
}

/** Departures from the physics that guests of other emulators may have come to rely on. None by default. */
export interface CfiFlashQuirks {
  /** Programming replaces what is stored, ones over zeros included, as kvmtool's and QEMU's devices do. */
  readonly programSetsBits?: boolean;
  /** Clearing the status returns to array mode, as in QEMU's device. */
  readonly clearStatusReadsArray?: boolean;
}

/** Who keeps the array: a commit policy. Called after the bus access that changed it, before the next one. */
export interface FlashChanges {
  /** A program or erase command was begun, finished or refused. */
  onActivity(): void;
  /** `length` bytes of the array from `offset` may have changed. */
  onChanged(offset: number, length: number): void;
}

export interface CfiFlashOptions {
  readonly name: string;
  readonly geometry: CfiFlashGeometry;
  readonly map: DirectMap;
  /** Without one, the array lasts as long as the machine. */
  readonly changes?: FlashChanges;
  /**
   * Blocks that do not lie wholly below this offset are locked and stay so: they report the locked state, and
   * programming or erasing them fails as on any locked block. 0 makes the device read-only; default: all blocks
   * can be written.
   */
  readonly writableBytes?: number;
  readonly quirks?: CfiFlashQuirks;
  /** False: the array is never mapped, so that nothing in it can be executed; default: it is in array mode. */
  readonly isDirect?: boolean;
  /** The guest programmed ones over zeros, which NOR cannot do: the 16-bit word at `offset` keeps `stored & data`. */
  readonly onOverprogram?: (offset: number, stored: number, data: number) => void;
  readonly trace?: Trace;
}

/** How often things happened since the device was made. Accesses are counted as the bus makes them. */
export interface CfiFlashCounters {
  reads: number;
  /** Reads in array mode that came here: none with direct mapping, all of them without. */
  trappedArrayReads: number;
  writes: number;
  /** Times that array mode was left and entered again, and with it the mapping. */
  departuresFromArray: number;
  returnsToArray: number;
  /** Commands that ask for the array, also from array mode: what QEMU traces as `pflash_mode_read_array`. */
  readArrayCommands: number;
  programs: number;
  bufferedPrograms: number;
  erases: number;
}

/**
 * Everything but the array, which belongs to the `DirectMap` port's owner and is saved by it, as RAM is. The commit
 * policy is flushed before a snapshot, so it has no state of its own.
 */
export interface CfiFlashState {
  readonly chips: ChipState[];
}

/** What has been counted in the current bus cycle, so that two chips doing the same thing count once. */
const InCycle = { ACTIVITY: 1, PROGRAM: 2, BUFFERED_PROGRAM: 4, ERASE: 8, READ_ARRAY: 16 } as const;

export class CfiFlash implements MmioDevice, Snapshottable<CfiFlashState> {
  readonly name: string;
  readonly sizeBytes: number;
  readonly maxAccess = 8;
  readonly counters: Readonly<CfiFlashCounters>;
  readonly #counters: CfiFlashCounters = {
    reads: 0,
    trappedArrayReads: 0,
    writes: 0,
    departuresFromArray: 0,
    returnsToArray: 0,
    readArrayCommands: 0,
    programs: 0,
    bufferedPrograms: 0,
    erases: 0,
  };
  readonly #options: CfiFlashOptions;
  readonly #trace: Trace;
  readonly #bankWidth: 2 | 4;
  readonly #isLockStep: boolean;
  readonly #chips: FlashChip[] = [];
  #isInArrayMode = true;

  /** About the bus cycle in progress. */
  #inCycle = 0;
  #changedFrom = Infinity;
  #changedTo = 0;
  #overprogrammed = 0;
  #firstOverprogram = '';

  constructor(options: CfiFlashOptions) {
    const { geometry, name, quirks = {}, trace = NO_TRACE } = options;
    const { chips, sizeBytes, blockBytes, bufferBytes } = geometry;
    invariant(
      isPowerOfTwo(sizeBytes) && isPowerOfTwo(blockBytes) && isPowerOfTwo(bufferBytes),
      `${name}: sizes are powers of two`,
    );
    invariant(
      bufferBytes >= 2 * chips && bufferBytes <= blockBytes && blockBytes <= sizeBytes,
      `${name}: buffer, block and device are each as large as the one before`,
    );
    invariant(blockBytes >= 256 * chips, `${name}: blocks are counted in units of 256 bytes`);
    this.name = name;
    this.sizeBytes = sizeBytes;
    this.counters = this.#counters;
    this.#options = options;
    this.#trace = trace;
    this.#bankWidth = chips === 1 ? 2 : 4;
    this.#isLockStep = geometry.wiring === 'lock-step';
    for (let lane = 0; lane < chips; lane++) {
      this.#chips.push(
        new FlashChip({
          name: `${name}.${lane}`,
          geometry: {
            sizeBytes: sizeBytes / chips,
            blockBytes: blockBytes / chips,
            bufferBytes: bufferBytes / chips,
          },
          manufacturerId: geometry.manufacturerId,
          deviceId: geometry.deviceId,
          writableBlocks: Math.floor(Math.min(options.writableBytes ?? sizeBytes, sizeBytes) / blockBytes),
          clearStatusReadsArray: quirks.clearStatusReadsArray === true,
          media: {
            program: (word, data, driven) => this.#program(lane, word, data, driven),
            erase: (block) => this.#erase(lane, block),
          },
          events: {
            onActivity: () => {
              if (this.#isFirst(InCycle.ACTIVITY)) options.changes?.onActivity();
            },
            onProgram: (word) => {
              if (!this.#isFirst(InCycle.PROGRAM)) return;
              this.#counters.programs++;
              if (trace.on('flash')) trace.event('flash', `${name}: program ${hex(word * this.#bankWidth)}`);
            },
            onBufferedProgram: (word, words) => {
              if (!this.#isFirst(InCycle.BUFFERED_PROGRAM)) return;
              this.#counters.bufferedPrograms++;
              if (trace.on('flash')) {
                trace.event(
                  'flash',
                  `${name}: program buffer ${hex(word * this.#bankWidth)}, ${words} words`,
                );
              }
            },
            onErase: (block) => {
              if (!this.#isFirst(InCycle.ERASE)) return;
              this.#counters.erases++;
              if (trace.on('flash')) trace.event('flash', `${name}: erase ${hex(block * blockBytes)}`);
            },
            onReadArray: () => {
              if (this.#isFirst(InCycle.READ_ARRAY)) this.#counters.readArrayCommands++;
            },
          },
          trace,
        }),
      );
    }
    this.#setMapped(true);
  }

  read(offset: number, size: AccessSize): number {
    let value = this.#readCycle(offset, Math.min(size, this.#bankWidth));
    // A bus narrower than the access makes several of it. Multiplied, because the top bit may be set.
    for (let done: number = this.#bankWidth; done < size; done += this.#bankWidth) {
      value += this.#readCycle(offset + done, this.#bankWidth) * 2 ** (8 * done);
    }
    return value;
  }

  read64(offset: number): bigint {
    const low = this.read(offset, 4);
    return BigInt(low) | (BigInt(this.read(offset + 4, 4)) << 32n);
  }

  write(offset: number, size: AccessSize, value: number): void {
    if (size <= this.#bankWidth) this.#writeCycle(offset, size, value);
    else {
      this.#writeCycle(offset, 2, value & 0xffff);
      this.#writeCycle(offset + 2, 2, value >>> 16);
    }
  }

  write64(offset: number, value: bigint): void {
    this.write(offset, 4, Number(value & 0xffff_ffffn));
    this.write(offset + 4, 4, Number(value >> 32n));
  }

  /** Back to array mode with the locks open. The array keeps; the owner flushes the commit policy. */
  reset(): void {
    for (const chip of this.#chips) chip.reset();
    this.#updateMapping();
  }

  saveState(): CfiFlashState {
    return { chips: this.#chips.map((chip) => chip.saveState()) };
  }

  restoreState(state: CfiFlashState): void {
    invariant(state.chips.length === this.#chips.length, `${this.name}: as many chips as were saved`);
    this.#chips.forEach((chip, lane) => {
      const saved = state.chips[lane];
      if (saved) chip.restoreState(saved);
    });
    this.#updateMapping();
  }

  /** The device-tree node of this device alone, at `base`. `label` is what kvmtool's firmware looks for. */
  describe(base: number, label?: string): DtNode {
    return cfiFlashNode([{ base, sizeBytes: this.sizeBytes }], this.#bankWidth, label);
  }

  /** One access of at most the bus's width. */
  #readCycle(offset: number, size: number): number {
    this.#counters.reads++;
    if (this.#isInArrayMode) this.#counters.trappedArrayReads++;
    if (size === 1) return (this.#readChip(offset & ~1) >> (8 * (offset & 1))) & 0xff;
    if (size === 2) return this.#readChip(offset);
    return this.#readChip(offset) + this.#readChip(offset + 2) * 0x1_0000;
  }

  /** The 16 bits at `offset`, all of them one chip's. */
  #readChip(offset: number): number {
    const chip = this.#chipAt(offset);
    if (!chip.readsArray) return chip.read(Math.floor(offset / this.#bankWidth));
    const [low = 0, high = 0] = this.#options.map.bytes(offset, 2);
    return low | (high << 8);
  }

  #chipAt(offset: number): FlashChip {
    const chip = this.#chips[(offset % this.#bankWidth) >> 1];
    invariant(chip !== undefined, `${this.name}: a chip in every lane`);
    return chip;
  }

  /** One access of at most the bus's width. A write of one byte is a command wherever in a chip's word it lies. */
  #writeCycle(offset: number, size: number, value: number): void {
    this.#counters.writes++;
    this.#inCycle = 0;
    const word = Math.floor(offset / this.#bankWidth);
    const shift = 8 * (offset % this.#bankWidth);
    const data = value << shift;
    const driven = (0xffff_ffff >>> (32 - 8 * size)) << shift;
    for (const [lane, chip] of this.#chips.entries()) {
      const laneShift = 16 * lane;
      const laneDriven = (driven >>> laneShift) & 0xffff;
      if (laneDriven === 0 && !this.#isLockStep) continue;
      const code = size === 4 && !this.#isLockStep ? value >>> laneShift : value;
      chip.write(word, code & 0xffff, (data >>> laneShift) & 0xffff, laneDriven);
    }
    this.#reportChanges();
    this.#updateMapping();
  }

  #program(lane: number, word: number, data: number, driven: number): void {
    const { map, quirks, onOverprogram } = this.#options;
    const offset = word * this.#bankWidth + lane * 2;
    const cell = map.bytes(offset, 2);
    const stored = (cell[0] ?? 0) | ((cell[1] ?? 0) << 8);
    if ((data & driven & ~stored) !== 0) {
      onOverprogram?.(offset, stored, data & driven);
      if (this.#overprogrammed++ === 0) {
        this.#firstOverprogram = `${hex(data & driven, 4)} over ${hex(stored, 4)} at ${hex(offset)}`;
      }
    }
    const programmed =
      quirks?.programSetsBits === true ? (stored & ~driven) | (data & driven) : stored & (data | ~driven);
    if (programmed === stored) return;
    cell[0] = programmed;
    cell[1] = programmed >> 8;
    this.#noteChange(offset, offset + 2);
  }

  #erase(lane: number, block: number): void {
    const { map, geometry } = this.#options;
    const start = block * geometry.blockBytes;
    const array = map.bytes(start, geometry.blockBytes);
    let hasChanged = false;
    for (let offset = lane * 2; offset < array.length; offset += this.#bankWidth) {
      hasChanged ||= array[offset] !== 0xff || array[offset + 1] !== 0xff;
      array[offset] = 0xff;
      array[offset + 1] = 0xff;
    }
    if (hasChanged) this.#noteChange(start, start + array.length);
  }

  #noteChange(from: number, to: number): void {
    this.#changedFrom = Math.min(this.#changedFrom, from);
    this.#changedTo = Math.max(this.#changedTo, to);
  }

  #reportChanges(): void {
    if (this.#overprogrammed > 0) {
      if (this.#trace.on('guest-errors')) {
        this.#trace.event(
          'guest-errors',
          `${this.name}: programming cannot set bits: ${this.#firstOverprogram}` +
            (this.#overprogrammed > 1 ? ` and ${this.#overprogrammed - 1} more words` : ''),
        );
      }
      this.#overprogrammed = 0;
    }
    if (this.#changedTo === 0) return;
    const from = this.#changedFrom;
    const length = this.#changedTo - from;
    this.#changedFrom = Infinity;
    this.#changedTo = 0;
    this.#options.map.changed(from, length);
    this.#options.changes?.onChanged(from, length);
  }

  #updateMapping(): void {
    const isInArrayMode = this.#chips.every((chip) => chip.readsArray);
    if (isInArrayMode === this.#isInArrayMode) return;
    this.#isInArrayMode = isInArrayMode;
    if (isInArrayMode) this.#counters.returnsToArray++;
    else this.#counters.departuresFromArray++;
    this.#setMapped(isInArrayMode);
  }

  #setMapped(isMapped: boolean): void {
    if (this.#options.isDirect !== false) this.#options.map.setMapped(isMapped);
  }

  #isFirst(what: number): boolean {
    const isFirst = (this.#inCycle & what) === 0;
    this.#inCycle |= what;
    return isFirst;
  }
}

/** The node of one or more flash devices that a driver treats as one bank after the other (`mtd-physmap` binding). */
export function cfiFlashNode(
  regions: readonly { readonly base: number; readonly sizeBytes: number }[],
  bankWidth: 2 | 4,
  label?: string,
): DtNode {
  return {
    name: `flash@${(regions[0]?.base ?? 0).toString(16)}`,
    properties: {
      compatible: 'cfi-flash',
      ...(label === undefined ? {} : { label }),
      'bank-width': { cells: [bankWidth] },
      reg: { cells: regions.flatMap(({ base, sizeBytes }) => [...cells64(base), ...cells64(sizeBytes)]) },
    },
  };
}
