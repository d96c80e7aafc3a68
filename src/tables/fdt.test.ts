import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import fc from 'fast-check';
import { InvariantError } from '../base/index.js';
import { cells64, type DtNode, type DtValue } from '../bus/index.js';
import { decodeFdt } from './fdt-decoder.js';
import { encodeFdt } from './fdt.js';

const hasDtc = spawnSync('dtc', ['--version']).status === 0;

const EXAMPLE: DtNode = {
  name: '',
  properties: { '#address-cells': { cells: [2] }, '#size-cells': { cells: [1] }, compatible: ['a,b', 'c'] },
  children: [
    {
      name: 'intc@1000',
      label: 'gic',
      properties: {
        reg: { cells: [...cells64(0x1000), 0x100] },
        'interrupt-controller': true,
        '#interrupt-cells': { cells: [1] },
        '#address-cells': { cells: [0] },
      },
    },
    {
      name: 'uart@123456789a',
      label: 'nobody-refers-to-me',
      properties: {
        reg: { cells: [...cells64(0x12_3456_789a), 4] },
        'interrupt-parent': { cells: [{ phandle: 'gic' }] },
        interrupts: { cells: [7] },
        blob: { bytes: Uint8Array.of(1, 2, 3) },
      },
    },
  ],
};

test('header: magic, version 17, last compatible 16, boot CPU (Devicetree Specification v0.4 5.2)', () => {
  const blob = encodeFdt(EXAMPLE, { bootCpu: 3 });
  const view = new DataView(blob.buffer);
  assert.equal(view.getUint32(0), 0xd00dfeed);
  assert.equal(view.getUint32(4), blob.length);
  assert.equal(view.getUint32(20), 17);
  assert.equal(view.getUint32(24), 16);
  assert.equal(view.getUint32(28), 3);
});

test('memory reservation block lists the ranges and ends with a zero entry (5.3)', () => {
  const { reservations } = decodeFdt(
    encodeFdt(EXAMPLE, { reservations: [{ address: 0x1_4000_0000, sizeBytes: 0x1000 }] }),
  );
  assert.deepEqual(reservations, [{ address: 0x1_4000_0000n, sizeBytes: 0x1000n }]);
});

test('values: flag, string list, cells and bytes in their encodings (2.2.4)', () => {
  const { root } = decodeFdt(encodeFdt(EXAMPLE));
  assert.deepEqual(Buffer.from(root.properties.get('compatible') ?? []), Buffer.from('a,b\0c\0', 'latin1'));
  const [gic, uart] = root.children;
  assert.equal(gic?.properties.get('interrupt-controller')?.length, 0);
  assert.deepEqual(
    [...(uart?.properties.get('reg') ?? [])],
    [0, 0, 0, 0x12, 0x34, 0x56, 0x78, 0x9a, 0, 0, 0, 4],
  );
  assert.deepEqual([...(uart?.properties.get('blob') ?? [])], [1, 2, 3]);
});

test('a label that is referred to becomes a phandle, others do not (2.3.3)', () => {
  const { root } = decodeFdt(encodeFdt(EXAMPLE));
  const [gic, uart] = root.children;
  assert.deepEqual(uart?.properties.get('interrupt-parent'), gic?.properties.get('phandle'));
  assert.deepEqual([...(gic?.properties.get('phandle') ?? [])], [0, 0, 0, 1]);
  assert.equal(uart?.properties.has('phandle'), false);
});

test('padding lies inside totalsize, after the blocks', () => {
  const plain = encodeFdt(EXAMPLE);
  const padded = encodeFdt(EXAMPLE, { paddingBytes: 4096 });
  assert.ok(padded.length >= plain.length + 4088);
  assert.equal(new DataView(padded.buffer).getUint32(4), padded.length);
  assert.deepEqual(decodeFdt(padded), decodeFdt(plain));
});

test('a description that contradicts itself is a bug of ours, not a blob', () => {
  const child = (name: string, label?: string): DtNode =>
    label === undefined ? { name, properties: {} } : { name, label, properties: {} };
  const bad: DtNode[] = [
    { name: 'root', properties: {} },
    { name: '', properties: { a: { cells: [{ phandle: 'nowhere' }] } } },
    {
      name: '',
      properties: { a: { cells: [{ phandle: 'l' }] } },
      children: [child('a', 'l'), child('b', 'l')],
    },
    { name: '', properties: { a: { cells: [2 ** 32] } } },
    { name: '', properties: { a: { cells: [-1] } } },
    { name: '', properties: { a: 'é' } },
    { name: '', properties: { phandle: { cells: [1] } } },
    { name: '', properties: {}, children: [child('a'), child('a')] },
  ];
  for (const root of bad) assert.throws(() => encodeFdt(root), InvariantError);
});

const value: fc.Arbitrary<DtValue> = fc.oneof(
  fc.constant(true as const),
  fc.stringMatching(/^[ -~]{0,12}$/),
  fc.array(fc.stringMatching(/^[ -~]{0,6}$/), { minLength: 1, maxLength: 4 }),
  fc.record({ cells: fc.array(fc.nat(0xffffffff), { maxLength: 6 }) }),
  fc.record({ bytes: fc.uint8Array({ maxLength: 9 }) }),
);
const nodeName = fc.stringMatching(/^[a-z][a-z0-9,._+-]{0,20}$/);
const properties = fc.dictionary(
  nodeName.filter((name) => name !== 'phandle'),
  value,
  { maxKeys: 5 },
);
const treeOfDepth = (depth: number): fc.Arbitrary<DtNode> =>
  fc.record({
    name: nodeName,
    properties,
    children:
      depth === 0
        ? fc.constant([])
        : fc.uniqueArray(treeOfDepth(depth - 1), { maxLength: 3, selector: (node) => node.name }),
  });

function expectedBytes(value: DtValue): number[] {
  if (value === true) return [];
  if (typeof value === 'string') return [...Buffer.from(`${value}\0`)];
  if ('bytes' in value) return [...value.bytes];
  if ('cells' in value) {
    const buffer = Buffer.alloc(4 * value.cells.length);
    value.cells.forEach((cell, index) => buffer.writeUInt32BE(cell as number, 4 * index));
    return [...buffer];
  }
  return [...Buffer.from(value.map((text) => `${text}\0`).join(''))];
}

interface Plain {
  name: string;
  properties: [string, number[]][];
  children: Plain[];
}

test('any tree reads back the same through an independent reader', () => {
  const expected = (node: DtNode): Plain => ({
    name: node.name,
    properties: Object.entries(node.properties).map(([key, value]) => [key, expectedBytes(value)]),
    children: (node.children ?? []).map(expected),
  });
  const actual = (node: ReturnType<typeof decodeFdt>['root']): Plain => ({
    name: node.name,
    properties: [...node.properties].map(([key, bytes]) => [key, [...bytes]]),
    children: node.children.map(actual),
  });
  fc.assert(
    fc.property(treeOfDepth(3), (node) => {
      const root = { ...node, name: '' };
      assert.deepEqual(actual(decodeFdt(encodeFdt(root)).root), expected(root));
    }),
    { seed: 20_260_101, numRuns: 150 },
  );
});

test('the reader refuses truncated blobs', () => {
  const blob = encodeFdt(EXAMPLE);
  for (let length = 0; length < blob.length; length += 1) {
    assert.throws(() => decodeFdt(blob.subarray(0, length)), Error);
  }
});

test('dtc reads the blob and writes the same content back', { skip: !hasDtc && 'no dtc' }, () => {
  const blob = encodeFdt(EXAMPLE, { reservations: [{ address: 0x8000_0000, sizeBytes: 0x1000 }] });
  const { status, stdout, stderr } = spawnSync('dtc', ['-I', 'dtb', '-O', 'dtb', '-'], { input: blob });
  assert.equal(status, 0, stderr.toString());
  assert.deepEqual(decodeFdt(Uint8Array.from(stdout)), decodeFdt(blob));
});
