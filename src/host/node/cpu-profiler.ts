/** V8's sampling profiler of this thread: it sees WebAssembly and TypeScript alike, and costs nothing until it is started. */
import { Session } from 'node:inspector/promises';
import { nodeLoop } from './event-loop.js';

/** Between two samples. */
const INTERVAL_US = 500;
const NS_PER_US = 1000;

/** What V8 saw, with times by the clock of `nodeLoop`. */
export interface CpuSamples {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
    readonly children?: readonly number[] | undefined;
  }[];
  readonly samples: readonly number[];
  readonly timesNs: readonly number[];
  readonly endNs: number;
}

export class CpuProfiler {
  readonly #session = new Session();

  static async start(): Promise<CpuProfiler> {
    const profiler = new CpuProfiler();
    profiler.#session.connect();
    await profiler.#session.post('Profiler.enable');
    await profiler.#session.post('Profiler.setSamplingInterval', { interval: INTERVAL_US });
    await profiler.#session.post('Profiler.start');
    return profiler;
  }

  async stop(): Promise<CpuSamples> {
    const { profile } = await this.#session.post('Profiler.stop');
    this.close();
    const { nodes, startTime, endTime, samples = [], timeDeltas = [] } = profile;
    // Both clocks are the system's monotonic one, each with an origin of its own.
    const originNs = Number(process.hrtime.bigint()) - nodeLoop.nowNs();
    let time = startTime;
    const timesNs = timeDeltas.map((delta) => (time += delta) * NS_PER_US - originNs);
    return { nodes, samples, timesNs, endNs: endTime * NS_PER_US - originNs };
  }

  /** Ends it without a result. */
  close(): void {
    this.#session.disconnect();
  }
}
