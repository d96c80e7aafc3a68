/**
 * `npm run bench`: v8a beside QEMU's TCG on the same machine at the same time. What is run and how to read the
 * figures: bench/README.md.
 */
import { spawn, spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { buildKernels } from '../scripts/build-kernels.js';
import { fetchGuests } from '../scripts/fetch-guests.js';
import { V8A_MAIN, dialogue, statistics } from '../tests/support/cli.js';
import { AAVMF_CODE, AAVMF_VARS, newVariableStore, scratch } from '../tests/support/guests.js';
import { QEMU, qemuArguments } from '../tests/support/qemu.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** One process from start to end. */
interface Run {
  readonly wallSeconds: number;
  /** User and system time of all its threads: what a host with other work to do pays. */
  readonly cpuSeconds: number;
  readonly output: string;
  /** v8a's own count; QEMU has none. */
  readonly instructions?: number;
}

/** Alternating runs: `ours[i]` and `theirs[i]` had the same neighbours on the host. */
interface Pairs {
  readonly ours: Run[];
  readonly theirs: Run[];
}

interface Step {
  readonly expect: string;
  readonly send?: string;
}

/** The last thing typed to QEMU's console: its own way out. */
const QEMU_QUIT = '\x01x';

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? NaN;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? NaN)) / 2;
}

function fail(message: string): never {
  console.error(`bench: ${message}`);
  process.exit(1);
}

/** `0.98 (0.95–1.02)`: the median and the range. */
function spread(values: readonly number[], digits = 2): string {
  const range = [Math.min(...values), Math.max(...values)].map((value) => value.toFixed(digits));
  return `${median(values).toFixed(digits)} (${range.join('–')})`;
}

function geometricMean(values: readonly number[]): number {
  return Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);
}

/** Runs to the end under the shell's `time`, which also counts threads that are gone. */
async function timed(command: readonly string[], steps: readonly Step[] = []): Promise<Run> {
  const child = spawn('bash', ['-c', 'TIMEFORMAT="cpu %U %S"; time "$@"', 'bench', ...command], {
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const start = performance.now();
  let end: number | undefined;
  let output = '';
  let errors = '';
  let searchedTo = 0;
  let stepsMet = 0;
  child.stdin.on('error', () => undefined);
  if (steps.length === 0) child.stdin.end();
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
    for (let step = steps[stepsMet]; step; step = steps[stepsMet]) {
      const at = output.indexOf(step.expect, searchedTo);
      if (at < 0) return;
      searchedTo = at + step.expect.length;
      stepsMet++;
      if (stepsMet === steps.length) end = performance.now();
      if (step.send !== undefined) child.stdin.write(step.send);
    }
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text));
  const status = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', resolve);
  });
  const wallSeconds = ((end ?? performance.now()) - start) / 1000;
  if (status !== 0) fail(`${command.join(' ')} ended with ${status}:\n${output.slice(-1000)}\n${errors}`);
  const cpu = /^cpu ([\d.]+) ([\d.]+)$/m.exec(errors);
  const instructions = statistics(errors).get('instructions');
  return {
    wallSeconds,
    cpuSeconds: Number(cpu?.[1]) + Number(cpu?.[2]),
    output,
    ...(instructions === undefined ? {} : { instructions }),
  };
}

/** Ours and theirs in turns, after one of each that is not counted, so that both find their files cached. */
async function alternate(runs: number, ours: () => Promise<Run>, theirs: () => Promise<Run>): Promise<Pairs> {
  await ours();
  await theirs();
  const pairs: Pairs = { ours: [], theirs: [] };
  for (let run = 0; run < runs; run++) {
    pairs.ours.push(await ours());
    pairs.theirs.push(await theirs());
    process.stderr.write('.');
  }
  process.stderr.write('\n');
  return pairs;
}

function buildGuest(): string {
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

/** The lines that every pair of runs has. */
function summary(pairs: Pairs, names: readonly [ours: string, theirs: string]): string[] {
  const { ours, theirs } = pairs;
  const instructions = ours[0]?.instructions ?? NaN;
  const mips = (seconds: readonly number[]): string =>
    `${Math.round(instructions / 1e6 / median(seconds))}`.padStart(6);
  const line = (name: string, runs: readonly Run[]): string => {
    const wall = runs.map((run) => run.wallSeconds);
    const cpu = runs.map((run) => run.cpuSeconds);
    return [
      name.padEnd(20),
      spread(wall).padEnd(22),
      spread(cpu).padEnd(22),
      `${mips(wall)} by wall ${mips(cpu)} by cpu`,
    ].join('');
  };
  const ratio = (pick: (run: Run) => number): string =>
    spread(ours.map((run, index) => pick(theirs[index] ?? run) / pick(run)));
  return [
    `${instructions.toLocaleString('en')} guest instructions (counted by v8a)`,
    `${''.padEnd(20)}${'wall s'.padEnd(22)}${'cpu s'.padEnd(22)}  MIPS`,
    line(names[0], ours),
    line(names[1], theirs),
    `speed, QEMU = 1: ${ratio((run) => run.wallSeconds)} by wall, ${ratio((run) => run.cpuSeconds)} by cpu`,
  ];
}

/** Median milliseconds of each kernel by the guest's clock, ours and QEMU's; checks that all checksums agree. */
function kernelTimes({ ours, theirs }: Pairs): { name: string; ours: number; theirs: number }[] {
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

function kernelTable(times: ReturnType<typeof kernelTimes>): string[] {
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

const { values } = parseArgs({
  options: {
    node: { type: 'string', default: process.execPath },
    runs: { type: 'string', default: '5' },
    only: { type: 'string' },
    json: { type: 'string', default: join(ROOT, 'dist', 'bench', 'result.json') },
  },
});
const runs = Number(values.runs);
if (!Number.isInteger(runs) || runs < 1) fail(`--runs takes a count from 1, not ${values.runs}`);
if (values.only !== undefined && !['kernels', 'aavmf'].includes(values.only)) {
  fail(`--only takes kernels or aavmf, not ${values.only}`);
}
const version = (program: string): string => {
  const result = spawnSync(program, ['--version'], { encoding: 'utf8' });
  if (result.status !== 0) fail(`${program} does not run`);
  return result.stdout.split('\n')[0] ?? '';
};
const names = [`v8a, node ${version(values.node)}`, 'QEMU TCG'] as const;
const v8a = (...args: readonly string[]): string[] => [values.node, V8A_MAIN, 'run', ...args, '--stats'];
const result: Record<string, unknown> = {
  host: cpus()[0]?.model,
  cpus: cpus().length,
  node: version(values.node),
  qemu: version(QEMU),
  runs,
};
console.log(
  `${cpus().length} × ${cpus()[0]?.model ?? '?'}; ${version(QEMU)}; median (range) of ${runs} runs each`,
);

if (values.only !== 'aavmf') {
  const image = buildGuest();
  const pairs = await alternate(
    runs,
    () => timed(v8a('--firmware', image, '-m', '512M', '--clock', 'real')),
    () => timed([QEMU, ...qemuArguments({ firmware: image, isPflash: false })]),
  );
  const kernels = kernelTimes(pairs);
  result['kernels'] = { ...pairs, medianMilliseconds: kernels };
  console.log(['\nkernels', ...summary(pairs, names), ...kernelTable(kernels)].join('\n'));
}

if (values.only !== 'kernels') {
  const problems = fetchGuests();
  if (AAVMF_CODE === undefined || AAVMF_VARS === undefined) {
    console.log(`\naavmf: skipped: ${problems.join('; ')}`);
  } else {
    const firmware = AAVMF_CODE;
    const files = scratch();
    const flash = (): string => newVariableStore(files.path('vars.fd'));
    // The shell counts five seconds down unless a key is pressed.
    const steps = [{ expect: 'or any other key to continue', send: '\r' }, { expect: 'Shell>' }];
    try {
      const pairs = await alternate(
        runs,
        () =>
          timed(
            v8a(
              ...['--firmware', firmware, '--flash', flash(), '-m', '512M', '--clock', 'virtual'],
              ...['--timeout', '600s', ...dialogue(...steps)],
            ),
          ),
        () =>
          timed(
            [QEMU, ...qemuArguments({ firmware, isPflash: true, flash: flash(), canQuit: true })],
            steps.map((step) => ({ send: QEMU_QUIT, ...step })),
          ),
      );
      result['aavmf'] = pairs;
      console.log(['\naavmf, first boot to the shell', ...summary(pairs, names)].join('\n'));
    } finally {
      files.remove();
    }
  }
}

// The consoles are not measurements.
writeFileSync(
  values.json,
  `${JSON.stringify(result, (key, value: unknown) => (key === 'output' ? undefined : value), 2)}\n`,
);
console.log(`\n${values.json}`);
