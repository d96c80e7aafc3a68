/**
 * The profiler of a machine: where the guest is, looked at between slices of execution, and what the host does, from V8's
 * own profiler, which cannot see into the interpreter. A sample of the host's belongs to the sample of the guest that comes
 * next, a fraction of a millisecond later.
 */
import type { GuestStackReader } from '../cpu/guest-stack.js';
import { PAGE_SIZE } from '../cpu/layout.js';
import type { Sampler } from '../cpu/wasm-engine.js';
import { CpuProfiler } from '../host/node/cpu-profiler.js';
import { readInputFile } from '../host/node/input-file.js';
import { CallTree } from '../profile/call-tree.js';
import { GuestSamples } from '../profile/guest-samples.js';
import type { Profile } from '../profile/report.js';
import { makeProfile } from '../profile/report.js';
import { SymbolTable } from '../profile/symbols.js';
import type { MonotonicClock } from './clock.js';
import type { ProfileOptions } from './profile-options.js';

/**
 * Instructions between two samples of the guest, on average: less than half a millisecond. Distances vary, so that loops
 * of a similar length don't hide; they follow from the samples before, so that runs repeat.
 */
const MEAN_DISTANCE = 40_000;

/**
 * Code that is new takes a hundred times as long as other code: where so much time has passed since the last sample, there is
 * another one between. The clock is looked at after so many words.
 */
const LONGEST_DECODING_NS = 250_000;
const DECODED_WORDS = 16;

export class Profiler {
  readonly #tree = new CallTree();
  readonly #symbols: readonly SymbolTable[];
  readonly #clock: MonotonicClock;
  readonly #host: CpuProfiler;
  readonly #pages = new Map<number, bigint>();
  #guest: GuestSamples | undefined;
  #random = 1;

  private constructor(symbols: readonly SymbolTable[], clock: MonotonicClock, host: CpuProfiler) {
    this.#symbols = symbols;
    this.#clock = clock;
    this.#host = host;
  }

  /**
   * Starts to profile this thread. `close` it, or `take` the result.
   *
   * @throws UserError for a file of symbols that has none.
   */
  static async start({ symbols = [] }: ProfileOptions, clock: MonotonicClock): Promise<Profiler> {
    const tables = symbols.map(({ file, offset }) =>
      SymbolTable.parse(readInputFile('symbols', file), `symbols ${file}`, offset),
    );
    return new Profiler(tables, clock, await CpuProfiler.start());
  }

  /** What the engine calls; `reader` looks at its CPUs. */
  samplerOf(reader: GuestStackReader, hasManyCpus: boolean): Sampler {
    const code = (address: bigint): number | undefined => reader.word(address);
    const guest = new GuestSamples(this.#tree, this.#symbols, code, hasManyCpus);
    this.#guest = guest;
    let lastNs = 0;
    let decoded = 0;
    return {
      decoded: (hostAddress) => {
        if (++decoded % DECODED_WORDS !== 0) return;
        const nowNs = this.#clock.nowNs();
        if (nowNs - lastNs < LONGEST_DECODING_NS) return;
        lastNs = nowNs;
        guest.add(reader.read(hostAddress), nowNs);
      },
      sample: (instructions) => {
        lastNs = this.#clock.nowNs();
        const stack = reader.read();
        guest.add(stack, lastNs, instructions);
        const at = reader.hostAddress(stack.pc);
        if (at !== undefined) this.#pages.set(at - (at % PAGE_SIZE), stack.pc - BigInt(at % PAGE_SIZE));
        return instructions + this.#distance();
      },
    };
  }

  #distance(): number {
    // xorshift32
    this.#random ^= this.#random << 13;
    this.#random ^= this.#random >>> 17;
    this.#random ^= this.#random << 5;
    return MEAN_DISTANCE / 2 + ((this.#random >>> 0) % MEAN_DISTANCE);
  }

  /** Ends profiling. `name` is shown in the viewer. */
  async take(name: string): Promise<Profile> {
    const guest = this.#guest ?? new GuestSamples(this.#tree);
    return makeProfile({
      ...{ name, tree: this.#tree, guest },
      host: await this.#host.stop(),
      guestAddress: (hostAddress) => {
        const page = this.#pages.get(hostAddress - (hostAddress % PAGE_SIZE));
        return page === undefined ? undefined : page + BigInt(hostAddress % PAGE_SIZE);
      },
    });
  }

  /** Ends profiling without a result. */
  close(): void {
    this.#host.close();
  }
}
