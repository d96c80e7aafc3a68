import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { CallTree } from './call-tree.js';
import { GuestSamples } from './guest-samples.js';
import type { GuestPoint } from './guest-samples.js';
import { SymbolTable } from './symbols.js';

const NOP = 0xd503_201f;
const BLR_X8 = 0xd63f_0100;
const STP_PUSH = 0xa9be_7bfd;
const STP_STORE = 0xa900_7bfd;
const SUB_SP = 0xd101_03ff;
const PACIASP = 0xd503_233f;
const bl = (from: bigint, to: bigint): number =>
  (0x9400_0000 | (Number((to - from) / 4n) & 0x3ff_ffff)) >>> 0;

const POINT: GuestPoint = { cpu: 0, exceptionLevel: 1, space: 0n, pc: 0n, link: 0n, calls: [] };

/** The stack that is made of `point`, with these words in memory. */
function stackOf(
  point: Partial<GuestPoint>,
  code: ReadonlyMap<bigint, number> = new Map(),
  { symbols = '', hasManyCpus = false } = {},
): string[] {
  const tree = new CallTree();
  const tables = symbols === '' ? [] : [SymbolTable.parse(new TextEncoder().encode(symbols), 'list')];
  const samples = new GuestSamples(tree, tables, (address) => code.get(address) ?? NOP, hasManyCpus);
  samples.add({ ...POINT, ...point }, 0, 100);
  return tree.stack(samples.nodes[0]!).map((name) => tree.names[name]!);
}

describe('a stack of the guest', () => {
  const symbols = ['0000000000001000 T outer', '0000000000002000 T inner', '0000000000003000 T leaf'].join(
    '\n',
  );

  test('has the exception level, processes apart, and CPUs where there are several', () => {
    assert.deepEqual(stackOf({ pc: 0x2010n }, new Map(), { symbols }), ['EL1', 'inner']);
    assert.deepEqual(stackOf({ pc: 0x2010n, exceptionLevel: 0, space: 0x4000n }, new Map(), { symbols }), [
      'EL0 0x4000',
      'inner',
    ]);
    const many = { symbols, hasManyCpus: true };
    assert.deepEqual(stackOf({ pc: 0x2010n, cpu: 2 }, new Map(), many), ['CPU 2', 'EL1', 'inner']);
  });

  test('has calls by their symbols, the outermost first', () => {
    const point = { pc: 0x3004n, calls: [0x2010n, 0x1010n] };
    assert.deepEqual(stackOf(point, new Map(), { symbols }), ['EL1', 'outer', 'inner', 'leaf']);
  });

  test('has the caller of a function without a frame record, which X30 leads to', () => {
    const code = new Map([[0x2010n, bl(0x2010n, 0x3000n)]]);
    const point = { pc: 0x3004n, link: 0x2010n, calls: [0x1010n] };
    assert.deepEqual(stackOf(point, code, { symbols }), ['EL1', 'outer', 'inner', 'leaf']);
  });

  test('has it once where there is a record, and not where X30 is that of a call that has returned', () => {
    const code = new Map([[0x2010n, BLR_X8]]);
    const recorded = { pc: 0x3004n, link: 0x2010n, calls: [0x2010n, 0x1010n] };
    assert.deepEqual(stackOf(recorded, code, { symbols }), ['EL1', 'outer', 'inner', 'leaf']);
    const returned = { pc: 0x2020n, link: 0x2010n, calls: [0x1010n] };
    assert.deepEqual(stackOf(returned, code, { symbols }), ['EL1', 'outer', 'inner']);
  });

  test('has nothing for an X30 that is no return address', () => {
    const point = { pc: 0x3004n, link: 0x2010n, calls: [0x1010n] };
    assert.deepEqual(stackOf(point, new Map(), { symbols }), ['EL1', 'outer', 'leaf']);
  });
});

describe('a function without a symbol', () => {
  test('starts at the target of the call that led there', () => {
    const code = new Map([
      [0x1010n, bl(0x1010n, 0x2040n)],
      [0x2000n, STP_PUSH],
    ]);
    assert.equal(stackOf({ pc: 0x2080n, calls: [0x1010n] }, code).at(-1), '0x2040');
    assert.equal(stackOf({ pc: 0x2080n, link: 0x1010n }, code).at(-1), '0x2040');
  });

  test('is not the target of a call that went on elsewhere', () => {
    const code = new Map([
      [0x1010n, bl(0x1010n, 0x2040n)],
      [0x2000n, STP_PUSH],
    ]);
    assert.equal(stackOf({ pc: 0x2010n, calls: [0x1010n] }, code).at(-1), '0x2000');
    assert.equal(stackOf({ pc: 0x8010n, calls: [0x1010n] }, code).at(-1), '0x8xxx');
  });

  test('starts where the frame record is made', () => {
    assert.equal(stackOf({ pc: 0x2080n }, new Map([[0x2010n, STP_PUSH]])).at(-1), '0x2010');
    const landing = new Map([
      [0x200cn, PACIASP],
      [0x2010n, STP_PUSH],
    ]);
    assert.equal(stackOf({ pc: 0x2080n }, landing).at(-1), '0x200c');
    const large = new Map([
      [0x2008n, SUB_SP],
      [0x2010n, STP_STORE],
    ]);
    assert.equal(stackOf({ pc: 0x2080n }, large).at(-1), '0x2008');
  });

  test('is called by its page where nothing tells', () => {
    assert.equal(stackOf({ pc: 0xffff_8000_1234_5678n }).at(-1), '0xffff800012345xxx');
  });
});
