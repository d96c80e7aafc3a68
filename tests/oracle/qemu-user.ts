/** Runs oracle batches with qemu-aarch64. */
import type { ChildProcessByStdio } from 'node:child_process';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import type { CpuModel } from '#v8a/cpu/models.js';
import { disassemble } from '#v8a/isa/disassemble.js';
import type { Batch } from './format.js';
import { RESULT, encodeBatch } from './format.js';

const COMPILER = 'aarch64-linux-gnu-gcc';
const QEMU = 'qemu-aarch64';

// From dist/tests/oracle back to the sources.
const SOURCES = ['harness.c', 'enter.S'].map((name) =>
  fileURLToPath(new URL(`../../../tests/oracle/${name}`, import.meta.url)),
);

/** Why QEMU cannot be the oracle here, or undefined where it can. */
export function missingTool(): string | undefined {
  return [COMPILER, QEMU].find((tool) => spawnSync(tool, ['--version']).status !== 0);
}

/** Where random addresses hardly go. */
const HARNESS_ADDRESS = '0x35a7410000';

function compileHarness(output: string): void {
  const { status, stderr } = spawnSync(
    COMPILER,
    ['-O3', '-Wall', '-Wextra', '-Werror', '-static', '-nostdlib', '-ffreestanding', '-fno-stack-protector']
      .concat(['-fno-tree-loop-distribute-patterns', `-Wl,-Ttext-segment=${HARNESS_ADDRESS}`, ...SOURCES, '-o', output]), // prettier-ignore
    { encoding: 'utf8' },
  );
  if (status !== 0) throw new Error(`${COMPILER}: ${stderr}`);
}

/** Longest that a batch may take, on a busy host. */
const TIMEOUT_MS = 120_000;

/** One QEMU process, which answers batch after batch. To be closed. */
export class QemuUser {
  readonly #folder: string;
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>;
  #stderr = '';

  constructor(model: CpuModel) {
    this.#folder = mkdtempSync(join(tmpdir(), 'v8a-oracle-'));
    const program = join(this.#folder, 'harness');
    compileHarness(program);
    this.#child = spawn(QEMU, ['-cpu', model.name, program], { stdio: ['pipe', 'pipe', 'pipe'] });
    this.#child.stdin.on('error', () => undefined); // What happened shows in the results.
    this.#child.stderr.setEncoding('utf8').on('data', (text: string) => (this.#stderr += text));
  }

  /** The results, as `decodeResult` reads them. One batch at a time. Throws where a run kept QEMU from answering. */
  async run(batch: Batch): Promise<Uint8Array> {
    const { stdin, stdout } = this.#child;
    const timeout = setTimeout(() => this.#child.kill('SIGKILL'), TIMEOUT_MS);
    const expected = new Scanner(batch.runs.length);
    try {
      stdin.write(encodeBatch(batch));
      return await new Promise<Uint8Array>((resolve, reject) => {
        const done = (): void => {
          stdout.off('data', onData);
          stdout.off('end', onEnd);
        };
        const onData = (chunk: Uint8Array): void => {
          const all = expected.push(chunk);
          if (!all) return;
          done();
          resolve(all);
        };
        const onEnd = (): void => {
          done();
          reject(new Error(this.#failure(batch, expected.results)));
        };
        stdout.on('data', onData).on('end', onEnd);
      });
    } finally {
      clearTimeout(timeout);
    }
  }

  #failure(batch: Batch, results: number): string {
    // Results come in blocks: the run that did it is one of those not answered.
    const words = batch.programs[batch.runs[results]?.program ?? 0]?.words ?? [];
    const text = words.map((word) => disassemble(word, 0n)).join('; ');
    return `${QEMU} ended with ${this.#child.exitCode ?? this.#child.signalCode} after ${results} results, at or after ${text} ${this.#stderr}`;
  }

  async close(): Promise<void> {
    this.#child.stdin.end();
    if (this.#child.exitCode === null && this.#child.signalCode === null) await once(this.#child, 'close');
    rmSync(this.#folder, { recursive: true });
  }
}

/** Finds the end of a number of results in a stream. */
class Scanner {
  readonly #runs: number;
  #bytes = new Uint8Array(1 << 16);
  #length = 0;
  #next = 0;
  results = 0;

  constructor(runs: number) {
    this.#runs = runs;
  }

  /** All the results, when they have arrived. */
  push(chunk: Uint8Array): Uint8Array | undefined {
    if (this.#length + chunk.length > this.#bytes.length) {
      const larger = new Uint8Array(2 * (this.#length + chunk.length));
      larger.set(this.#bytes);
      this.#bytes = larger;
    }
    this.#bytes.set(chunk, this.#length);
    this.#length += chunk.length;
    const view = new DataView(this.#bytes.buffer);
    while (this.results < this.#runs) {
      if (this.#next + RESULT.headerBytes > this.#length) return undefined;
      const changes = view.getUint32(this.#next + RESULT.changes, true);
      const end = this.#next + RESULT.headerBytes + RESULT.changeBytes * changes;
      if (end > this.#length) return undefined;
      this.#next = end;
      this.results++;
    }
    return this.#bytes.subarray(0, this.#length);
  }
}
