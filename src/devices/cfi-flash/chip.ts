/**
 * The command machine of one 16-bit NOR chip with the Intel/Sharp extended command set (AN-646).
 *
 * Addresses here are the chip's own: word numbers. A chip knows nothing of the bus, of the chip beside it, or of
 * where the bytes are kept.
 */
import { hex, type Trace } from '../../base/index.js';
import { buildQueryTable, type ChipGeometry } from './query-table.js';

/** AN-646. A chip decodes the low byte of what is written. */
const Command = {
  LOCK_BLOCK: 0x01,
  ALTERNATE_WORD_PROGRAM_SETUP: 0x10,
  BLOCK_ERASE_SETUP: 0x20,
  WORD_PROGRAM_SETUP: 0x40,
  CLEAR_STATUS: 0x50,
  LOCK_SETUP: 0x60,
  READ_STATUS: 0x70,
  READ_DEVICE_ID: 0x90,
  READ_QUERY: 0x98,
  /** Confirms an erase or a buffered program; unlocks a block. */
  CONFIRM: 0xd0,
  BUFFERED_PROGRAM_SETUP: 0xe8,
  READ_ARRAY: 0xff,
} as const;

/** The status register (AN-646). Errors stay until `Command.CLEAR_STATUS`. */
const Status = {
  BLOCK_LOCKED: 0x02,
  PROGRAM_ERROR: 0x10,
  ERASE_ERROR: 0x20,
  READY: 0x80,
} as const;

const COMMAND_SEQUENCE_ERROR = Status.ERASE_ERROR | Status.PROGRAM_ERROR;

/** Words of identifier space: the first two of a chip or block, and the lock state of the addressed block. */
const ID_MANUFACTURER = 0;
const ID_DEVICE = 1;
const ID_BLOCK_LOCK = 2;

/** What a read answers. */
type ReadMode = 'array' | 'status' | 'id' | 'query';

/** What the next write means. */
type WriteState =
  | 'ready'
  | 'word-program'
  /** The word count comes next. */
  | 'buffer-setup'
  /** Data, and after the announced number of words the confirmation. */
  | 'buffer-write'
  | 'erase-setup'
  | 'lock-setup';

export interface ChipState {
  readMode: ReadMode;
  writeState: WriteState;
  status: number;
  /** Per block: 1 where locked. */
  locked: Uint8Array;
  /** First word of the write buffer's window, or -1 while no data has come. */
  bufferBase: number;
  bufferAnnounced: number;
  bufferReceived: number;
  /** Data by word of the window, and which of its bits were driven. */
  buffer: Uint16Array;
  bufferDriven: Uint16Array;
}

/** What a chip does to its array. Words and blocks are the chip's own. */
export interface ChipMedia {
  /** Programs the bits of `data` that `driven` selects. */
  program(word: number, data: number, driven: number): void;
  erase(block: number): void;
}

/** What a chip tells its device about a finished or started operation. */
export interface ChipEvents {
  /** A program or erase was set up, confirmed or refused. */
  onActivity(): void;
  onProgram(word: number): void;
  onBufferedProgram(word: number, words: number): void;
  onErase(block: number): void;
  onReadArray(): void;
}

export interface ChipOptions {
  /** For traces: `flash1.0`. */
  readonly name: string;
  readonly geometry: ChipGeometry;
  readonly manufacturerId: number;
  readonly deviceId: number;
  /** Blocks from this one on are locked for good: unlocking them has no effect. */
  readonly writableBlocks: number;
  /** See `CfiFlashQuirks`. */
  readonly clearStatusReadsArray: boolean;
  readonly media: ChipMedia;
  readonly events: ChipEvents;
  readonly trace: Trace;
}

export class FlashChip {
  #state: ChipState;
  readonly #options: ChipOptions;
  readonly #query: Uint8Array;
  readonly #wordsPerBlock: number;
  readonly #wordsPerBuffer: number;

  constructor(options: ChipOptions) {
    this.#options = options;
    this.#query = buildQueryTable(options.geometry);
    this.#wordsPerBlock = options.geometry.blockBytes / 2;
    this.#wordsPerBuffer = options.geometry.bufferBytes / 2;
    this.#state = this.#initialState();
  }

  #initialState(): ChipState {
    const { geometry, writableBlocks } = this.#options;
    const locked = new Uint8Array(geometry.sizeBytes / geometry.blockBytes);
    locked.fill(1, writableBlocks);
    return {
      readMode: 'array',
      writeState: 'ready',
      status: Status.READY,
      locked,
      bufferBase: -1,
      bufferAnnounced: 0,
      bufferReceived: 0,
      buffer: new Uint16Array(this.#wordsPerBuffer),
      bufferDriven: new Uint16Array(this.#wordsPerBuffer),
    };
  }

  reset(): void {
    this.#state = this.#initialState();
  }

  saveState(): ChipState {
    return copy(this.#state);
  }

  restoreState(state: ChipState): void {
    this.#state = copy(state);
  }

  /** True where reads answer with the array, which the chip leaves to its device. */
  get readsArray(): boolean {
    return this.#state.readMode === 'array';
  }

  /** The 16-bit answer at `word` outside array mode. */
  read(word: number): number {
    switch (this.#state.readMode) {
      case 'query':
        return this.#query[word] ?? 0;
      case 'id':
        return this.#readId(word);
      case 'status':
      case 'array':
        return this.#state.status;
    }
  }

  /**
   * Takes a write at `word`. Where a command or a word count is due, it is `code` (16 bits); where data are due, the
   * bits of `data` that `driven` selects: 0xffff, one byte of it, or 0 in a write that only other chips have data of.
   */
  write(word: number, code: number, data: number, driven: number): void {
    const state = this.#state;
    const command = code & 0xff;
    switch (state.writeState) {
      case 'ready':
        this.#command(word, command);
        return;
      case 'word-program':
        this.#finish();
        if (this.#refuses(word, Status.PROGRAM_ERROR)) return;
        this.#options.media.program(word, data, driven);
        this.#options.events.onProgram(word);
        return;
      case 'buffer-setup':
        this.#announceBuffer(word, code + 1);
        return;
      case 'buffer-write':
        this.#writeBuffer(word, data, driven, command);
        return;
      case 'erase-setup':
        this.#finish();
        if (command !== Command.CONFIRM) this.#sequenceError(word, 'erase', command);
        else if (!this.#refuses(word, Status.ERASE_ERROR)) {
          this.#options.media.erase(this.#blockOf(word));
          this.#options.events.onErase(this.#blockOf(word));
        }
        return;
      case 'lock-setup':
        this.#finish();
        if (command === Command.LOCK_BLOCK) this.#setLock(word, true);
        else if (command === Command.CONFIRM) this.#setLock(word, false);
        else this.#sequenceError(word, 'lock', command);
        return;
    }
  }

  /** The first write of a sequence. Where it is written does not matter. */
  #command(word: number, command: number): void {
    const state = this.#state;
    const { trace, name, clearStatusReadsArray } = this.#options;
    switch (command) {
      case Command.READ_ARRAY:
        this.#readArray();
        return;
      case Command.READ_STATUS:
        state.readMode = 'status';
        return;
      case Command.READ_DEVICE_ID:
        state.readMode = 'id';
        return;
      case Command.READ_QUERY:
        state.readMode = 'query';
        return;
      case Command.CLEAR_STATUS:
        state.status = Status.READY;
        if (clearStatusReadsArray) this.#readArray();
        return;
      case Command.WORD_PROGRAM_SETUP:
      case Command.ALTERNATE_WORD_PROGRAM_SETUP:
        this.#setUp('word-program');
        return;
      case Command.BUFFERED_PROGRAM_SETUP:
        this.#setUp('buffer-setup');
        return;
      case Command.BLOCK_ERASE_SETUP:
        this.#setUp('erase-setup');
        return;
      case Command.LOCK_SETUP:
        // The one set-up that leaves the read mode alone until it is confirmed.
        state.writeState = 'lock-setup';
        return;
      case Command.CONFIRM:
        // "Resume" where nothing is suspended. It must not hide the status from a driver whose buffered program
        // has just failed and that still sends its confirmation.
        this.#guestError(`${name}: confirmation of nothing at word ${hex(word)}`);
        return;
      default:
        if (trace.on('guest-errors')) {
          this.#guestError(`${name}: unknown command ${hex(command, 2)} at word ${hex(word)}`);
        }
        this.#readArray();
        return;
    }
  }

  #readArray(): void {
    this.#options.events.onReadArray();
    this.#state.readMode = 'array';
  }

  #setUp(writeState: WriteState): void {
    this.#state.writeState = writeState;
    this.#state.readMode = 'status';
    this.#options.events.onActivity();
  }

  /** Ends a sequence, well or not: the driver's next read is for the status. */
  #finish(): void {
    this.#state.writeState = 'ready';
    this.#state.readMode = 'status';
    this.#options.events.onActivity();
  }

  #announceBuffer(word: number, words: number): void {
    const state = this.#state;
    if (words > this.#wordsPerBuffer) {
      this.#bufferError(`${words} words for a buffer of ${this.#wordsPerBuffer}`, word);
      return;
    }
    state.writeState = 'buffer-write';
    state.bufferBase = -1;
    state.bufferAnnounced = words;
    state.bufferReceived = 0;
    state.bufferDriven.fill(0);
  }

  /**
   * The window is the buffer-sized, buffer-aligned part of the array that the first data word lies in, so it never
   * straddles a block or the end of the array. The confirmation may come anywhere: inside the window it would be
   * taken for data, were any still due.
   */
  #writeBuffer(word: number, data: number, driven: number, command: number): void {
    const state = this.#state;
    if (state.bufferReceived === state.bufferAnnounced) {
      if (command === Command.CONFIRM) this.#programBuffer();
      else this.#bufferError(`no confirmation but ${hex(command, 2)}`, word);
      return;
    }
    const index = word % this.#wordsPerBuffer;
    const base = word - index;
    if (state.bufferBase < 0) state.bufferBase = base;
    if (base !== state.bufferBase) {
      this.#bufferError(`write outside the buffer at ${hex(state.bufferBase)}`, word);
      return;
    }
    state.buffer[index] = ((state.buffer[index] ?? 0) & ~driven) | (data & driven);
    state.bufferDriven[index] = (state.bufferDriven[index] ?? 0) | driven;
    state.bufferReceived++;
  }

  #programBuffer(): void {
    const state = this.#state;
    const { media, events } = this.#options;
    this.#finish();
    if (this.#refuses(state.bufferBase, Status.PROGRAM_ERROR)) return;
    for (let index = 0; index < this.#wordsPerBuffer; index++) {
      const driven = state.bufferDriven[index] ?? 0;
      if (driven !== 0) media.program(state.bufferBase + index, state.buffer[index] ?? 0, driven);
    }
    events.onBufferedProgram(state.bufferBase, state.bufferAnnounced);
  }

  #bufferError(what: string, word: number): void {
    this.#finish();
    this.#state.status |= Status.PROGRAM_ERROR;
    this.#guestError(`${this.#options.name}: buffered program at word ${hex(word)}: ${what}`);
  }

  #sequenceError(word: number, operation: string, command: number): void {
    this.#state.status |= COMMAND_SEQUENCE_ERROR;
    this.#guestError(
      `${this.#options.name}: ${operation} at word ${hex(word)}: no confirmation but ${hex(command, 2)}`,
    );
  }

  /** True, with the status telling so, where the block of `word` is locked. */
  #refuses(word: number, error: number): boolean {
    const block = this.#blockOf(word);
    if (this.#state.locked[block] === 0) return false;
    this.#state.status |= error | Status.BLOCK_LOCKED;
    this.#guestError(`${this.#options.name}: block ${block} is locked`);
    return true;
  }

  #setLock(word: number, isLocked: boolean): void {
    const block = this.#blockOf(word);
    if (block < this.#options.writableBlocks) this.#state.locked[block] = isLocked ? 1 : 0;
    else if (!isLocked) this.#guestError(`${this.#options.name}: block ${block} is locked for good`);
  }

  #readId(word: number): number {
    switch (word % this.#wordsPerBlock) {
      case ID_MANUFACTURER:
        return this.#options.manufacturerId;
      case ID_DEVICE:
        return this.#options.deviceId;
      case ID_BLOCK_LOCK:
        return this.#state.locked[this.#blockOf(word)] ?? 0;
      default:
        return 0;
    }
  }

  #blockOf(word: number): number {
    return Math.floor(word / this.#wordsPerBlock);
  }

  #guestError(text: string): void {
    if (this.#options.trace.on('guest-errors')) this.#options.trace.event('guest-errors', text);
  }
}

function copy(state: ChipState): ChipState {
  return {
    ...state,
    locked: state.locked.slice(),
    buffer: state.buffer.slice(),
    bufferDriven: state.bufferDriven.slice(),
  };
}
