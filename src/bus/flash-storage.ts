/** Bytes of a flash array and where they belong. */
export interface FlashRange {
  readonly offset: number;
  /** Borrowed: valid during the call that passes it. */
  readonly bytes: Uint8Array;
}

/**
 * Where a flash array outlives the machine. Calls return when the host has taken the bytes (a `kill -9` of the
 * emulator cannot lose them any more) and throw when it has not; what was in storage before a failed `commit` is
 * still there, or is completed by the next one or at the next open.
 */
export interface FlashStorage {
  /** Replaces all of `ranges`, or none of them. They do not overlap. */
  commit(ranges: readonly FlashRange[]): void;
  /** Replaces one range in place, from its first byte up: a kill may leave a prefix of it. */
  write(range: FlashRange): void;
  /** Returns when everything taken so far would survive a crash of the host. */
  sync(): void;
}
