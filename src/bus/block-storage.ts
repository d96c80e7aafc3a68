/**
 * Where a disk keeps its bytes. Operations are asynchronous: `done` is called once, during the call or later between
 * guest instructions, with whether all of it worked. Several may be under way; which is done first is open, but where
 * two reach the same bytes, and one of them changes these, the first one asked for comes first.
 */
export interface BlockStorage {
  /** A multiple of 512. */
  readonly sizeBytes: number;
  readonly isReadOnly: boolean;
  /** Fills `into`, which is borrowed until `done`, from `offset`. */
  read(offset: number, into: Uint8Array, done: BlockDone): void;
  /** Takes `from`, which is borrowed until `done`. */
  write(offset: number, from: Uint8Array, done: BlockDone): void;
  /** Makes the range read as zeros; room that it takes may be given up. */
  writeZeros(offset: number, length: number, done: BlockDone): void;
  /** The guest needs what is in the range no more. */
  discard(offset: number, length: number, done: BlockDone): void;
  /** What was written and done before survives a crash of the host when this is done. */
  flush(done: BlockDone): void;
}

export type BlockDone = (isOk: boolean) => void;
