/**
 * Where a disk keeps its bytes. Operations are asynchronous: `done` is called once, during the call or later between
 * guest instructions, with whether all of it worked. Several may be under way; which is done first is open, but where
 * two reach the same bytes, and one of them changes these, the first one asked for comes first.
 */
export interface BlockStorage {
  /** A multiple of 512. */
  readonly sizeBytes: number;
  readonly isReadOnly: boolean;
  /** Reads `into.length` bytes from `offset`. */
  read(offset: number, into: BlockTarget, done: BlockDone): void;
  /** Takes `from`, which is borrowed until `done`. */
  write(offset: number, from: Uint8Array, done: BlockDone): void;
  /** Makes the range read as zeros; room that it takes may be given up. */
  writeZeros(offset: number, length: number, done: BlockDone): void;
  /** The guest needs what is in the range no more. */
  discard(offset: number, length: number, done: BlockDone): void;
  /** What was written and done before survives a crash of the host when this is done. */
  flush(done: BlockDone): void;
}

/** Where what is read goes: the guest's own memory, which is there when it is asked for and not longer. */
export interface BlockTarget {
  readonly length: number;
  /**
   * The memory, in parts that together have `length` bytes, to be filled before anything else happens. Undefined where
   * nobody wants the bytes any more; the read is then over, and has not worked.
   */
  lend(): readonly Uint8Array[] | undefined;
}

export type BlockDone = (isOk: boolean) => void;
