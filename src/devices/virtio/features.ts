/** Feature bits that belong to no type of device (VIRTIO 1.2 6), as masks of the 64-bit feature word. */
export const FEATURE = {
  /** Legacy devices only: drivers need not put headers into descriptors of their own (VIRTIO 1.2 6.3). */
  ANY_LAYOUT: 1n << 27n,
  RING_INDIRECT_DESC: 1n << 28n,
  RING_EVENT_IDX: 1n << 29n,
  VERSION_1: 1n << 32n,
  ACCESS_PLATFORM: 1n << 33n,
  RING_PACKED: 1n << 34n,
  RING_RESET: 1n << 40n,
} as const;

/** 32 of the feature bits; there are none beyond the first 64. */
export function featureHalf(features: bigint, half: number): number {
  return half < 2 ? Number((features >> BigInt(32 * half)) & 0xffff_ffffn) : 0;
}
