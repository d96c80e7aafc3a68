/**
 * Whether a device tree makes sense, beyond what `dtc` looks at: numbers of cells, references, addresses, interrupts,
 * and each node as its binding has it. From the Devicetree Specification v0.4 (DTSpec) and the bindings of Linux 6.1
 * (Documentation/devicetree/bindings), sharing nothing with the encoder or the devices, so that it can judge them. A
 * property or a node that no rule here knows is a problem too.
 *
 * What bindings say of names before the `@` isn't looked at: boards have the names of the machines that they follow. But
 * for those, and for cells of the RAM disk's addresses, `dt-validate` 2022.8 finds nothing else in our trees.
 */
import type { FdtNode } from './fdt-decoder.js';

/** What a property holds: nothing, text, cells. */
type Form = 'flag' | 'string' | 'strings' | 'cells' | { readonly cells: number };

const ONE = { cells: 1 };
/** Those that mean the same in every node. `cells` are counted where they are interpreted. */
const FORMS: Readonly<Record<string, Form>> = {
  compatible: 'strings', model: 'string', device_type: 'string', phandle: ONE, reg: 'cells', ranges: 'cells',
  '#address-cells': ONE, '#size-cells': ONE, '#interrupt-cells': ONE, '#clock-cells': ONE, '#gpio-cells': ONE,
  '#msi-cells': ONE, '#redistributor-regions': ONE, 'interrupt-parent': ONE, interrupts: 'cells',
  'interrupt-controller': 'flag', 'interrupt-map': 'cells', 'interrupt-map-mask': 'cells', 'msi-controller': 'flag',
  'msi-parent': 'cells', 'msi-map': 'cells', clocks: 'cells', 'clock-names': 'strings', 'clock-frequency': ONE,
  'clock-output-names': 'strings', 'gpio-controller': 'flag', gpios: 'cells', 'dma-coherent': 'flag', 'always-on': 'flag',
  'bus-range': { cells: 2 }, 'linux,pci-domain': ONE, 'bank-width': ONE, label: 'string', 'linux,code': ONE, cpu: ONE,
  'enable-method': 'string', method: 'string', cpu_suspend: ONE, cpu_off: ONE, cpu_on: ONE, bootargs: 'string',
  'stdout-path': 'string', 'kaslr-seed': { cells: 2 }, 'linux,initrd-start': 'cells', 'linux,initrd-end': 'cells',
}; // prettier-ignore

interface Rules {
  /** Properties that a node must have, and those that it may have beside `phandle` and `interrupt-parent`. */
  readonly required: readonly string[];
  readonly optional?: readonly string[];
  /** Properties with one value only. */
  readonly fixed?: Readonly<Record<string, number>>;
  /** Ranges of `reg`, interrupts: at least, at most. */
  readonly regs?: readonly [min: number, max: number];
  readonly interrupts?: readonly [min: number, max: number];
  /** Says what else is wrong. */
  readonly check?: (place: Place, tree: Tree) => void;
}

const REG = ['compatible', 'reg'];
const BUS = ['#address-cells', '#size-cells'];
const GIC = {
  required: [...REG, 'interrupt-controller', '#interrupt-cells'],
  optional: [...BUS, 'ranges', '#redistributor-regions'],
  fixed: { '#interrupt-cells': 3 },
};
const PRIMECELL = [...REG, 'interrupts', 'clocks', 'clock-names'];
const PSCI: Rules = {
  required: ['compatible', 'method'],
  // arm/psci.yaml: the functions of PSCI 0.1, which had no numbers of its own.
  optional: ['cpu_suspend', 'cpu_off', 'cpu_on'],
  check: (place, tree) => {
    if (!['hvc', 'smc'].includes(place.text('method')))
      tree.report(place, `method is ${place.text('method')}`);
    for (const [name, number] of [
      ['cpu_suspend', 1],
      ['cpu_off', 2],
      ['cpu_on', 3],
    ] as const)
      // prettier-ignore
      for (const id of place.cells(name))
        if (![0x8400_0000 + number, 0xc400_0000 + number].includes(id))
          tree.report(place, `${name} is 0x${id.toString(16)}`);
    if (place.text('compatible').includes('arm,psci-0.2 arm,psci') && place.cells('cpu_on').length === 0)
      tree.report(place, 'no cpu_on for those who know PSCI 0.1 alone');
  },
};

/** By `compatible`, as a whole. */
const BINDINGS: Readonly<Record<string, Rules>> = {
  'arm,cortex-a15-gic': { ...GIC, regs: [2, 4] },
  'arm,gic-v3': { ...GIC, regs: [2, 4096], check: checkRedistributors },
  'arm,gic-v2m-frame': { required: [...REG, 'msi-controller'], regs: [1, 1] },
  'arm,gic-v3-its': {
    ...{ required: [...REG, 'msi-controller', '#msi-cells'], fixed: { '#msi-cells': 1 }, regs: [1, 1] },
  },
  'arm,armv8-timer arm,armv7-timer': {
    ...{ required: ['compatible', 'interrupts'], optional: ['always-on'], interrupts: [4, 5] },
  },
  'arm,armv8-pmuv3': { required: ['compatible', 'interrupts'], interrupts: [1, 1] },
  'arm,psci-0.2 arm,psci': PSCI,
  'arm,psci-1.0 arm,psci-0.2 arm,psci': PSCI,
  ns16550a: { required: [...REG, 'interrupts', 'clock-frequency'], regs: [1, 1], interrupts: [1, 1] },
  'motorola,mc146818': { required: REG, regs: [1, 1] },
  'arm,pl011 arm,primecell': { required: PRIMECELL, regs: [1, 1], interrupts: [1, 1] },
  'arm,pl031 arm,primecell': { required: PRIMECELL, regs: [1, 1], interrupts: [1, 1] },
  'arm,pl061 arm,primecell': {
    required: [...PRIMECELL, 'gpio-controller', '#gpio-cells', 'interrupt-controller', '#interrupt-cells'],
    fixed: { '#gpio-cells': 2, '#interrupt-cells': 2 },
    ...{ regs: [1, 1], interrupts: [1, 8] },
  },
  'fixed-clock': {
    ...{ required: ['compatible', '#clock-cells', 'clock-frequency'], optional: ['clock-output-names'] },
    fixed: { '#clock-cells': 0 },
  },
  'gpio-keys': { required: ['compatible'] },
  'qemu,fw-cfg-mmio': { required: REG, optional: ['dma-coherent'], regs: [1, 1] },
  'virtio,mmio': {
    ...{ required: [...REG, 'interrupts'], optional: ['dma-coherent'], regs: [1, 1], interrupts: [1, 1] },
  },
  'cfi-flash': {
    ...{ required: [...REG, 'bank-width'], optional: ['label'], regs: [1, 4] },
    check: (place, tree) => {
      const [width = 0] = place.cells('bank-width');
      if (![1, 2, 4].includes(width)) tree.report(place, `bank-width is ${width}`);
    },
  },
  'pci-host-ecam-generic': {
    required: [...REG, ...BUS, 'ranges', 'device_type', 'bus-range'],
    optional: [
      ...['#interrupt-cells', 'interrupt-map', 'interrupt-map-mask', 'dma-coherent', 'linux,pci-domain'],
      ...['msi-parent', 'msi-map'],
    ],
    fixed: { '#address-cells': 3, '#size-cells': 2, '#interrupt-cells': 1 },
    regs: [1, 1],
    check: checkPciHost,
  },
};

/** Nodes that no `compatible` tells (DTSpec 3; arm/cpus.yaml, cpu/cpu-topology.txt, input/gpio-keys.yaml), by path. */
const PLAIN: readonly (readonly [path: RegExp, Rules])[] = [
  [/^\/$/, { required: ['compatible', 'model', ...BUS] }],
  [
    /^\/chosen$/,
    {
      required: [],
      optional: ['bootargs', 'stdout-path', 'kaslr-seed', 'linux,initrd-start', 'linux,initrd-end'],
      check: checkChosen,
    },
  ],
  [/^\/aliases$/, { required: [], check: checkAliases }],
  [/^\/memory@[^/]+$/, { required: ['device_type', 'reg'], regs: [1, 1024], check: isOfType('memory') }],
  [/^\/cpus$/, { required: BUS, fixed: { '#address-cells': 1, '#size-cells': 0 }, check: checkCpus }],
  [
    /^\/cpus\/cpu@[^/]+$/,
    {
      ...{ required: ['device_type', ...REG], optional: ['enable-method'], regs: [1, 1] },
      check: isOfType('cpu'),
    },
  ],
  [/^\/cpus\/cpu-map(\/socket\d)?(\/cluster\d)?$/, { required: [] }],
  [/^\/cpus\/cpu-map\/socket\d\/cluster\d\/core\d$/, { required: ['cpu'] }],
  [/^\/gpio-keys\/[^/]+$/, { required: ['linux,code', 'gpios'], optional: ['label'] }],
];

/** `compatible` of CPUs (arm/cpus.yaml). */
const CPUS = ['arm,cortex-a57', 'arm,armv8'];

/** Properties that refer to nodes: what there says how many cells follow, and what shows that it is such a node. */
const REFERENCES = [
  { property: 'clocks', cells: '#clock-cells', marker: '#clock-cells' },
  { property: 'gpios', cells: '#gpio-cells', marker: 'gpio-controller' },
  // interrupt-controller/msi.txt: none unless stated.
  { property: 'msi-parent', cells: '#msi-cells', marker: 'msi-controller' },
] as const;

/** A node with where it is. A property that it doesn't have has no cells and no text. */
class Place {
  readonly node: FdtNode;
  readonly path: string;
  readonly parent: Place | undefined;

  constructor(node: FdtNode, parent?: Place) {
    this.node = node;
    this.parent = parent;
    this.path = parent ? `${parent.path === '/' ? '' : parent.path}/${node.name}` : '/';
  }

  has(property: string): boolean {
    return this.node.properties.has(property);
  }

  cells(property: string): number[] {
    const bytes = this.node.properties.get(property) ?? new Uint8Array();
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    return Array.from({ length: bytes.length >> 2 }, (_, index) => view.getUint32(4 * index));
  }

  /** Strings with blanks between them. */
  text(property: string): string {
    return (textOf(this.node.properties.get(property)) ?? []).join(' ');
  }

  /** Cells of an address, a size, a specifier: those of `#…-cells`. */
  count(property: string): number {
    return this.cells(property)[0] ?? 0;
  }
}

function textOf(bytes: Uint8Array | undefined): string[] | undefined {
  if (!bytes || bytes.length === 0 || bytes.at(-1) !== 0) return undefined;
  const texts = Array.from(bytes.subarray(0, -1), (byte) => String.fromCharCode(byte))
    .join('')
    .split('\0');
  return texts.every((text) => /^[\x20-\x7e\n]*$/.test(text)) ? texts : undefined;
}

interface Span {
  readonly start: number;
  readonly end: number;
}

/** Numbers up to 2^53 from cells, high first. */
const numberOf = (cells: readonly number[]): number => cells.reduce((high, low) => high * 2 ** 32 + low, 0);
const hexOf = (value: number): string => `0x${value.toString(16)}`;

/** Whole groups of `size`, without what is left over. */
function groups(cells: readonly number[], size: number): number[][] {
  const count = size === 0 ? 0 : Math.floor(cells.length / size);
  return Array.from({ length: count }, (_, index) => cells.slice(index * size, (index + 1) * size));
}

class Tree {
  readonly problems: string[] = [];
  readonly places: Place[] = [];
  readonly root: Place;
  readonly #byPhandle = new Map<number, Place>();

  constructor(root: FdtNode) {
    this.root = new Place(root);
    const visit = (place: Place): void => {
      this.places.push(place);
      for (const child of place.node.children) visit(new Place(child, place));
    };
    visit(this.root);
    for (const place of this.places) {
      const [phandle] = place.cells('phandle');
      if (phandle === undefined) continue;
      const isNumber = phandle > 0 && phandle < 0xffff_ffff;
      if (!isNumber || this.#byPhandle.has(phandle))
        this.report(place, `phandle ${phandle} is taken or none`);
      this.#byPhandle.set(phandle, place);
    }
  }

  report({ path }: Place, problem: string): void {
    this.problems.push(`${path}: ${problem}`);
  }

  find(path: string): Place | undefined {
    return this.places.find((place) => place.path === path);
  }

  /** The node that `phandle` is. `from` is who says so. */
  resolve(from: Place, property: string, phandle: number | undefined): Place | undefined {
    const target = phandle === undefined ? undefined : this.#byPhandle.get(phandle);
    if (!target) this.report(from, `${property} refers to ${phandle}, which no node is`);
    return target;
  }

  /** DTSpec 2.4.1: of the node or the next above that says. */
  interruptParent(place: Place): Place | undefined {
    let at: Place | undefined = place;
    while (at && !at.has('interrupt-parent')) at = at.parent;
    return this.resolve(place, 'interrupt-parent', at?.cells('interrupt-parent')[0]);
  }

  /** `reg` by DTSpec 2.3.6, as the parent counts cells. */
  regsOf(place: Place): Span[] {
    const { parent } = place;
    const [addressCells, sizeCells] = [
      parent?.count('#address-cells') ?? 0,
      parent?.count('#size-cells') ?? 0,
    ];
    return groups(place.cells('reg'), addressCells + sizeCells).map((entry) => {
      const start = numberOf(entry.slice(0, addressCells));
      return { start, end: start + numberOf(entry.slice(addressCells)) };
    });
  }
}

/** What is wrong with a tree, one line each that begins with the node's path. */
export function deviceTreeProblems(root: FdtNode): string[] {
  const tree = new Tree(root);
  for (const place of tree.places) {
    checkNames(place, tree);
    checkRules(place, tree);
    checkReg(place, tree);
    checkRanges(place, tree);
    checkReferences(place, tree);
    if (place.has('interrupts')) checkInterrupts(place, tree);
    if (place.has('interrupt-map')) checkInterruptMap(place, tree);
    if (place.has('msi-map')) checkMsiMap(place, tree);
  }
  checkOverlaps(tree);
  checkSharing(tree);
  return [...new Set(tree.problems)];
}

/** DTSpec 2.2.1, 2.2.4.1. */
function checkNames(place: Place, tree: Tree): void {
  const { node, path } = place;
  if (path !== '/' && !/^[a-zA-Z][\w,.+-]{0,30}(@[\w,.+-]+)?$/.test(node.name)) tree.report(place, 'no name');
  for (const property of node.properties.keys()) {
    if (!/^[\w,.+?#-]{1,31}$/.test(property)) tree.report(place, `${property} is no name`);
  }
}

function rulesOf(place: Place): Rules | undefined {
  const plain = PLAIN.find(([path]) => path.test(place.path));
  return plain ? plain[1] : BINDINGS[place.text('compatible')];
}

function checkRules(place: Place, tree: Tree): void {
  const rules = rulesOf(place);
  if (!rules) {
    tree.report(place, `no binding is known for compatible "${place.text('compatible')}"`);
    return;
  }
  const { required, optional = [], fixed = {}, regs, interrupts, check } = rules;
  for (const property of required) if (!place.has(property)) tree.report(place, `${property} is missing`);
  for (const [property, bytes] of place.node.properties) {
    // The names of aliases are anybody's.
    if (place.path === '/aliases') continue;
    const form = FORMS[property];
    if (![...required, ...optional, 'phandle', 'interrupt-parent'].includes(property) || form === undefined) {
      tree.report(place, `${property} is no property of its binding`);
    } else if (!hasForm(bytes, form)) {
      tree.report(place, `${property} is ${bytes.length} bytes, which are not ${JSON.stringify(form)}`);
    }
  }
  for (const [property, value] of Object.entries(fixed)) {
    if (place.has(property) && place.count(property) !== value)
      tree.report(place, `${property} is not ${value}`);
  }
  const within = (what: string, count: number, limits: readonly [number, number] | undefined): void => {
    if (limits && !(count >= limits[0] && count <= limits[1]))
      tree.report(place, `${count} ${what}, not ${limits.join(' to ')}`);
  };
  within('ranges of reg', tree.regsOf(place).length, regs);
  if (interrupts)
    within('interrupts', place.cells('interrupts').length / specifierCells(place, tree), interrupts);
  check?.(place, tree);
}

function specifierCells(place: Place, tree: Tree): number {
  return tree.interruptParent(place)?.count('#interrupt-cells') ?? 1;
}

function hasForm(bytes: Uint8Array, form: Form): boolean {
  if (typeof form === 'object') return bytes.length === 4 * form.cells;
  switch (form) {
    case 'flag':
      return bytes.length === 0;
    case 'string':
      return textOf(bytes)?.length === 1;
    case 'strings':
      return textOf(bytes) !== undefined;
    case 'cells':
      return bytes.length % 4 === 0;
  }
}

/** DTSpec 2.2.1.1, 2.3.6: the unit address is the first address of `reg`. */
function checkReg(place: Place, tree: Tree): void {
  const unitAddress = place.node.name.split('@')[1];
  if (!place.has('reg')) {
    if (unitAddress !== undefined) tree.report(place, 'a unit address without reg');
    return;
  }
  const { parent } = place;
  const sizeCells = parent?.count('#size-cells') ?? 0;
  const entryCells = (parent?.count('#address-cells') ?? 0) + sizeCells;
  const { length } = place.cells('reg');
  if (entryCells === 0 || length === 0 || length % entryCells !== 0) {
    tree.report(place, `reg has ${length} cells, which are no entries of ${entryCells}`);
    return;
  }
  const regs = tree.regsOf(place);
  const first = regs[0]!.start.toString(16);
  if (unitAddress !== first) tree.report(place, `the unit address is not ${first}`);
  if (sizeCells > 0 && regs.some(({ start, end }) => start === end)) tree.report(place, 'an empty range');
}

/** DTSpec 2.3.8: child address, parent address, length. */
function rangesOf(place: Place): { child: number[]; at: Span }[] {
  const [childCells, parentCells] = [
    place.count('#address-cells'),
    place.parent?.count('#address-cells') ?? 0,
  ];
  return groups(place.cells('ranges'), childCells + parentCells + place.count('#size-cells')).map((entry) => {
    const start = numberOf(entry.slice(childCells, childCells + parentCells));
    const length = numberOf(entry.slice(childCells + parentCells));
    return { child: entry.slice(0, childCells), at: { start, end: start + length } };
  });
}

function checkRanges(place: Place, tree: Tree): void {
  const { parent } = place;
  if (!place.has('ranges') || !parent) return;
  const count = (of: Place): string => BUS.map((property) => of.count(property)).join();
  const { length } = place.cells('ranges');
  if (length === 0) {
    if (count(place) !== count(parent)) tree.report(place, 'empty ranges, but other cells than the parent');
    return;
  }
  const entryCells =
    place.count('#address-cells') + parent.count('#address-cells') + place.count('#size-cells');
  if (length % entryCells !== 0)
    tree.report(place, `ranges has ${length} cells, which are no entries of ${entryCells}`);
}

function checkReferences(place: Place, tree: Tree): void {
  for (const { property, cells, marker } of REFERENCES) {
    const values = place.cells(property);
    let entries = 0;
    while (values.length > 0) {
      const target = tree.resolve(place, property, values.shift());
      if (!target) return;
      entries++;
      if (!target.has(marker)) tree.report(place, `${property} refers to ${target.path}, without ${marker}`);
      const count = target.count(cells);
      if (values.splice(0, count).length < count) tree.report(place, `${property} ends early`);
    }
    const names = property === 'clocks' ? textOf(place.node.properties.get('clock-names')) : undefined;
    if (names && names.length !== entries) tree.report(place, `${names.length} names for ${entries} clocks`);
  }
}

const isGic = (place: Place): boolean => /gic/.test(place.text('compatible'));

/** interrupt-controller/arm,gic.yaml, arm,gic-v3.yaml: kind, number, trigger; a GICv2 has a mask of CPUs for PPIs. */
function checkSpecifier(place: Place, tree: Tree, controller: Place, specifier: readonly number[]): void {
  if (!isGic(controller)) return;
  const [kind = 0, number = 0, flags = 0] = specifier;
  const isV2 = controller.text('compatible') === 'arm,cortex-a15-gic';
  const isPpi = kind === 1;
  const cpus = tree.places.filter(({ path }) => path.startsWith('/cpus/cpu@')).length;
  const mask = isPpi && isV2 ? 2 ** cpus - 1 : 0;
  const triggers = isPpi ? [1, 2, 4, 8] : [1, 4];
  const isRight =
    kind <= 1 && number < (isPpi ? 16 : 988) && flags >> 8 === mask && triggers.includes(flags & 0xff);
  if (!isRight)
    tree.report(place, `interrupt <${specifier.map(hexOf).join(' ')}> is none of ${controller.path}`);
}

function checkInterrupts(place: Place, tree: Tree): void {
  const controller = tree.interruptParent(place);
  if (!controller) return;
  if (!controller.has('interrupt-controller')) {
    tree.report(place, `its interrupt parent ${controller.path} is no interrupt controller`);
    return;
  }
  const size = controller.count('#interrupt-cells');
  const cells = place.cells('interrupts');
  if (cells.length === 0 || size === 0 || cells.length % size !== 0) {
    tree.report(place, `interrupts has ${cells.length} cells, which are no entries of ${size}`);
    return;
  }
  for (const specifier of groups(cells, size)) checkSpecifier(place, tree, controller, specifier);
}

/** DTSpec 2.4.3: what the child is, and the parent with what it calls the interrupt. */
function mapOf(place: Place, tree: Tree): { child: number[]; parent: Place; specifier: number[] }[] {
  const entries: { child: number[]; parent: Place; specifier: number[] }[] = [];
  const cells = place.cells('interrupt-map');
  const childCells = place.count('#address-cells') + place.count('#interrupt-cells');
  while (cells.length > 0) {
    const child = cells.splice(0, childCells);
    const parent = tree.resolve(place, 'interrupt-map', cells.shift());
    if (!parent) return entries;
    const unit = cells.splice(0, parent.count('#address-cells'));
    const specifier = cells.splice(0, parent.count('#interrupt-cells'));
    if (specifier.length < parent.count('#interrupt-cells')) {
      tree.report(place, 'interrupt-map ends in the middle of an entry');
      return entries;
    }
    if (unit.some((cell) => cell !== 0)) tree.report(place, 'interrupt-map names a unit of the parent');
    entries.push({ child, parent, specifier });
  }
  return entries;
}

function checkInterruptMap(place: Place, tree: Tree): void {
  const mask = place.cells('interrupt-map-mask');
  const childCells = place.count('#address-cells') + place.count('#interrupt-cells');
  if (mask.length !== childCells)
    tree.report(place, `interrupt-map-mask has ${mask.length} cells, not ${childCells}`);
  const seen = new Set<string>();
  for (const { child, parent, specifier } of mapOf(place, tree)) {
    if (!parent.has('interrupt-controller'))
      tree.report(place, `interrupt-map leads to ${parent.path}, which is none`);
    else checkSpecifier(place, tree, parent, specifier);
    const name = child.map(hexOf).join(' ');
    if (child.some((cell, index) => (cell & ~(mask[index] ?? 0)) !== 0))
      tree.report(place, `interrupt-map has <${name}>, which its mask hides`);
    if (seen.has(name)) tree.report(place, `interrupt-map has <${name}> twice`);
    seen.add(name);
  }
}

/** pci/pci-msi.txt: requester IDs from, controller, its IDs from, how many. */
function checkMsiMap(place: Place, tree: Tree): void {
  const cells = place.cells('msi-map');
  if (cells.length % 4 !== 0)
    tree.report(place, `msi-map has ${cells.length} cells, which are no entries of 4`);
  const covered: Span[] = [];
  for (const [start = 0, phandle, , length = 0] of groups(cells, 4)) {
    const controller = tree.resolve(place, 'msi-map', phandle);
    if (controller && !controller.has('msi-controller'))
      tree.report(place, `msi-map leads to ${controller.path}, which is none`);
    covered.push({ start, end: start + length });
  }
  const [first = 0, last = 0] = place.cells('bus-range');
  for (let bus = first; bus <= last; bus++) {
    if (!covered.some(({ start, end }) => start <= bus << 8 && end >= (bus + 1) << 8))
      tree.report(place, `msi-map lacks bus ${bus}`);
  }
}

/** arm,gic-v3.yaml: frames of 128 KiB for each CPU, in as many regions as stated, one by default. */
function checkRedistributors(place: Place, tree: Tree): void {
  const regions = place.has('#redistributor-regions') ? place.count('#redistributor-regions') : 1;
  const regs = tree.regsOf(place).slice(1, 1 + regions);
  if (regs.length < regions) tree.report(place, `fewer than ${regions} regions of redistributors`);
  const frames = regs.reduce((sum, { start, end }) => sum + Math.floor((end - start) / 0x2_0000), 0);
  const cpus = tree.places.filter(({ path }) => path.startsWith('/cpus/cpu@')).length;
  if (frames < cpus) tree.report(place, `redistributors for ${frames} of ${cpus} CPUs`);
}

/** pci/host-generic-pci.yaml, IEEE 1275 PCI binding 2.2.1.1 for the first cell of an address. */
function checkPciHost(place: Place, tree: Tree): void {
  isOfType('pci')(place, tree);
  const [first = 0, last = 0] = place.cells('bus-range');
  const [ecam] = tree.regsOf(place);
  if (first > last || (ecam && ecam.end - ecam.start < (last - first + 1) << 20))
    tree.report(place, `no room for buses ${first} to ${last} in reg`);
  const bySpace = new Map<number, Span[]>();
  for (const { child, at } of rangesOf(place)) {
    const [flags = 0, ...address] = child;
    const space = (flags >> 24) & 3;
    if (space === 0 || (flags & ~0x4300_0000) !== 0)
      tree.report(place, `ranges has ${hexOf(flags)} for a space`);
    const start = numberOf(address);
    const span = { start, end: start + at.end - at.start };
    // Memory is one space, whatever the width of its addresses.
    const others = bySpace.get(Math.min(space, 2)) ?? [];
    if (others.some((other) => overlap(span, other)))
      tree.report(place, `ranges overlap at ${hexOf(start)} of the bus`);
    bySpace.set(Math.min(space, 2), [...others, span]);
    if (space === 2 && span.end > 2 ** 32)
      tree.report(place, `a range of 32-bit memory ends at ${hexOf(span.end)}`);
  }
}

/** DTSpec 3.6. */
function checkChosen(place: Place, tree: Tree): void {
  const console = place.text('stdout-path').split(':')[0]!;
  const path = console.startsWith('/') ? console : (tree.find('/aliases')?.text(console) ?? '');
  const target = tree.find(path);
  if (place.has('stdout-path') && !/pl011|ns16550a/.test(target?.text('compatible') ?? ''))
    tree.report(place, `stdout-path ${console} is no console`);
  const [start, end] = ['linux,initrd-start', 'linux,initrd-end'].map((name) => numberOf(place.cells(name)));
  const memory = tree.places.filter(({ path: at }) => at.startsWith('/memory@'));
  const isInside = memory
    .flatMap((each) => tree.regsOf(each))
    .some((span) => start! >= span.start && end! <= span.end);
  if (place.has('linux,initrd-start') && !(start! < end! && isInside))
    tree.report(place, 'the RAM disk is not in memory');
}

/** DTSpec 3.3. */
function checkAliases(place: Place, tree: Tree): void {
  for (const name of place.node.properties.keys()) {
    if (!/^[a-z\d-]+$/.test(name) || !tree.find(place.text(name)))
      tree.report(place, `${name} is no alias of a node`);
  }
}

function isOfType(type: string) {
  return (place: Place, tree: Tree): void => {
    if (place.text('device_type') !== type) tree.report(place, `device_type is not ${type}`);
  };
}

/** DTSpec 3.8; cpu/cpu-topology.txt: each CPU is in the map once, if there is one. */
function checkCpus(place: Place, tree: Tree): void {
  const cpus = tree.places.filter(({ parent, node }) => parent === place && node.name.startsWith('cpu@'));
  if (cpus.length === 0) tree.report(place, 'no CPU');
  for (const cpu of cpus) {
    const model = cpu.text('compatible');
    if (!CPUS.includes(model)) tree.report(cpu, `no binding is known for compatible "${model}"`);
    const method = cpu.text('enable-method');
    if (method === '' ? cpus.length > 1 : method !== 'psci' || !tree.find('/psci'))
      tree.report(cpu, `enable-method "${method}" starts no CPU`);
  }
  const cores = tree.places.filter((each) => each.has('cpu'));
  const mapped = cores.map((core) => tree.resolve(core, 'cpu', core.cells('cpu')[0])?.path);
  if (tree.find('/cpus/cpu-map') && mapped.toSorted().join() !== cpus.map(({ path }) => path).join())
    tree.report(place, 'cpu-map is no map of the CPUs');
}

function overlap(a: Span, b: Span): boolean {
  return a.start < b.end && b.start < a.end;
}

/** Nothing is where something else is; buses of the processor alone, and all addresses are its own. */
function checkOverlaps(tree: Tree): void {
  const spans = tree.places
    .filter(
      ({ parent }) =>
        parent !== undefined && (parent === tree.root || parent.node.properties.get('ranges')?.length === 0),
    )
    .flatMap((place) => [
      ...tree.regsOf(place).map((span) => ({ place, span })),
      ...rangesOf(place).map(({ at }) => ({ place, span: at })),
    ])
    .sort((a, b) => a.span.start - b.span.start);
  for (const [index, { place, span }] of spans.entries()) {
    const next = spans[index + 1];
    if (next && overlap(span, next.span))
      tree.report(place, `overlaps ${next.place.path} at ${hexOf(next.span.start)}`);
  }
}

/** Two nodes with one interrupt: none of ours share. */
function checkSharing(tree: Tree): void {
  const owners = new Map<string, Place>();
  const claim = (place: Place, specifier: readonly number[]): void => {
    const name = specifier.slice(0, 2).map(hexOf).join(' ');
    const owner = owners.get(name);
    if (owner && owner !== place) tree.report(place, `has interrupt <${name}> of ${owner.path}`);
    owners.set(name, place);
  };
  for (const place of tree.places) {
    if (place.has('interrupts'))
      for (const specifier of groups(place.cells('interrupts'), specifierCells(place, tree)))
        claim(place, specifier);
    if (place.has('interrupt-map')) for (const { specifier } of mapOf(place, tree)) claim(place, specifier);
  }
}
