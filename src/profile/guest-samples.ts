/**
 * Samples of where the guest was, with functions by name. What no symbol names is called by the address where it starts, as
 * far as code tells: the target of the call that led there, or the nearest place before where a function makes its frame
 * record. Else by the page.
 */
import { hex } from '../base/index.js';
import type { CallTree } from './call-tree.js';
import type { Named, SymbolTable } from './symbols.js';

/** A stack of the guest's; `GuestStack` of the processors is one. */
export interface GuestPoint {
  readonly cpu: number;
  readonly exceptionLevel: number;
  /** What the lower half of addresses is translated by. */
  readonly space: bigint;
  readonly pc: bigint;
  /** What may be the call of the innermost function: that before the address in X30. */
  readonly link: bigint;
  /** Call instructions, the innermost first. */
  readonly calls: readonly bigint[];
}

/** The instruction at an address, where there is one. */
type CodeReader = (address: bigint) => number | undefined;

/** A call from one place, or a place of the guest's. */
interface Place {
  readonly address: bigint | undefined;
  /** In the tree of names. */
  readonly node: number;
  readonly calls: Map<bigint, Place>;
  /** Places within what is called, by PC and X30. */
  readonly leaves: Map<bigint, Map<bigint, number>>;
}

const PAGE_BYTES = 4096n;
/** A call's target this far before an address is not in the same function. */
const MAX_FUNCTION_BYTES = 0x4000n;
const INSTRUCTION_BYTES = 4n;

/** `STP X29, X30, [SP, #-n]!`, and with an offset; `SUB SP, SP, #n`; `PACIASP`, `BTI C`. DDI0487 C6.2. */
const isRecordPushed = (word: number): boolean => (word & 0xffc0_7fff) >>> 0 === 0xa980_7bfd;
const isRecordStored = (word: number): boolean => (word & 0xffc0_7fff) >>> 0 === 0xa900_7bfd;
const isStackExtended = (word: number): boolean => (word & 0xff80_03ff) >>> 0 === 0xd100_03ff;
const isLandingPad = (word: number): boolean => word === 0xd503_233f || word === 0xd503_245f;
const isDirectCall = (word: number): boolean => word >>> 26 === 0b100101;
const isIndirectCall = (word: number): boolean => (word & 0xffff_fc1f) >>> 0 === 0xd63f_0000;
/** Instructions between `SUB SP` and where the record is stored, at the most. */
const MAX_PROLOGUE = 4;

export class GuestSamples {
  /** Nodes of the tree, host time in nanoseconds, instructions since the sample before. */
  readonly nodes: number[] = [];
  readonly timesNs: number[] = [];
  readonly instructions: number[] = [];
  /** What a node is called where its stack isn't shown. */
  readonly labels = new Map<number, string>();
  readonly #tree: CallTree;
  readonly #symbols: readonly SymbolTable[];
  readonly #code: CodeReader;
  readonly #hasManyCpus: boolean;
  readonly #roots = new Map<string, Place>();
  #counted = 0;

  constructor(
    tree: CallTree,
    symbols: readonly SymbolTable[] = [],
    code: CodeReader = () => undefined,
    hasManyCpus = false,
  ) {
    this.#tree = tree;
    this.#symbols = symbols;
    this.#code = code;
    this.#hasManyCpus = hasManyCpus;
  }

  /** `instructions`: executed so far; left out, the sample counts for time alone. */
  add(point: GuestPoint, timeNs: number, instructions = this.#counted): void {
    this.nodes.push(this.#nodeOf(point));
    this.timesNs.push(timeNs);
    this.instructions.push(instructions - this.#counted);
    this.#counted = instructions;
  }

  /** The symbol that covers an address. */
  symbol(address: bigint): Named | undefined {
    for (const table of this.#symbols) {
      const found = table.find(address);
      if (found) return found;
    }
    return undefined;
  }

  #nodeOf({ cpu, exceptionLevel, space, pc, link, calls }: GuestPoint): number {
    const level = `EL${exceptionLevel}${exceptionLevel === 0 ? ` ${hex(space)}` : ''}`;
    const key = `${cpu} ${level} ${space}`;
    let place = this.#roots.get(key);
    if (!place) {
      const root = this.#hasManyCpus ? this.#tree.child(0, `CPU ${cpu}`) : 0;
      place = this.#place(undefined, this.#tree.child(root, level));
      this.#roots.set(key, place);
    }
    for (let i = calls.length - 1; i >= 0; i--) place = this.#call(place, calls[i]!);
    const known = place.leaves.get(pc)?.get(link);
    if (known !== undefined) return known;
    const node = this.#leaf(place, pc, link);
    this.labels.set(node, `${level} ${this.#tree.name(node)}`);
    const leaves = place.leaves.get(pc) ?? new Map<bigint, number>();
    place.leaves.set(pc, leaves.set(link, node));
    return node;
  }

  #place(address: bigint | undefined, node: number): Place {
    return { address, node, calls: new Map(), leaves: new Map() };
  }

  #call(place: Place, address: bigint): Place {
    let inner = place.calls.get(address);
    if (!inner) {
      inner = this.#place(
        address,
        this.#tree.child(place.node, this.#functionOf(address, place.address).name),
      );
      place.calls.set(address, inner);
    }
    return inner;
  }

  #leaf(place: Place, pc: bigint, link: bigint): number {
    const own = this.#functionOf(pc, place.address);
    const word = link === place.address ? undefined : this.#code(link);
    if (word !== undefined && (isDirectCall(word) || isIndirectCall(word))) {
      // X30 leads to a caller unless the function has made calls itself and comes back from one.
      const caller = this.#call(place, link);
      const called = this.#functionOf(pc, link);
      const callerFunction = this.#functionOf(link, place.address);
      if (called.start !== callerFunction.start) return this.#tree.child(caller.node, called.name);
    }
    return this.#tree.child(place.node, own.name);
  }

  /** The function that `address` is in; `call` is the instruction that has called it. */
  #functionOf(address: bigint, call: bigint | undefined): Named {
    const symbol = this.symbol(address);
    if (symbol) return symbol;
    const target = call === undefined ? undefined : this.#target(call);
    const isCalled = target !== undefined && target <= address && address - target < MAX_FUNCTION_BYTES;
    const start = isCalled ? target : this.#prologueBefore(address);
    if (start !== undefined) return { name: hex(start), start };
    const page = address - (address % PAGE_BYTES);
    return { name: hex(page).replace(/000$/, 'xxx'), start: page };
  }

  /** Where a call instruction leads to, if it tells. */
  #target(call: bigint): bigint | undefined {
    const word = this.#code(call);
    if (word === undefined || !isDirectCall(word)) return undefined;
    return BigInt.asUintN(64, call + BigInt((word << 6) >> 6) * INSTRUCTION_BYTES);
  }

  /** Where on its page the function of `address` starts, if it makes a frame record there. */
  #prologueBefore(address: bigint): bigint | undefined {
    const page = address - (address % PAGE_BYTES);
    for (let at = address; at >= page; at -= INSTRUCTION_BYTES) {
      const word = this.#code(at);
      if (word === undefined) return undefined;
      if (isRecordPushed(word)) return this.#withLandingPad(at);
      if (!isRecordStored(word)) continue;
      for (let i = 1n; i <= MAX_PROLOGUE; i++) {
        const before = at - i * INSTRUCTION_BYTES;
        if (isStackExtended(this.#code(before) ?? 0)) return this.#withLandingPad(before);
      }
    }
    return undefined;
  }

  #withLandingPad(start: bigint): bigint {
    const before = start - INSTRUCTION_BYTES;
    return isLandingPad(this.#code(before) ?? 0) ? before : start;
  }
}
