import type { Brand } from './brand.js';

/** A guest physical address in bytes. At most 52 bits, so a safe integer holds it. */
export type PhysAddr = Brand<number, 'PhysAddr'>;

export function physAddr(value: number): PhysAddr {
  return value as PhysAddr;
}
