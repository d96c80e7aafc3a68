/** The bare-metal kernels of bench/guest: building them, running them, reading what they print. */
import { DEFAULT_NS_PER_INSTRUCTION } from '#v8a/vm/clock.js';

import { buildKernels, type KernelSelection } from '../scripts/build-kernels.js';
import { qemuArguments, QEMU } from '../tests/support/qemu.js';
import type { Bench } from './boots.js';
import { type Run, alternate, fail, geometricMean, median, summary, timed } from './measure.js';

/** What the guest says of a kernel; `microseconds` by its own clock. */
interface Report {
  readonly group: string;
  readonly checksum: string;
  readonly microseconds: number;
}

/** A kernel in the table and the result file: medians by the guest's clock, ours and QEMU's. */
interface KernelFigure {
  readonly name: string;
  readonly group: string;
  readonly instructions: number;
  readonly ourMilliseconds: number;
  readonly theirMilliseconds: number;
  /** Of QEMU's. */
  readonly speed: number;
}

/** The means that the table ends with; the kernel before the first, `warmup`, is in none of these groups. */
const MEANS = {
  all: ['integer', 'fp-simd', 'system'],
  'integer, cache-resident': ['integer'],
  'floating point and SIMD': ['fp-simd'],
  'TLB, exceptions, atomics, code writing': ['system'],
} as const;

export async function kernels({ runs, names, v8a, kernels: selection }: Bench): Promise<unknown> {
  const image = buildGuest(selection);
  const run = (clock: 'real' | 'virtual'): Promise<Run> =>
    timed(v8a('--firmware', image, '-m', '512M', '--clock', clock));
  // The virtual clock counts instructions.
  const counted = kernelReport(await run('virtual'));
  const missing = selection.names?.find((name) => !counted.has(name));
  if (missing !== undefined) fail(`there is no kernel ${missing}`);
  const pairs = await alternate(
    runs,
    () => run('real'),
    () => timed([QEMU, ...qemuArguments({ firmware: image, isPflash: false })]),
  );
  const figures = kernelFigures(counted, pairs.ours.map(kernelReport), pairs.theirs.map(kernelReport));
  const means = Object.entries(MEANS).flatMap(([title, groups]) => {
    const speeds = figures
      .filter(({ group }) => (groups as readonly string[]).includes(group))
      .map(({ speed }) => speed);
    return speeds.length === 0 ? [] : [{ title, speed: geometricMean(speeds) }];
  });
  console.log([`\nkernels, ${image}`, ...summary(pairs, names), ...kernelTable(figures, means)].join('\n'));
  return { ...pairs, kernels: figures, geometricMeans: means };
}

function buildGuest(selection: KernelSelection): string {
  try {
    return buildKernels(selection);
  } catch (error) {
    return fail(error instanceof Error ? error.message : String(error));
  }
}

function kernelReport({ output }: Run): ReadonlyMap<string, Report> {
  const report = new Map<string, Report>();
  for (const [, name = '', group = '', checksum = '', time] of output.matchAll(
    /^(\w+) ([\w-]+) ([0-9a-f]{16}) (\d+)\r?$/gm,
  )) {
    report.set(name, { group, checksum, microseconds: Number(time) });
  }
  if (!/^done\r?$/m.test(output)) fail(`the kernels did not finish:\n${output}`);
  return report;
}

/** Ends the benchmark unless all checksums agree. */
function kernelFigures(
  counted: ReadonlyMap<string, Report>,
  ours: readonly ReadonlyMap<string, Report>[],
  theirs: readonly ReadonlyMap<string, Report>[],
): KernelFigure[] {
  return [...counted].map(([name, { group, checksum, microseconds }]) => {
    for (const report of [...ours, ...theirs]) {
      const other = report.get(name)?.checksum;
      if (other !== checksum) fail(`${name}: checksums ${checksum} and ${other} of the same image`);
    }
    const milliseconds = (reports: typeof ours): number =>
      median(reports.map((report) => report.get(name)?.microseconds ?? NaN)) / 1000;
    const [ourMilliseconds, theirMilliseconds] = [milliseconds(ours), milliseconds(theirs)];
    return {
      ...{ name, group, ourMilliseconds, theirMilliseconds },
      instructions: (microseconds * 1000) / DEFAULT_NS_PER_INSTRUCTION,
      speed: theirMilliseconds / ourMilliseconds,
    };
  });
}

function kernelTable(
  figures: readonly KernelFigure[],
  means: readonly { readonly title: string; readonly speed: number }[],
): string[] {
  const line = (...columns: readonly string[]): string =>
    `  ${columns.map((text, column) => (column < 2 ? text.padEnd(16 - 6 * column) : text.padStart(9))).join('')}`;
  const compared = figures.filter(({ group }) => (MEANS.all as readonly string[]).includes(group));
  const worst = compared.reduce<KernelFigure | undefined>(
    (slowest, figure) => (slowest === undefined || figure.speed < slowest.speed ? figure : slowest),
    undefined,
  );
  return [
    `${line('kernel', 'group', 'M instr.', 'v8a ms', 'QEMU ms', 'v8a MIPS', 'speed')}   (medians by the guest's clock)`,
    ...figures.map(({ name, group, instructions, ourMilliseconds, theirMilliseconds, speed }) =>
      line(
        ...[name, group],
        ...[instructions / 1e6, ourMilliseconds, theirMilliseconds].map((value) => value.toFixed(1)),
        ...[(instructions / 1000 / ourMilliseconds).toFixed(0), speed.toFixed(2)],
      ),
    ),
    ...means.map(({ title, speed }) => `  geometric mean, ${title}: ${speed.toFixed(2)}`),
    ...(worst === undefined ? [] : [`  worst: ${worst.name}, ${worst.speed.toFixed(2)}`]),
  ];
}
