/** The one WebAssembly memory of a machine: engine tables and, behind them, blocks of guest memory. */
import { UserError, invariant } from '../base/index.js';
import { MAX_MEMORY, planMemory } from './layout.js';

export class GuestMemory {
  readonly memory: WebAssembly.Memory;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly view: DataView<ArrayBuffer>;
  readonly #blocks: readonly { readonly at: number; readonly size: number }[];

  /** `sizes`: bytes of each block. The memory is zero, and costs the host nothing until it is touched. */
  constructor(sizes: readonly number[]) {
    const plan = planMemory(sizes);
    if (!plan)
      throw new UserError(
        'memory-too-large',
        `guest memory of ${sizes.reduce((a, b) => a + b, 0)} bytes doesn't fit: at most ${MAX_MEMORY} bytes less about 150 MiB`,
      );
    this.memory = new WebAssembly.Memory({ initial: plan.wasmPages, maximum: plan.wasmPages });
    this.bytes = new Uint8Array(this.memory.buffer);
    this.view = new DataView(this.memory.buffer);
    this.#blocks = plan.blocks.map((at, i) => ({ at, size: sizes[i] ?? 0 }));
  }

  /** Host address of a block. */
  addressOf(block: number): number {
    const entry = this.#blocks[block];
    invariant(entry !== undefined, `no block ${block}`);
    return entry.at;
  }

  /** The bytes of a block, borrowed. */
  block(block: number): Uint8Array<ArrayBuffer> {
    const entry = this.#blocks[block];
    invariant(entry !== undefined, `no block ${block}`);
    return this.bytes.subarray(entry.at, entry.at + entry.size);
  }
}
