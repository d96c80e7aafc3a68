/**
 * `npm run profile:handlers`: measures which handlers are worth a place in the interpreter's one function, and writes
 * their names to src/cpu/hot-handlers.ts, whose header says why so many.
 *
 * AAVMF to its shell, U-Boot to its prompt, Linux to a shell and the kernels of bench/ run on a core that counts, with
 * the virtual clock, so that the same guests give the same list. What is hot is translated, as it is for users: what counts is
 * what is left to the interpreter. Each counts the same, however much that is. Handlers that must be cold are left out.
 * `--dry-run` only prints what would change.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { generateCountingCore } from '#v8a/cpu/interpreter.js';
import { CORTEX_A57 } from '#v8a/cpu/models.js';
import { A64 } from '#v8a/isa/a64.js';
import type { Machine, MachineOptions } from '#v8a/vm/index.js';
import { assembleMachine } from '#v8a/vm/create-machine.js';

import { buildKernels } from './build-kernels.js';
import { fetchGuests, guestFile } from './fetch-guests.js';
import { tinyInitramfs } from './make-initramfs.js';

/** How many are hot of the registers of integers and of those of vectors. */
const HOT_INTEGER = 244;
const HOT_SIMD = 52;

const LIST = fileURLToPath(new URL('../../src/cpu/hot-handlers.ts', import.meta.url));
const LIST_START = 'export const HOT_HANDLERS: readonly string[] = [\n';
const LIST_END = '];\n';

interface Workload {
  readonly name: string;
  readonly options: MachineOptions;
  readonly play: (machine: Machine) => Promise<unknown>;
}

function workloads(): Workload[] {
  const problems = fetchGuests();
  const found = (name: Parameters<typeof guestFile>[0]): string => {
    const path = guestFile(name);
    if (path === undefined) throw new Error(`${name} is needed: ${problems.join('; ')}`);
    return path;
  };
  const initramfs = tinyInitramfs();
  if (initramfs === undefined) throw new Error('an initial RAM disk is needed (npm run guests)');
  return [
    {
      name: 'AAVMF',
      // The store's bytes, not its path: the template is not to be written.
      options: { firmware: found('AAVMF_CODE.fd'), flash: readFileSync(found('AAVMF_VARS.fd')) },
      play: async ({ serial }) => {
        await serial.waitFor('or any other key to continue');
        serial.send('\r');
        await serial.waitFor('Shell>');
      },
    },
    {
      name: 'U-Boot',
      options: { firmware: found('u-boot.bin') },
      play: async ({ serial }) => {
        await serial.waitFor('Hit any key to stop autoboot');
        serial.send(' ');
        await serial.waitFor('=> ');
      },
    },
    {
      name: 'Linux',
      options: { kernel: found('linux'), initrd: initramfs, commandLine: 'console=ttyAMA0' },
      play: async ({ serial }) => {
        await serial.waitFor('tiny# ');
      },
    },
    { name: 'kernels', options: { firmware: buildKernels() }, play: (machine) => machine.stopped() },
  ];
}

const { image, names } = generateCountingCore(A64, CORTEX_A57);

/** The share of all interpreted instructions that each handler had, which may be hot. */
async function measure({ name, options, play }: Workload): Promise<Map<string, number>> {
  const { machine, hardware } = await assembleMachine({ ...options, clock: 'virtual' }, () => image);
  try {
    machine.start();
    await play(machine);
    const counts = hardware.engine.handlerCounts();
    const { instructions } = hardware.engine;
    const shares = new Map<string, number>();
    const interpreted = counts.reduce((sum, count) => sum + count, 0);
    for (const [index, handler] of names) shares.set(handler, (counts[index] ?? 0) / interpreted);
    const share = (100 * interpreted) / instructions;
    console.log(
      `${name}: ${instructions.toLocaleString('en')} instructions, ${share.toFixed(1)} % interpreted`,
    );
    return shares;
  } finally {
    await machine.close();
  }
}

/** In code-unit order, so that the list depends on nothing else. */
const byName = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

const { values } = parseArgs({ options: { 'dry-run': { type: 'boolean', default: false } } });
const all = workloads();
const measured: Map<string, number>[] = [];
for (const workload of all) measured.push(await measure(workload));
const simdRows = A64.rows.filter(({ simd }) => simd).map(({ name }) => `${name}/`);
const isSimd = (handler: string): boolean => simdRows.some((row) => handler.startsWith(row));

/** The handlers of a kind that were executed most, by the sum of their shares. */
function mostExecuted(isWanted: (handler: string) => boolean, count: number): string[] {
  return [...names.values()]
    .filter(isWanted)
    .map((name) => ({ name, share: measured.reduce((total, of) => total + (of.get(name) ?? 0), 0) }))
    .filter(({ share }) => share > 0)
    .sort((a, b) => (a.share === b.share ? byName(a.name, b.name) : b.share - a.share))
    .slice(0, count)
    .map(({ name }) => name);
}
const hot = [
  ...mostExecuted((handler) => !isSimd(handler), HOT_INTEGER),
  ...mostExecuted(isSimd, HOT_SIMD),
].sort(byName);
measured.forEach((shares, index) => {
  const covered = hot.reduce((total, name) => total + (shares.get(name) ?? 0), 0);
  console.log(`${all[index]?.name ?? ''}: the hot handlers are ${(100 * covered).toFixed(2)} % of it`);
});

const before = readFileSync(LIST, 'utf8');
const start = before.indexOf(LIST_START) + LIST_START.length;
const end = before.indexOf(LIST_END, start);
const wasHot = new Set([...before.slice(start, end).matchAll(/'(.*)'/g)].map((match) => match[1] ?? ''));
for (const name of hot) if (!wasHot.has(name)) console.log(`+ ${name}`);
for (const name of wasHot) if (!hot.includes(name)) console.log(`- ${name}`);
if (!values['dry-run']) {
  const list = hot.map((name) => `  '${name}',\n`).join('');
  writeFileSync(LIST, before.slice(0, start) + list + before.slice(end));
  console.log(LIST);
}
