/** Compiles `bench/guest`, the kernels that the benchmark and the profile run. */
import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

const COMPILER = 'aarch64-linux-gnu-gcc';
const FLAGS = [
  ...['-O2', '-std=c11', '-Wall', '-Wextra', '-ffreestanding', '-nostdlib', '-static', '-fno-pic'],
  ...['-fno-stack-protector', '-fno-tree-loop-distribute-patterns', '-fno-tree-vectorize', '-fno-math-errno'],
  '-mno-outline-atomics',
];
/** Registers of floating point and Advanced SIMD are for those who ask for them. */
const SOURCES = [
  { name: 'start.S', flags: [] },
  { name: 'main.c', flags: ['-mgeneral-regs-only'] },
  { name: 'paging.c', flags: ['-mgeneral-regs-only'] },
  { name: 'table.c', flags: ['-mgeneral-regs-only'] },
  { name: 'loops.c', flags: ['-mgeneral-regs-only'] },
  { name: 'programs.c', flags: ['-mgeneral-regs-only'] },
  { name: 'system.c', flags: ['-mgeneral-regs-only'] },
  { name: 'float.c', flags: [] },
] as const;

/** Which kernels, all of them unless some are named, and how much of each one's work. */
export interface KernelSelection {
  readonly names?: readonly string[];
  readonly percent?: number;
}

/**
 * The path of an image that starts at the address it is loaded at: each selection has its own. Throws an Error that says
 * what is missing.
 */
export function buildKernels({ names = [], percent = 100 }: KernelSelection = {}): string {
  const selection = names.join(',');
  const out = join(ROOT, 'dist', 'bench', 'guest', [selection, percent].filter(Boolean).join('-'));
  const source = (name: string): string => join(ROOT, 'bench', 'guest', name);
  const elf = join(out, 'kernels.elf');
  const image = join(out, 'kernels.bin');
  mkdirSync(out, { recursive: true });
  const object = (name: string): string => join(out, `${name}.o`);
  const selecting = [`-DSELECTION="${selection}"`, `-DPERCENT=${percent}ul`];
  const linking = `-Wl,-T,${source('image.ld')},--build-id=none,--no-warn-rwx-segments`;
  for (const [tool, ...args] of [
    ...SOURCES.map(
      ({ name, flags }) =>
        [COMPILER, ...FLAGS, ...flags, ...selecting, '-c', source(name), '-o', object(name)] as const,
    ),
    [COMPILER, ...FLAGS, linking, ...SOURCES.map(({ name }) => object(name)), '-o', elf],
    ['aarch64-linux-gnu-objcopy', '-O', 'binary', elf, image],
  ] as const) {
    const { error, status, stderr } = spawnSync(tool, args, { encoding: 'utf8' });
    if (error) throw new Error(`${tool} is needed to build the guest (package gcc-aarch64-linux-gnu)`);
    if (status !== 0) throw new Error(`${tool}: ${stderr}`);
  }
  return image;
}
