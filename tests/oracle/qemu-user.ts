/** Runs oracle cases with qemu-aarch64. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Case, Result, Runner } from './format.js';
import { decodeResults, encodeCases } from './format.js';

const COMPILER = 'aarch64-linux-gnu-gcc';
const QEMU = 'qemu-aarch64';
/** Armv8.0-A with CRC32 and the Cryptographic Extension: what v8a implements. */
const CPU = 'cortex-a57';

// From dist/tests/oracle back to the sources.
const HARNESS = fileURLToPath(new URL('../../../tests/oracle/harness.c', import.meta.url));

/** Why QEMU cannot be the oracle here, or undefined where it can. */
export function missingTool(): string | undefined {
  return [COMPILER, QEMU].find((tool) => spawnSync(tool, ['--version']).status !== 0);
}

function compileHarness(output: string): void {
  const { status, stderr } = spawnSync(
    COMPILER,
    ['-O2', '-Wall', '-Wextra', '-Werror', '-static', '-nostdlib', '-ffreestanding', '-fno-stack-protector']
      .concat(['-fno-tree-loop-distribute-patterns', HARNESS, '-o', output]), // prettier-ignore
    { encoding: 'utf8' },
  );
  if (status !== 0) throw new Error(`${COMPILER}: ${stderr}`);
}

/** QEMU as an oracle. Throws where a case kept it from answering. */
export const qemuUser: Runner = {
  runCases(cases: readonly Case[]): Result[] {
    const folder = mkdtempSync(join(tmpdir(), 'v8a-oracle-'));
    try {
      const program = join(folder, 'harness');
      compileHarness(program);
      const { status, signal, stdout, stderr } = spawnSync(QEMU, ['-cpu', CPU, program], {
        input: encodeCases(cases),
        maxBuffer: 2 ** 30,
        timeout: 30_000,
      });
      const results = decodeResults(stdout);
      if (status !== 0 || results.length !== cases.length)
        throw new Error(
          `${QEMU} ended with ${status ?? signal} in case ${results.length}: ` +
            `${cases[results.length]?.words.map((word) => word.toString(16)).join(' ')} ${String(stderr)}`,
        );
      return results;
    } finally {
      rmSync(folder, { recursive: true });
    }
  },
};
