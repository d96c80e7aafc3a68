/** An Ethernet frame without its check sequence, and what its sender has left to be done on it. */
export interface NetworkFrame {
  /** From the destination address on. Handed over: the bytes are the receiver's. */
  readonly bytes: Uint8Array;
  /**
   * A checksum that is not there yet: the sum of everything from `start` on belongs at `start + offset`, where that of
   * the pseudo header is. Left out: all checksums are there.
   */
  readonly checksum?: { readonly start: number; readonly offset: number };
  /**
   * The frame is several TCP segments in one, each with so many bytes of payload but the last: its headers are those of
   * the first, the length in its IP header is that of all together. Left out: it is one.
   */
  readonly segmentBytes?: number;
}

/** Longest frame that is not several in one: an Ethernet header and 1,500 bytes. */
export const ETHERNET_FRAME_BYTES = 1514;
/** Longest frame that is several in one: what an IP header can state, and an Ethernet header. */
export const LARGE_FRAME_BYTES = 14 + 65_535;

/** A network that one network card is connected to. */
export interface NetworkPort {
  /** The card sends. An answer may be there when this returns. */
  send(frame: NetworkFrame): void;
  /**
   * The next frame for the card, which has room for one of at most `maxBytes`, 1,514 or 65,549. Undefined: there is
   * none, and the function given to `connect` is called when there may be one.
   */
  receive(maxBytes: number): NetworkFrame | undefined;
  /** Connects the card, once. `onFrame` may be called during `send`, from timers and when something comes from outside. */
  connect(onFrame: () => void): void;
}
