/** Samples of the guest and of the host, taken side by side, as one profile. */
import { hex, regionAddress } from '../base/index.js';
import type { CallTree } from './call-tree.js';
import type { GuestSamples } from './guest-samples.js';
import type { HostNode, HostSamples, HostState, Kind } from './host-kinds.js';
import { hostState, KINDS, ownFile } from './host-kinds.js';
import { speedscopeFile } from './speedscope.js';

export interface Profile {
  /** A file for speedscope.app. */
  readonly file: string;
  /** The shares of the host's time and the functions at the top, for people: lines of text. */
  readonly summary: readonly string[];
}

export interface ProfileParts {
  readonly name: string;
  readonly tree: CallTree;
  readonly guest: GuestSamples;
  readonly host: HostSamples;
  /** Address in the guest of what the host has at an address, where it is known to be code. */
  readonly guestAddress: (hostAddress: number) => bigint | undefined;
}

const NS_PER_US = 1000;
/** What a summary shows of each kind and of functions. */
const DETAILS = 6;
const FUNCTIONS = 20;
/** The kinds that the time of a guest's function is made of, and what a summary calls them. */
const FUNCTION_KINDS: readonly (readonly [kind: Kind, head: string])[] = [
  ['interpreted', 'interp.'],
  ['translated', 'transl.'],
  ['helpers', 'helpers'],
  ['devices', 'devices'],
  ['decoding', 'decod.'],
];
/** Less than this part of the whole is not worth a place in a line. */
const LEAST_DETAIL = 0.001;

/** Sums by key. */
class Sums<Key> {
  readonly #sums = new Map<Key, number>();
  total = 0;

  add(key: Key, amount: number): void {
    this.#sums.set(key, this.of(key) + amount);
    this.total += amount;
  }

  of(key: Key): number {
    return this.#sums.get(key) ?? 0;
  }

  /** The largest sums. */
  top(count: number): (readonly [key: Key, sum: number])[] {
    return [...this.#sums].sort(([, a], [, b]) => b - a).slice(0, count);
  }
}

export function makeProfile({ name, tree, guest, host, guestAddress }: ProfileParts): Profile {
  const hostNodes = new HostNodes(host.nodes, tree, (address) => {
    const at = guestAddress(address);
    if (at === undefined) return 'translated code';
    const symbol = guest.symbol(at);
    return `translated ${symbol ? `${symbol.name}+${hex(at - symbol.start)}` : hex(at)}`;
  });
  const startNs = guest.timesNs[0] ?? Infinity;
  const guestNodes: number[] = [];
  const ownNodes: number[] = [];
  const weights: number[] = [];
  const kinds = new Sums<Kind>();
  const details = new Map<Kind, Sums<string>>(KINDS.map((kind) => [kind, new Sums()]));
  const functions = new Sums<string>();
  const functionKinds = new Map<string, Sums<Kind>>();
  let next = 0;
  host.samples.forEach((id, index) => {
    const timeNs = host.timesNs[index]!;
    const weight = Math.max(0, (host.timesNs[index + 1] ?? host.endNs) - timeNs) / NS_PER_US;
    const { node: own, state } = hostNodes.at(id);
    const isStarting = !state.isGuest && timeNs < startNs && state.kind !== 'idle';
    const kind = isStarting ? 'starting' : state.kind;
    kinds.add(kind, weight);
    details.get(kind)!.add(state.detail, weight);
    while (guest.timesNs[next]! < timeNs && next < guest.nodes.length - 1) next++;
    const place = state.isGuest ? guest.nodes[next] : undefined;
    if (place !== undefined) {
      const label = guest.labels.get(place)!;
      functions.add(label, weight);
      const of = functionKinds.get(label) ?? new Sums<Kind>();
      functionKinds.set(label, of);
      of.add(kind, weight);
    }
    const hasDetail = kind === 'helpers' || kind === 'devices';
    guestNodes.push(tree.child(place ?? 0, `[${kind}]${hasDetail ? ` ${state.detail}` : ''}`));
    ownNodes.push(own);
    weights.push(weight);
  });
  const instructions = new Sums<string>();
  guest.nodes.forEach((node, index) => {
    instructions.add(guest.labels.get(node)!, guest.instructions[index]!);
  });

  const own = new Sums<string>();
  ownNodes.forEach((node, index) => {
    own.add(tree.name(node) ?? '', weights[index]!);
  });

  const share = (part: number, whole: number): string =>
    (whole === 0 ? '' : ((100 * part) / whole).toFixed(1)).padStart(8);
  const summary = [
    `Profile of ${(kinds.total / 1e6).toFixed(2)} s: ${host.samples.length} samples of the host, ${guest.nodes.length} of the guest`,
    '',
    '% of time',
    ...KINDS.filter((kind) => kinds.of(kind) > 0).map((kind) => {
      const most = details
        .get(kind)!
        .top(DETAILS)
        .filter(([detail, sum]) => /^[^(]/.test(detail) && sum >= kinds.total * LEAST_DETAIL)
        .map(([detail, sum]) => `${detail}${share(sum, kinds.total).replace(/^ +/, ' ')}`);
      return `${share(kinds.of(kind), kinds.total)}  ${kind.padEnd(20)}${most.join(', ')}`.trimEnd();
    }),
    '',
    'Functions of the guest: % of its time and of its instructions, and of what the time is made',
    ['time', 'instr.', ...FUNCTION_KINDS.map(([, head]) => head)].map((head) => head.padStart(8)).join(''),
    ...functions.top(FUNCTIONS).map(([label, sum]) => {
      const of = functionKinds.get(label)!;
      const parts = FUNCTION_KINDS.map(([kind]) => share(of.of(kind), sum)).join('');
      return `${share(sum, functions.total)}${share(instructions.of(label), instructions.total)}${parts}  ${label}`;
    }),
    '',
    'Functions of v8a, and translated code: % of time',
    ...own.top(FUNCTIONS).map(([label, sum]) => `${share(sum, own.total)}  ${label}`),
  ];
  const file = speedscopeFile(name, tree, [
    { name: 'guest, by time', unit: 'microseconds', nodes: guestNodes, weights },
    { name: 'guest, by instructions', unit: 'none', nodes: guest.nodes, weights: guest.instructions },
    { name: 'v8a, by time', unit: 'microseconds', nodes: ownNodes, weights },
  ]);
  return { file, summary };
}

/** The host's nodes as stacks of the tree. */
class HostNodes {
  readonly #parents = new Map<number, HostNode>();
  readonly #byId: ReadonlyMap<number, HostNode>;
  readonly #tree: CallTree;
  readonly #regionText: (hostAddress: number) => string;
  readonly #known = new Map<number, { readonly node: number; readonly state: HostState }>();

  constructor(nodes: readonly HostNode[], tree: CallTree, regionText: (hostAddress: number) => string) {
    this.#byId = new Map(nodes.map((node) => [node.id, node]));
    for (const node of nodes) for (const child of node.children ?? []) this.#parents.set(child, node);
    this.#tree = tree;
    this.#regionText = regionText;
  }

  at(id: number): { readonly node: number; readonly state: HostState } {
    const known = this.#known.get(id);
    if (known) return known;
    const frames: HostNode['callFrame'][] = [];
    // The root is no function.
    for (let at = this.#byId.get(id); at && this.#parents.has(at.id); at = this.#parents.get(at.id))
      frames.push(at.callFrame);
    const node = frames.reduceRight((parent, frame) => this.#tree.child(parent, this.#text(frame)), 0);
    const found = { node, state: hostState(frames) };
    this.#known.set(id, found);
    return found;
  }

  #text({ functionName, url, lineNumber }: HostNode['callFrame']): string {
    const region = regionAddress(functionName);
    if (region !== undefined) return this.#regionText(region);
    const file = ownFile(url) ?? (url.startsWith('node:') ? url : undefined);
    const name = functionName === '' ? '(anonymous)' : functionName;
    return file === undefined ? name : `${name} (${file}:${lineNumber + 1})`;
  }
}
