/** Numbers for a fuzzer: from a seed, and rather those at which things change. */
import { randomSource } from '#v8a/isa/random-encoder.js';

export class Random {
  readonly #next: () => number;

  constructor(seed: number) {
    this.#next = randomSource(seed);
  }

  /** 0 to `limit` - 1. */
  below(limit: number): number {
    return Math.floor((this.#next() / 2 ** 32) * limit);
  }

  /** True once in `times`. */
  oneIn(times: number): boolean {
    return this.below(times) === 0;
  }

  pick<Value>(values: readonly Value[]): Value {
    return values[this.below(values.length)]!;
  }

  /** Some of one value: enough where nobody looks at them. */
  bytes(length: number): Uint8Array {
    return new Uint8Array(length).fill(this.#next() & 0xff);
  }

  /** An unsigned number of so many bits: an edge, a small one, or any. */
  number(bits: 8 | 16 | 32): number {
    const limit = 2 ** bits;
    switch (this.below(4)) {
      case 0:
        return this.pick([0, 1, 2, limit - 1, limit - 2, limit / 2, limit / 2 - 1]);
      case 1:
        return this.below(32);
      case 2:
        return 2 ** this.below(bits);
      default:
        return this.below(limit);
    }
  }
}
