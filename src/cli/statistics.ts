import type { MachineStatistics } from '../vm/index.js';

/** The statistics of a run as lines of `name: value`, values plain numbers, for people and for scripts. */
export function formatStatistics(statistics: MachineStatistics): string {
  const lines: (readonly [name: string, value: string])[] = [
    ['instructions', `${statistics.instructions}`],
    ['mips', statistics.mips.toFixed(1)],
    ['guest seconds', seconds(statistics.guestNs)],
    ['guest seconds skipped', seconds(statistics.skippedNs)],
    ['host seconds executing', seconds(statistics.executingNs)],
    ['slices', `${statistics.slices}`],
    ['serial bytes out', `${statistics.serialBytesOut}`],
    ['serial bytes in', `${statistics.serialBytesIn}`],
  ];
  for (const { name, counts } of statistics.devices) {
    for (const [count, value] of Object.entries(counts)) lines.push([`${name} ${count}`, `${value}`]);
  }
  return lines.map(([name, value]) => `${name}: ${value}\n`).join('');
}

function seconds(ns: number): string {
  return (ns / 1e9).toFixed(6);
}
