/** The rules by which boards' device trees are judged: a tree that follows them, and what is wrong when it doesn't. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DtNode, DtValue } from '../bus/index.js';
import { deviceTreeProblems } from './device-tree-suite.js';
import { decodeFdt } from './fdt-decoder.js';
import { encodeFdt } from './fdt.js';

const cells = (...values: readonly (number | string)[]): DtValue => ({
  cells: values.map((value) => (typeof value === 'string' ? { phandle: value } : value)),
});
const CLOCKED = { clocks: cells('clock'), 'clock-names': 'apb_pclk' };
const node = (name: string, properties: DtNode['properties'], ...children: DtNode[]): DtNode => ({
  name,
  label: name.split('@')[0]!,
  properties,
  children,
});
const cpu = (index: number): DtNode => ({
  ...node(`cpu@${index}`, {
    ...{ device_type: 'cpu', compatible: 'arm,cortex-a57', reg: cells(index), 'enable-method': 'psci' },
  }),
  label: `cpu${index}`,
});
const pin = (slot: number, spi: number): (number | string)[] => [
  ...[slot << 11, 0, 0, 1, 'intc', 0, 0],
  ...[0, spi, 4],
];

/** A machine that is small, and has something of everything. */
const SOUND = node(
  '',
  {
    ...{
      compatible: 'linux,dummy-virt',
      model: 'a machine',
      '#address-cells': cells(2),
      '#size-cells': cells(2),
    },
    'interrupt-parent': cells('intc'),
  },
  node('chosen', {
    ...{ 'stdout-path': 'serial0:115200', bootargs: 'quiet', 'kaslr-seed': cells(0, 1) },
    ...{ 'linux,initrd-start': cells(0, 0x8100_0000), 'linux,initrd-end': cells(0, 0x8100_1000) },
  }),
  node('aliases', { serial0: '/pl011@9000000' }),
  node('memory@80000000', { device_type: 'memory', reg: cells(0, 0x8000_0000, 0, 0x1000_0000) }),
  node(
    'cpus',
    { '#address-cells': cells(1), '#size-cells': cells(0) },
    cpu(0),
    cpu(1),
    node(
      'cpu-map',
      {},
      node(
        'socket0',
        {},
        node('cluster0', {}, node('core0', { cpu: cells('cpu0') }), node('core1', { cpu: cells('cpu1') })),
      ),
    ),
  ),
  node('psci', {
    ...{ compatible: ['arm,psci-0.2', 'arm,psci'], method: 'hvc' },
    ...{ cpu_suspend: cells(0xc400_0001), cpu_off: cells(0x8400_0002), cpu_on: cells(0xc400_0003) },
  }),
  node(
    'intc@8000000',
    {
      ...{ compatible: 'arm,gic-v3', 'interrupt-controller': true, '#interrupt-cells': cells(3) },
      ...{ '#address-cells': cells(2), '#size-cells': cells(2), ranges: true },
      reg: cells(0, 0x800_0000, 0, 0x1_0000, 0, 0x80a_0000, 0, 0x4_0000),
    },
    node('its@8080000', {
      ...{ compatible: 'arm,gic-v3-its', 'msi-controller': true, '#msi-cells': cells(1) },
      reg: cells(0, 0x808_0000, 0, 0x2_0000),
    }),
  ),
  node('timer', {
    ...{ compatible: ['arm,armv8-timer', 'arm,armv7-timer'], 'always-on': true },
    interrupts: cells(1, 13, 4, 1, 14, 4, 1, 11, 4, 1, 10, 4),
  }),
  node('pmu', { compatible: 'arm,armv8-pmuv3', interrupts: cells(1, 7, 4) }),
  node('clock', {
    compatible: 'fixed-clock',
    '#clock-cells': cells(0),
    'clock-frequency': cells(24_000_000),
  }),
  node('pl011@9000000', {
    ...{ compatible: ['arm,pl011', 'arm,primecell'], reg: cells(0, 0x900_0000, 0, 0x1000) },
    ...{ ...CLOCKED, interrupts: cells(0, 1, 4) },
  }),
  node('pl061@9030000', {
    ...{ compatible: ['arm,pl061', 'arm,primecell'], reg: cells(0, 0x903_0000, 0, 0x1000) },
    ...{ ...CLOCKED, interrupts: cells(0, 7, 4), 'gpio-controller': true, '#gpio-cells': cells(2) },
    ...{ 'interrupt-controller': true, '#interrupt-cells': cells(2) },
  }),
  node(
    'gpio-keys',
    { compatible: 'gpio-keys' },
    node('poweroff', { 'linux,code': cells(116), gpios: cells('pl061', 3, 0) }),
  ),
  node('flash@0', { compatible: 'cfi-flash', 'bank-width': cells(4), reg: cells(0, 0, 0, 0x400_0000) }),
  node('pci@40000000', {
    ...{ compatible: 'pci-host-ecam-generic', device_type: 'pci', 'bus-range': cells(0, 0) },
    ...{ '#address-cells': cells(3), '#size-cells': cells(2), '#interrupt-cells': cells(1) },
    reg: cells(0, 0x4000_0000, 0, 0x10_0000),
    ranges: cells(
      ...[0x100_0000, 0, 0, 0, 0x3eff_0000, 0, 0x1_0000],
      ...[0x200_0000, 0, 0x5000_0000, 0, 0x5000_0000, 0, 0x1000_0000],
    ),
    'interrupt-map': cells(...pin(0, 3), ...pin(1, 4)),
    'interrupt-map-mask': cells(0xf800, 0, 0, 7),
    'msi-map': cells(0, 'its', 0, 0x1_0000),
  }),
);

const problemsOf = (tree: DtNode): string[] => deviceTreeProblems(decodeFdt(encodeFdt(tree)).root);

test('nothing is wrong with a tree that follows the rules', () => {
  assert.deepEqual(problemsOf(SOUND), []);
});

/** The tree with another value, or without, or with another name, at a path. */
function changed(
  tree: DtNode,
  path: readonly string[],
  property: string,
  value: DtValue | undefined,
): DtNode {
  const [next, ...rest] = path;
  if (next !== undefined) {
    const { children = [] } = tree;
    assert.ok(
      children.some(({ name }) => name === next),
      next,
    );
    return {
      ...tree,
      children: children.map((child) =>
        child.name === next ? changed(child, rest, property, value) : child,
      ),
    };
  }
  if (property === 'name' && typeof value === 'string') return { ...tree, name: value };
  const properties = { ...tree.properties };
  if (value === undefined) delete properties[property];
  else properties[property] = value;
  return { ...tree, properties };
}

const PIN = pin(0, 3);
/** What is changed, into what, and what is said of it. */
const BROKEN: readonly (readonly [
  path: string,
  property: string,
  value: DtValue | undefined,
  problem: RegExp,
])[] = [
  ['', '#size-cells', undefined, /^\/: #size-cells is missing/],
  ['', 'interrupt-parent', undefined, /^\/timer: interrupt-parent refers to undefined/],
  ['', 'interrupt-parent', cells(99), /^\/timer: interrupt-parent refers to 99, which no node is/],
  [
    '',
    'interrupt-parent',
    cells('clock'),
    /^\/timer: its interrupt parent \/clock is no interrupt controller/,
  ],
  ['', 'serial-number', 'x', /^\/: serial-number is no property of its binding/],
  ['chosen', 'stdout-path', 'serial1', /^\/chosen: stdout-path serial1 is no console/],
  ['chosen', 'stdout-path', '/flash@0', /^\/chosen: stdout-path \/flash@0 is no console/],
  ['chosen', 'linux,initrd-end', cells(1, 0), /^\/chosen: the RAM disk is not in memory/],
  ['chosen', 'linux,initrd-end', cells(0, 0x8100_0000), /^\/chosen: the RAM disk is not in memory/],
  ['chosen', 'kaslr-seed', cells(1), /^\/chosen: kaslr-seed is 4 bytes/],
  ['chosen', 'bootargs', ['two', 'strings'], /^\/chosen: bootargs is 12 bytes/],
  ['aliases', 'serial0', '/pl011', /^\/aliases: serial0 is no alias of a node/],
  ['aliases', 'Serial0', '/pl011@9000000', /^\/aliases: Serial0 is no alias of a node/],
  [
    'memory@80000000',
    'reg',
    cells(0x8000_0000, 0x1000_0000),
    /^\/memory@.*: reg has 2 cells, which are no entries of 4/,
  ],
  ['memory@80000000', 'reg', cells(0, 0x8000_0000, 0, 0), /^\/memory@.*: an empty range/],
  ['memory@80000000', 'reg', cells(0, 0x9000_0000, 0, 1), /^\/memory@.*: the unit address is not 90000000/],
  ['memory@80000000', 'reg', undefined, /^\/memory@.*: a unit address without reg/],
  ['memory@80000000', 'device_type', 'ram', /^\/memory@.*: device_type is not memory/],
  ['memory@80000000', 'name', 'memory@080000000', /^\/memory@080000000: the unit address is not 80000000/],
  ['cpus', '#size-cells', cells(1), /^\/cpus: #size-cells is not 0/],
  [
    'cpus/cpu@1',
    'compatible',
    'arm,arm-v8',
    /^\/cpus\/cpu@1: no binding is known for compatible "arm,arm-v8"/,
  ],
  ['cpus/cpu@1', 'enable-method', undefined, /^\/cpus\/cpu@1: enable-method "" starts no CPU/],
  ['cpus/cpu@1', 'enable-method', 'spin', /^\/cpus\/cpu@1: enable-method "spin" starts no CPU/],
  ['cpus/cpu-map/socket0/cluster0/core1', 'cpu', cells('cpu0'), /^\/cpus: cpu-map is no map of the CPUs/],
  ['psci', 'method', 'svc', /^\/psci: method is svc/],
  ['psci', 'cpu_on', cells(0x8400_0004), /^\/psci: cpu_on is 0x84000004/],
  ['psci', 'cpu_on', undefined, /^\/psci: no cpu_on/],
  ['psci', 'compatible', 'arm,psci-7.0', /^\/psci: no binding is known for compatible "arm,psci-7.0"/],
  ['intc@8000000', 'interrupt-controller', undefined, /^\/intc@8000000: interrupt-controller is missing/],
  ['intc@8000000', 'interrupt-controller', cells(1), /^\/intc@8000000: interrupt-controller is 4 bytes/],
  ['intc@8000000', '#interrupt-cells', cells(2), /^\/timer: interrupt <.*> is none of \/intc@8000000/],
  [
    'intc@8000000',
    '#address-cells',
    cells(1),
    /^\/intc@8000000: empty ranges, but other cells than the parent/,
  ],
  [
    'intc@8000000',
    '#address-cells',
    cells(1),
    /^\/intc@8000000\/its@8080000: reg has 4 cells, which are no entries of 3/,
  ],
  ['intc@8000000', 'reg', cells(0, 0x800_0000, 0, 0x1_0000), /^\/intc@8000000: 1 ranges of reg, not 2/],
  [
    'intc@8000000',
    'reg',
    cells(0, 0x800_0000, 0, 0x1_0000, 0, 0x80a_0000, 0, 0x2_0000),
    /^\/intc@8000000: redistributors for 1 of 2 CPUs/,
  ],
  [
    'intc@8000000',
    '#redistributor-regions',
    cells(2),
    /^\/intc@8000000: fewer than 2 regions of redistributors/,
  ],
  ['intc@8000000/its@8080000', '#msi-cells', cells(0), /its@8080000: #msi-cells is not 1/],
  [
    'intc@8000000/its@8080000',
    'msi-controller',
    undefined,
    /^\/pci@.*: msi-map leads to .*its@8080000, which is none/,
  ],
  [
    'timer',
    'interrupts',
    cells(1, 13, 4, 1, 14),
    /^\/timer: interrupts has 5 cells, which are no entries of 3/,
  ],
  ['timer', 'interrupts', cells(1, 13, 4), /^\/timer: 1 interrupts, not 4 to 5/],
  ['pmu', 'interrupts', cells(2, 7, 4), /^\/pmu: interrupt <0x2 0x7 0x4> is none of/],
  ['pmu', 'interrupts', cells(1, 16, 4), /^\/pmu: interrupt <0x1 0x10 0x4> is none of/],
  ['pmu', 'interrupts', cells(1, 7, 0x304), /^\/pmu: interrupt <0x1 0x7 0x304> is none of/],
  ['pmu', 'interrupts', cells(1, 7, 3), /^\/pmu: interrupt <0x1 0x7 0x3> is none of/],
  ['pmu', 'interrupts', cells(1, 13, 4), /^\/pmu: has interrupt <0x1 0xd> of \/timer/],
  ['clock', '#clock-cells', cells(1), /^\/pl011@9000000: clocks ends early/],
  ['clock', 'clock-frequency', cells(0, 1), /^\/clock: clock-frequency is 8 bytes/],
  [
    'pl011@9000000',
    'clocks',
    cells('timer'),
    /^\/pl011@9000000: clocks refers to \/timer, without #clock-cells/,
  ],
  ['pl011@9000000', 'clock-names', ['uartclk', 'apb_pclk'], /^\/pl011@9000000: 2 names for 1 clocks/],
  ['pl011@9000000', 'interrupts', cells(0, 1, 2), /^\/pl011@9000000: interrupt <0x0 0x1 0x2> is none of/],
  [
    'pl011@9000000',
    'interrupts',
    cells(0, 3, 4),
    /^\/pci@40000000: has interrupt <0x0 0x3> of \/pl011@9000000/,
  ],
  ['pl011@9000000', 'reg', cells(0, 0x900_0000, 0, 0x3_1000), /^\/pl011@9000000: overlaps \/pl061@9030000/],
  ['pl061@9030000', '#gpio-cells', cells(3), /^\/gpio-keys\/poweroff: gpios ends early/],
  [
    'pl061@9030000',
    'gpio-controller',
    undefined,
    /poweroff: gpios refers to \/pl061@9030000, without gpio-controller/,
  ],
  ['flash@0', 'bank-width', cells(3), /^\/flash@0: bank-width is 3/],
  ['flash@0', 'label', { bytes: Uint8Array.of(0x41) }, /^\/flash@0: label is 1 bytes/],
  ['pci@40000000', 'device_type', undefined, /^\/pci@40000000: device_type is missing/],
  ['pci@40000000', 'bus-range', cells(0, 1), /^\/pci@40000000: no room for buses 0 to 1 in reg/],
  [
    'pci@40000000',
    'ranges',
    cells(0x100_0000, 0, 0, 0, 0, 1),
    /^\/pci@40000000: ranges has 6 cells, which are no entries of 7/,
  ],
  [
    'pci@40000000',
    'ranges',
    cells(0, 0, 0x5000_0000, 0, 0x5000_0000, 0, 1),
    /^\/pci@40000000: ranges has 0x0 for a space/,
  ],
  [
    'pci@40000000',
    'ranges',
    cells(0x200_0000, 0, 0xf000_0000, 0, 0x5000_0000, 0, 0x1000_0001),
    /^\/pci@40000000: a range of 32-bit memory ends at 0x100000001/,
  ],
  [
    'pci@40000000',
    'ranges',
    cells(
      ...[0x200_0000, 0, 0x5000_0000, 0, 0x5000_0000, 0, 0x1000],
      ...[0x300_0000, 0, 0x5000_0fff, 0, 0x6000_0000, 0, 0x1000],
    ),
    /^\/pci@40000000: ranges overlap at 0x50000fff of the bus/,
  ],
  [
    'pci@40000000',
    'ranges',
    cells(0x200_0000, 0, 0x5000_0000, 0, 0x7fff_f000, 0, 0x2000),
    /^\/pci@40000000: overlaps \/memory@80000000/,
  ],
  [
    'pci@40000000',
    'interrupt-map',
    cells(...PIN.slice(0, -1)),
    /^\/pci@40000000: interrupt-map ends in the middle/,
  ],
  [
    'pci@40000000',
    'interrupt-map',
    cells(...PIN, ...PIN),
    /^\/pci@40000000: interrupt-map has <0x0 0x0 0x0 0x1> twice/,
  ],
  [
    'pci@40000000',
    'interrupt-map',
    cells(1, ...PIN.slice(1)),
    /^\/pci@40000000: interrupt-map has <0x1 0x0 0x0 0x1>, which its mask/,
  ],
  [
    'pci@40000000',
    'interrupt-map',
    cells(...PIN.slice(0, 4), 'flash'),
    /^\/pci@40000000: interrupt-map leads to \/flash@0/,
  ],
  [
    'pci@40000000',
    'interrupt-map',
    cells(...PIN.slice(0, 5), 0, 1, 0, 3, 4),
    /^\/pci@40000000: interrupt-map names a unit/,
  ],
  [
    'pci@40000000',
    'interrupt-map',
    cells(...PIN.slice(0, 9), 2),
    /^\/pci@40000000: interrupt <0x0 0x3 0x2> is none of/,
  ],
  [
    'pci@40000000',
    'interrupt-map-mask',
    cells(0xf800, 0, 7),
    /^\/pci@40000000: interrupt-map-mask has 3 cells, not 4/,
  ],
  [
    'pci@40000000',
    'msi-map',
    cells(0, 'its', 0),
    /^\/pci@40000000: msi-map has 3 cells, which are no entries of 4/,
  ],
  ['pci@40000000', 'msi-map', cells(0, 'its', 0, 0xff), /^\/pci@40000000: msi-map lacks bus 0/],
  ['pci@40000000', 'msi-parent', cells('its'), /^\/pci@40000000: msi-parent ends early/],
];

for (const [path, property, value, problem] of BROKEN) {
  const shown = value === undefined ? 'left out' : JSON.stringify(value).slice(0, 60);
  test(`/${path}, ${property} ${shown}: ${problem.source}`, () => {
    const problems = problemsOf(changed(SOUND, path === '' ? [] : path.split('/'), property, value));
    assert.ok(
      problems.some((line) => problem.test(line)),
      problems.length > 0 ? problems.join('\n') : 'no problem is found',
    );
  });
}

test('a phandle that two nodes have', () => {
  const { root } = decodeFdt(encodeFdt(SOUND));
  const children = root.children.map((child) =>
    child.name === 'psci'
      ? { ...child, properties: new Map([...child.properties, ['phandle', Uint8Array.of(0, 0, 0, 1)]]) }
      : child,
  );
  assert.ok(deviceTreeProblems({ ...root, children }).some((line) => / phandle 1 is taken/.test(line)));
});
