import { hex, invariant } from '../base/index.js';
import type { MapEntry } from './ports.js';

/** `entries` in the order of addresses, after a check that no two share an address. */
export function addressMap(entries: readonly MapEntry[]): readonly MapEntry[] {
  const map = entries.toSorted((a, b) => a.base - b.base);
  map.forEach(({ base, device }, index) => {
    const end = base + device.sizeBytes;
    invariant(
      base >= 0 && device.sizeBytes > 0 && end <= 2 ** 52,
      `${device.name} at ${hex(base)} is no range`,
    );
    const next = map[index + 1];
    invariant(
      next === undefined || end <= next.base,
      `${device.name} at ${hex(base)} overlaps ${next?.device.name} at ${hex(next?.base ?? 0)}`,
    );
  });
  return map;
}
