/** The bare-metal kernels of bench/guest: building them, reading what they print. */
import { buildKernels } from '../scripts/build-kernels.js';
import { type Pairs, fail, geometricMean, median } from './measure.js';

export function buildGuest(): string {
  try {
    return buildKernels();
  } catch (error) {
    return fail(error instanceof Error ? error.message : String(error));
  }
}

/** The guest's own report: checksum and milliseconds by kernel. */
function kernelReport(output: string): Map<string, { checksum: string; milliseconds: number }> {
  const report = new Map<string, { checksum: string; milliseconds: number }>();
  for (const [, name = '', checksum = '', time] of output.matchAll(/^(\w+) ([0-9a-f]{16}) (\d+)\r?$/gm)) {
    report.set(name, { checksum, milliseconds: Number(time) });
  }
  if (!/^done\r?$/m.test(output)) fail(`the kernels did not finish:\n${output}`);
  return report;
}

/** Median milliseconds of each kernel by the guest's clock, ours and QEMU's; checks that all checksums agree. */
export function kernelTimes({ ours, theirs }: Pairs): { name: string; ours: number; theirs: number }[] {
  const ourReports = ours.map((run) => kernelReport(run.output));
  const theirReports = theirs.map((run) => kernelReport(run.output));
  return [...(theirReports[0] ?? [])].map(([name, expected]) => {
    for (const report of [...ourReports, ...theirReports]) {
      const actual = report.get(name)?.checksum;
      if (actual !== expected.checksum)
        fail(`${name}: checksum ${actual}, QEMU's first is ${expected.checksum}`);
    }
    const time = (reports: typeof ourReports): number =>
      median(reports.map((report) => report.get(name)?.milliseconds ?? NaN));
    return { name, ours: time(ourReports), theirs: time(theirReports) };
  });
}

/** The kernel that gives the compilers of V8 and QEMU time to start; left out of the mean. */
const WARM_UP = 'warmup';

/** Names of kernels of floating point and Advanced SIMD, which have a mean of their own. */
const isFloat = ({ name }: { readonly name: string }): boolean => /^(fp|simd)_/.test(name);

export function kernelTable(times: ReturnType<typeof kernelTimes>): string[] {
  // A kernel takes 20 ms and more; the 1 keeps a clock that stood still from dividing by zero.
  const speed = (time: { ours: number; theirs: number }): number =>
    Math.max(time.theirs, 1) / Math.max(time.ours, 1);
  const line = (...columns: readonly [string, string, string, string]): string =>
    `  ${columns.map((text, column) => (column === 0 ? text.padEnd(12) : text.padStart(9))).join('')}`;
  return [
    `${line('kernel', 'v8a ms', 'QEMU ms', 'speed')}   (medians by the guest's clock)`,
    ...times.map((time) => line(time.name, `${time.ours}`, `${time.theirs}`, speed(time).toFixed(2))),
    ...(
      [
        ['integer', times.filter((time) => time.name !== WARM_UP && !isFloat(time))],
        ['fp and simd', times.filter(isFloat)],
      ] as const
    ).map(([kind, some]) => `  geometric mean, ${kind}: ${geometricMean(some.map(speed)).toFixed(2)}`),
  ];
}
