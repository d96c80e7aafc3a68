/** What the host was doing in a sample of V8's profiler: frames of the core module, of translated code, of ours. */
import { regionAddress } from '../base/index.js';

/** What V8 calls a node of a profile (Chrome DevTools Protocol, `Profiler.ProfileNode`). */
export interface HostNode {
  readonly id: number;
  readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
  readonly children?: readonly number[] | undefined;
}

/** A profile of the host's, in the host's nanoseconds. */
export interface HostSamples {
  readonly nodes: readonly HostNode[];
  /** The node of each sample, and when it was taken. */
  readonly samples: readonly number[];
  readonly timesNs: readonly number[];
  readonly endNs: number;
}

/** In the order of a summary. */
export const KINDS = [
  'interpreted',
  'translated',
  'helpers',
  'devices',
  'decoding',
  'translating',
  'run loop',
  'starting',
  'garbage collection',
  'profiling',
  'idle',
  'other',
] as const;
export type Kind = (typeof KINDS)[number];

export interface HostState {
  readonly kind: Kind;
  /** The function or the device. */
  readonly detail: string;
  /** The guest waits for what is done, as it executes an instruction. */
  readonly isGuest: boolean;
}

const DEVICE_FOLDERS: ReadonlySet<string> = new Set([
  'devices',
  'boards',
  'bus',
  'net',
  'tables',
  'firmware',
]);
const LOOP_FOLDERS: ReadonlySet<string> = new Set(['vm', 'cli']);
const PROFILER = /^(?:vm\/profiler|cpu\/guest-stack|host\/node\/cpu-profiler|profile\/.*)$/;
/** Functions of the engine; those that are not here belong to what calls them. */
const ENGINE: readonly (readonly [names: RegExp, kind: Kind])[] = [
  [/^#?(?:decode|makeCodePage)$/, 'decoding'],
  [/^#?(?:device|external|firmwareCall|setIrq|setFiq)/, 'devices'],
  [/^run$/, 'run loop'],
];

/** The file of ours that a URL is, below the folder of sources or of compiled code, without its extension. */
export function ownFile(url: string): string | undefined {
  return /^.*\/(?:src|dist)\/((?:host\/)?[a-z]+\/[\w/-]+)\.[jt]s$/.exec(url)?.[1];
}

const WASM = 'wasm://';

function isRegion(functionName: string): boolean {
  return regionAddress(functionName) !== undefined;
}

/** Of a frame alone; undefined for what works for its caller. */
function kindOfFrame({ functionName, url }: HostNode['callFrame']): Kind | 'handler' | undefined {
  if (url.startsWith(WASM)) {
    if (functionName === 'run') return 'interpreted';
    if (functionName === 'runTranslated' || isRegion(functionName)) return 'translated';
    // Handlers are called as instructions are, functions of the core module as functions are.
    return /^[A-Z]/.test(functionName) ? 'handler' : 'helpers';
  }
  if (functionName === '(idle)') return 'idle';
  if (functionName === '(garbage collector)') return 'garbage collection';
  const file = ownFile(url);
  if (file === undefined) return undefined;
  if (PROFILER.test(file)) return 'profiling';
  if (/^(?:cpu|vm)\/translat/.test(file)) return 'translating';
  if (file === 'cpu/wasm-engine') return ENGINE.find(([names]) => names.test(functionName))?.[1];
  const [folder = ''] = file.split('/');
  if (DEVICE_FOLDERS.has(folder)) return 'devices';
  return LOOP_FOLDERS.has(folder) ? 'run loop' : undefined;
}

/** What is done in `stack`, the innermost frame first. */
export function hostState(stack: readonly HostNode['callFrame'][]): HostState {
  const isGuest = stack.some(({ url }) => url.startsWith(WASM));
  const detail = stack[0]?.functionName ?? '';
  for (const frame of stack) {
    const kind = kindOfFrame(frame);
    if (kind === undefined) continue;
    if (kind === 'handler') {
      const isCalled = stack.some(({ functionName }) => isRegion(functionName));
      return { kind: isCalled ? 'helpers' : 'interpreted', detail, isGuest };
    }
    if (kind === 'devices') {
      return { kind, detail: (ownFile(frame.url) ?? '').replace(/^.*\//, ''), isGuest };
    }
    if (kind === 'translated') return { kind, detail: isRegion(detail) ? '' : detail, isGuest };
    return { kind, detail, isGuest };
  }
  return { kind: 'other', detail, isGuest };
}
