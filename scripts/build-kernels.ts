/** Compiles `bench/guest`, the kernels that the benchmark and the profile run. */
import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

const COMPILER = 'aarch64-linux-gnu-gcc';
const FLAGS = [
  ...['-O2', '-std=c11', '-Wall', '-Wextra', '-mgeneral-regs-only', '-ffreestanding', '-nostdlib', '-static'],
  ...['-fno-pic', '-fno-stack-protector', '-fno-tree-loop-distribute-patterns', '-mno-outline-atomics'],
];

/** The path of an image that starts at the address it is loaded at. Throws an Error that says what is missing. */
export function buildKernels(): string {
  const out = join(ROOT, 'dist', 'bench', 'guest');
  const source = (name: string): string => join(ROOT, 'bench', 'guest', name);
  const elf = join(out, 'kernels.elf');
  const image = join(out, 'kernels.bin');
  mkdirSync(out, { recursive: true });
  const linking = `-Wl,-T,${source('image.ld')},--build-id=none,--no-warn-rwx-segments`;
  for (const [tool, ...args] of [
    [COMPILER, ...FLAGS, linking, ...['start.S', 'main.c', 'kernels.c'].map(source), '-o', elf],
    ['aarch64-linux-gnu-objcopy', '-O', 'binary', elf, image],
  ] as const) {
    const { error, status, stderr } = spawnSync(tool, args, { encoding: 'utf8' });
    if (error) throw new Error(`${tool} is needed to build the guest (package gcc-aarch64-linux-gnu)`);
    if (status !== 0) throw new Error(`${tool}: ${stderr}`);
  }
  return image;
}
