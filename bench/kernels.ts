/** The bare-metal kernels of bench/guest: building them, running them, reading what they print. */
import { DEFAULT_NS_PER_INSTRUCTION } from '#v8a/vm/clock.js';

import { buildKernels, type KernelSelection } from '../scripts/build-kernels.js';
import { qemuArguments, QEMU } from '../tests/support/qemu.js';
import type { Bench, Variant } from './boots.js';
import { type Run, alternate, fail, geometricMean, median, summary, timed } from './measure.js';

/** What the guest says of a kernel; `microseconds` by its own clock. */
interface Report {
  readonly group: string;
  readonly checksum: string;
  readonly microseconds: number;
}

/** By the guest's clock. */
interface Times {
  readonly milliseconds: readonly number[];
  readonly median: number;
}

/** A kernel in the table and the result file. */
interface KernelFigure {
  readonly name: string;
  readonly group: string;
  readonly instructions: number;
  readonly qemu: Times;
  /** By variant of v8a; the speed is of QEMU's, median by median. */
  readonly variants: readonly (Times & { readonly speed: number })[];
}

/** The means that the table ends with; the kernel before the first, `warmup`, is in none of these groups. */
const MEANS = {
  all: ['integer', 'fp-simd', 'system'],
  'integer, cache-resident': ['integer'],
  'fp-simd': ['fp-simd'],
  system: ['system'],
} as const;

export async function kernels({ runs, variants, kernels: selection }: Bench): Promise<unknown> {
  const image = buildGuest(selection);
  const run = ({ v8a }: Variant, clock: 'real' | 'virtual'): Promise<Run> =>
    timed(v8a('--firmware', image, '-m', '512M', '--clock', clock));
  const [first] = variants;
  if (first === undefined) return undefined;
  // The virtual clock counts instructions.
  const counted = kernelReport(await run(first, 'virtual'));
  const missing = selection.names?.find((name) => !counted.has(name));
  if (missing !== undefined) fail(`there is no kernel ${missing}`);
  const rounds = await alternate(
    runs,
    variants.map((variant) => () => run(variant, 'real')),
    () => timed([QEMU, ...qemuArguments({ firmware: image, isPflash: false })]),
  );
  const figures = kernelFigures(
    counted,
    rounds.ours.map((ours) => ours.map(kernelReport)),
    rounds.theirs.map(kernelReport),
  );
  const names = variants.map(({ name }) => name);
  const means = Object.entries(MEANS).flatMap(([title, groups]) => {
    const some = figures.filter(({ group }) => (groups as readonly string[]).includes(group));
    return some.length === 0
      ? []
      : [{ title, speeds: names.map((_, i) => geometricMean(speedsOf(some, i))) }];
  });
  console.log(
    [`\nkernels, ${image}`, ...summary(rounds, names), ...kernelTable(figures, means, names)].join('\n'),
  );
  return { ...rounds, kernels: figures, geometricMeans: means };
}

const speedsOf = (figures: readonly KernelFigure[], variant: number): number[] =>
  figures.map(({ variants }) => variants[variant]?.speed ?? NaN);

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

type Reports = readonly ReadonlyMap<string, Report>[];

/** Ends the benchmark unless all checksums agree. */
function kernelFigures(
  counted: ReadonlyMap<string, Report>,
  ours: readonly Reports[],
  theirs: Reports,
): KernelFigure[] {
  return [...counted].map(([name, { group, checksum, microseconds }]) => {
    const times = (reports: Reports): Times => {
      const all = reports.map((report) => report.get(name));
      for (const report of all)
        if (report?.checksum !== checksum)
          fail(`${name}: checksums ${checksum} and ${report?.checksum} of the same image`);
      const milliseconds = all.map((report) => (report?.microseconds ?? NaN) / 1000);
      return { milliseconds, median: median(milliseconds) };
    };
    const qemu = times(theirs);
    return {
      ...{ name, group, qemu },
      instructions: (microseconds * 1000) / DEFAULT_NS_PER_INSTRUCTION,
      variants: ours.map(times).map((own) => ({ ...own, speed: qemu.median / own.median })),
    };
  });
}

function kernelTable(
  figures: readonly KernelFigure[],
  means: readonly { readonly title: string; readonly speeds: readonly number[] }[],
  names: readonly string[],
): string[] {
  const line = (name: string, ...others: readonly string[]): string =>
    `  ${name.padEnd(16)}${others.map((text) => text.padStart(10)).join('')}`;
  /** Under the speeds. */
  const total = (title: string, texts: readonly string[]): string =>
    `  ${title.padEnd(46)}${texts.map((text) => text.padStart(20)).join('')}`;
  const compared = figures.filter(({ group }) => (MEANS.all as readonly string[]).includes(group));
  const worst = names.map((_, variant) => {
    const speeds = speedsOf(compared, variant);
    const least = Math.min(...speeds);
    return `${compared[speeds.indexOf(least)]?.name ?? ''} ${least.toFixed(2)}`;
  });
  return [
    ...names.map((name, variant) => `  ${variant + 1}: ${name}`),
    `${line('kernel', 'group', 'M instr.', 'QEMU ms', ...names.flatMap((_, i) => [`${i + 1}: ms`, 'speed']))}   (medians by the guest's clock)`,
    ...figures.map(({ name, group, instructions, qemu, variants }) =>
      line(
        ...([name, group] as const),
        ...[(instructions / 1e6).toFixed(1), qemu.median.toFixed(1)],
        ...variants.flatMap((own) => [own.median.toFixed(1), own.speed.toFixed(2)]),
      ),
    ),
    ...means.map(({ title, speeds }) =>
      total(
        `geometric mean, ${title}`,
        speeds.map((speed) => speed.toFixed(2)),
      ),
    ),
    ...(compared.length === 0 ? [] : [total('worst', worst)]),
  ];
}
