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
  { name: 'kernels.c', flags: ['-mgeneral-regs-only'] },
  { name: 'float-kernels.c', flags: [] },
] as const;

/** The path of an image that starts at the address it is loaded at. Throws an Error that says what is missing. */
export function buildKernels(): string {
  const out = join(ROOT, 'dist', 'bench', 'guest');
  const source = (name: string): string => join(ROOT, 'bench', 'guest', name);
  const elf = join(out, 'kernels.elf');
  const image = join(out, 'kernels.bin');
  mkdirSync(out, { recursive: true });
  const object = (name: string): string => join(out, `${name}.o`);
  const linking = `-Wl,-T,${source('image.ld')},--build-id=none,--no-warn-rwx-segments`;
  for (const [tool, ...args] of [
    ...SOURCES.map(
      ({ name, flags }) => [COMPILER, ...FLAGS, ...flags, '-c', source(name), '-o', object(name)] as const,
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
