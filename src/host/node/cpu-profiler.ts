/** V8's sampling profiler of this thread: it sees WebAssembly and TypeScript alike, and costs nothing until it is started. */
import { existsSync, readFileSync } from 'node:fs';
import { Session } from 'node:inspector/promises';
import { SourceMap } from 'node:module';
import type { SourceMapPayload } from 'node:module';
import { fileURLToPath } from 'node:url';
import { nodeLoop } from './event-loop.js';

/** Between two samples. */
const INTERVAL_US = 500;
const NS_PER_US = 1000;

interface CallFrame {
  readonly functionName: string;
  /** Of the source, where a map beside the compiled file leads there. */
  readonly url: string;
  readonly lineNumber: number;
  readonly columnNumber: number;
}

/** What V8 saw, with times by the clock of `nodeLoop`. */
export interface CpuSamples {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: CallFrame;
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
    const { startTime, endTime, samples = [], timeDeltas = [] } = profile;
    const sources = new Sources();
    const nodes = profile.nodes.map((node) => ({ ...node, callFrame: sources.find(node.callFrame) }));
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

/** Where functions come from: the command is one file, made of many. */
class Sources {
  readonly #maps = new Map<string, SourceMap | undefined>();

  find(frame: CallFrame): CallFrame {
    const { url, lineNumber, columnNumber } = frame;
    if (!url.startsWith('file:')) return frame;
    if (!this.#maps.has(url)) this.#maps.set(url, mapBeside(fileURLToPath(url)));
    const entry = this.#maps.get(url)?.findEntry(lineNumber, columnNumber);
    if (!entry || !('originalSource' in entry)) return frame;
    const { originalSource, originalLine, originalColumn } = entry;
    return {
      ...frame,
      ...{ url: new URL(originalSource, url).href, lineNumber: originalLine, columnNumber: originalColumn },
    };
  }
}

function mapBeside(path: string): SourceMap | undefined {
  const map = `${path}.map`;
  return existsSync(map)
    ? new SourceMap(JSON.parse(readFileSync(map, 'utf8')) as SourceMapPayload)
    : undefined;
}
