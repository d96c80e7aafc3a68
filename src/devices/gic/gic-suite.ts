/**
 * A reference model of what both GIC architectures say about pending, active and priority, written as the texts
 * have it (sets, lists and sorting; nothing cached), the property that a GIC behaves like it, and what the tests of
 * both need to drive one.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { IrqLine, MmioDevice, Snapshottable } from '../../bus/index.js';

/** What one interrupt is set to. */
interface Settings {
  readonly enabled?: boolean;
  readonly pending?: boolean;
  readonly active?: boolean;
  readonly group?: 0 | 1;
  readonly priority?: number;
  readonly edge?: boolean;
}

/** What one CPU interface is set to. */
interface InterfaceSettings {
  readonly mask?: number;
  readonly binaryPoints?: readonly [number, number];
  readonly commonBinaryPoint?: boolean;
  readonly splitsEoi?: boolean;
  /** Groups signalled, bit 0 for Group 0. */
  readonly groups?: number;
}

/** A GIC that signals Group 0 by FIQ and Group 1 by IRQ, through whatever registers it has. */
export interface GicFace {
  setLine(cpu: number, intid: number, level: boolean): void;
  /** Groups that the distributor forwards, bit 0 for Group 0. */
  setDistributor(groups: number): void;
  /** `cpu` matters to INTIDs below 32. */
  configure(cpu: number, intid: number, settings: Settings): void;
  setTarget(intid: number, cpu: number): void;
  sendSgi(from: number, to: number, intid: number): void;
  setInterface(cpu: number, settings: InterfaceSettings): void;
  /** The value of the group's interrupt acknowledge register. */
  acknowledge(cpu: number, group: 0 | 1): number;
  endOfInterrupt(cpu: number, acknowledged: number, group: 0 | 1): void;
  deactivate(cpu: number, acknowledged: number): void;
  /** The value of the group's highest priority pending interrupt register. */
  highestPending(cpu: number, group: 0 | 1): number;
  runningPriority(cpu: number): number;
  isPending(cpu: number, intid: number): boolean;
  isActive(cpu: number, intid: number): boolean;
  /** The CPU's inputs. */
  inputs(cpu: number): { irq: boolean; fiq: boolean };
}

interface ModelInterrupt {
  readonly intid: number;
  enabled: boolean;
  /** Where it is pending from; an SGI of GICv2 from several CPUs, everything else from 0. */
  readonly sources: Set<number>;
  line: boolean;
  active: boolean;
  group: 0 | 1;
  priority: number;
  edge: boolean;
  target: number;
}

interface ModelInterface {
  mask: number;
  binaryPoints: readonly [number, number];
  commonBinaryPoint: boolean;
  splitsEoi: boolean;
  groups: number;
  /** Active priorities, latest last. */
  readonly stack: { priority: number; group: 0 | 1 }[];
}

const SPURIOUS = 1023;
const PRIORITY_STEP = 8;

class ReferenceGic implements GicFace {
  readonly #version: 2 | 3;
  readonly #banked: ModelInterrupt[][];
  readonly #spis: ModelInterrupt[];
  readonly #interfaces: ModelInterface[];
  #groups = 0;

  constructor(version: 2 | 3, cpuCount: number, intids: number) {
    this.#version = version;
    const make = (intid: number, target: number): ModelInterrupt => ({
      intid,
      enabled: version === 2 && intid < 16,
      sources: new Set(),
      line: false,
      active: false,
      group: 0,
      priority: 0,
      edge: intid < 16,
      target,
    });
    this.#banked = Array.from({ length: cpuCount }, (_, cpu) =>
      Array.from({ length: 32 }, (_, intid) => make(intid, cpu)),
    );
    this.#spis = Array.from({ length: intids - 32 }, (_, spi) => make(32 + spi, version === 2 ? -1 : 0));
    this.#interfaces = Array.from({ length: cpuCount }, () => ({
      mask: 0,
      binaryPoints: [2, 3],
      commonBinaryPoint: false,
      splitsEoi: false,
      groups: 0,
      stack: [],
    }));
  }

  setLine(cpu: number, intid: number, level: boolean): void {
    const interrupt = this.#interrupt(cpu, intid);
    if (level && !interrupt.line && interrupt.edge) interrupt.sources.add(0);
    interrupt.line = level;
  }

  setDistributor(groups: number): void {
    this.#groups = groups;
  }

  configure(cpu: number, intid: number, settings: Settings): void {
    const interrupt = this.#interrupt(cpu, intid);
    const { pending, priority, ...plain } = settings;
    Object.assign(interrupt, plain);
    if (pending === true) interrupt.sources.add(0);
    if (pending === false) interrupt.sources.clear();
    if (priority !== undefined) interrupt.priority = priority - (priority % PRIORITY_STEP);
  }

  setTarget(intid: number, cpu: number): void {
    this.#interrupt(0, intid).target = cpu;
  }

  sendSgi(from: number, to: number, intid: number): void {
    this.#interrupt(to, intid).sources.add(this.#version === 2 ? from : 0);
  }

  setInterface(cpu: number, settings: InterfaceSettings): void {
    const { mask, binaryPoints, ...plain } = settings;
    const target = this.#interfaces[cpu]!;
    Object.assign(target, plain);
    if (mask !== undefined) target.mask = mask - (mask % PRIORITY_STEP);
    if (binaryPoints) target.binaryPoints = [Math.max(2, binaryPoints[0]), Math.max(3, binaryPoints[1])];
  }

  acknowledge(cpu: number, group: 0 | 1): number {
    const interrupt = this.#signalled(cpu);
    if (!interrupt) return SPURIOUS;
    if (interrupt.group !== group) return this.#version === 2 && group === 0 ? 1022 : SPURIOUS;
    const value = this.#valueOf(interrupt);
    interrupt.active = true;
    interrupt.sources.delete(Math.min(...interrupt.sources));
    const priority = this.#groupPriority(cpu, interrupt);
    this.#interfaces[cpu]!.stack.push({ priority, group });
    return value;
  }

  endOfInterrupt(cpu: number, acknowledged: number): void {
    const { stack, splitsEoi } = this.#interfaces[cpu]!;
    assert.ok(stack.pop(), 'the commands end only what is active');
    if (!splitsEoi) this.#interrupt(cpu, acknowledged % 1024).active = false;
  }

  deactivate(cpu: number, acknowledged: number): void {
    if (this.#interfaces[cpu]!.splitsEoi) this.#interrupt(cpu, acknowledged % 1024).active = false;
  }

  highestPending(cpu: number, group: 0 | 1): number {
    const interrupt = this.#highest(cpu);
    if (!interrupt) return SPURIOUS;
    if (interrupt.group === group) return this.#valueOf(interrupt);
    return this.#version === 2 && group === 0 ? 1022 : SPURIOUS;
  }

  runningPriority(cpu: number): number {
    return Math.min(0xff, this.#running(cpu));
  }

  isPending(cpu: number, intid: number): boolean {
    const { sources, edge, line } = this.#interrupt(cpu, intid);
    return sources.size > 0 || (!edge && line);
  }

  isActive(cpu: number, intid: number): boolean {
    return this.#interrupt(cpu, intid).active;
  }

  inputs(cpu: number): { irq: boolean; fiq: boolean } {
    const group = this.#signalled(cpu)?.group;
    return { irq: group === 1, fiq: group === 0 };
  }

  #interrupt(cpu: number, intid: number): ModelInterrupt {
    return intid < 32 ? this.#banked[cpu]![intid]! : this.#spis[intid - 32]!;
  }

  /** What acknowledging it reads as: GICv2 puts the source of an SGI above the INTID. */
  #valueOf({ intid, sources }: ModelInterrupt): number {
    return intid < 16 && this.#version === 2 ? intid + 1024 * Math.min(...sources) : intid;
  }

  #highest(cpu: number): ModelInterrupt | undefined {
    // In GICv3 the groups that a CPU interface enables decide what is forwarded to it, in GICv2 what it signals.
    const groups = this.#version === 2 ? this.#groups : this.#groups & this.#interfaces[cpu]!.groups;
    return [...this.#banked[cpu]!, ...this.#spis]
      .filter(({ target }) => target === cpu)
      .filter(({ enabled, active, group }) => enabled && !active && (groups & (1 << group)) !== 0)
      .filter(({ intid }) => this.isPending(cpu, intid))
      .sort((a, b) => (a.priority === b.priority ? a.intid - b.intid : a.priority - b.priority))[0];
  }

  #signalled(cpu: number): ModelInterrupt | undefined {
    const highest = this.#highest(cpu);
    const { groups, mask } = this.#interfaces[cpu]!;
    if (!highest || (groups & (1 << highest.group)) === 0 || highest.priority >= mask) return undefined;
    const running = { priority: this.#running(cpu), group: highest.group };
    return this.#groupPriority(cpu, highest) < this.#groupPriority(cpu, running) ? highest : undefined;
  }

  #running(cpu: number): number {
    return Math.min(0x100, ...this.#interfaces[cpu]!.stack.map(({ priority }) => priority));
  }

  /** The table "priority grouping by binary point" of IHI0048B 3.3.3 and IHI0069 4.8.3. */
  #groupPriority(cpu: number, { priority, group }: Pick<ModelInterrupt, 'priority' | 'group'>): number {
    const { binaryPoints, commonBinaryPoint } = this.#interfaces[cpu]!;
    const subpriorityBits = group === 1 && !commonBinaryPoint ? binaryPoints[1] : binaryPoints[0] + 1;
    return priority - (priority % 2 ** subpriorityBits);
  }
}

/** A few INTIDs of each kind, over more than one word. */
const SGIS = [0, 5, 15];
const PPIS = [16, 27, 31];
const SPIS = [32, 33, 63, 64, 95];
const INTIDS = [...SGIS, ...PPIS, ...SPIS];
export const MODEL_INTIDS = 96;
export const MODEL_CPUS = 3;

type Command =
  | { readonly kind: 'line'; readonly cpu: number; readonly intid: number; readonly level: boolean }
  | { readonly kind: 'distributor'; readonly groups: number }
  | {
      readonly kind: 'configure';
      readonly cpu: number;
      readonly intid: number;
      readonly settings: Settings;
    }
  | { readonly kind: 'target'; readonly cpu: number; readonly intid: number }
  | { readonly kind: 'sgi'; readonly from: number; readonly cpu: number; readonly intid: number }
  | { readonly kind: 'interface'; readonly cpu: number; readonly settings: InterfaceSettings }
  | { readonly kind: 'acknowledge'; readonly cpu: number; readonly group: 0 | 1 }
  | { readonly kind: 'end'; readonly cpu: number }
  | { readonly kind: 'deactivate'; readonly cpu: number };

const cpu = fc.nat(MODEL_CPUS - 1);
const group = fc.constantFrom(0 as const, 1 as const);
const priority = fc.constantFrom(0x00, 0x08, 0x40, 0x47, 0x80, 0x88, 0xa0, 0xf0, 0xff);
const groups = fc.constantFrom(3, 3, 3, 3, 3, 2, 1, 0);
const wired = fc.constantFrom(...PPIS, ...SPIS);

function settings(intid: number): fc.Arbitrary<Settings> {
  const choices: fc.Arbitrary<Settings>[] = [
    fc.constantFrom(true, false, false).map((active) => ({ active })),
    group.map((value) => ({ group: value })),
    priority.map((value) => ({ priority: value })),
  ];
  if (intid >= 16) {
    choices.push(fc.constantFrom(true, true, true, false).map((enabled) => ({ enabled })));
    choices.push(fc.boolean().map((pending) => ({ pending })));
    choices.push(fc.boolean().map((edge) => ({ edge })));
  }
  return fc.oneof(...choices);
}

const interfaceSettings: fc.Arbitrary<InterfaceSettings> = fc.oneof(
  fc.constantFrom(0xff, 0xff, 0xff, 0xf8, 0xa1, 0x90, 0x80, 0).map((mask) => ({ mask })),
  fc.tuple(fc.nat(7), fc.nat(7)).map((binaryPoints) => ({ binaryPoints })),
  fc.boolean().map((commonBinaryPoint) => ({ commonBinaryPoint })),
  fc.boolean().map((splitsEoi) => ({ splitsEoi })),
  groups.map((value) => ({ groups: value })),
);

const command: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant('line'), cpu, intid: wired, level: fc.boolean() }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('distributor'), groups }) },
  {
    weight: 6,
    arbitrary: fc
      .tuple(cpu, fc.constantFrom(...INTIDS))
      .chain(([of, intid]) =>
        settings(intid).map((value) => ({ kind: 'configure' as const, cpu: of, intid, settings: value })),
      ),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('target'), cpu, intid: fc.constantFrom(...SPIS) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('sgi'), from: cpu, cpu, intid: fc.constantFrom(...SGIS) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('interface'), cpu, settings: interfaceSettings }),
  },
  { weight: 9, arbitrary: fc.record({ kind: fc.constant('acknowledge'), cpu, group }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('end'), cpu }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('deactivate'), cpu }) },
);

/** Asserts that `make()`, a GIC for `MODEL_CPUS` CPUs and `MODEL_INTIDS` interrupts, behaves like the model. */
export function assertBehavesLikeModel(version: 2 | 3, make: () => GicFace): void {
  let acknowledgements = 0;
  fc.assert(
    fc.property(fc.array(command, { minLength: 100, maxLength: 250 }), (commands) => {
      const gic = make();
      const model = new ReferenceGic(version, MODEL_CPUS, MODEL_INTIDS);
      for (const face of [gic, model]) bringUp(face);
      // What each CPU has acknowledged and not yet ended; ended and perhaps not yet deactivated.
      const running: { value: number; group: 0 | 1 }[][] = Array.from({ length: MODEL_CPUS }, () => []);
      const dropped: number[][] = Array.from({ length: MODEL_CPUS }, () => []);
      for (const one of commands) {
        switch (one.kind) {
          case 'line':
            for (const face of [gic, model]) face.setLine(one.cpu, one.intid, one.level);
            break;
          case 'distributor':
            for (const face of [gic, model]) face.setDistributor(one.groups);
            break;
          case 'configure': {
            // Changing the group of what is being handled makes its end-of-interrupt UNPREDICTABLE.
            const isHandled = running.flat().some(({ value }) => value % 1024 === one.intid);
            if (isHandled && one.settings.group !== undefined) break;
            for (const face of [gic, model]) face.configure(one.cpu, one.intid, one.settings);
            break;
          }
          case 'target':
            for (const face of [gic, model]) face.setTarget(one.intid, one.cpu);
            break;
          case 'sgi':
            for (const face of [gic, model]) face.sendSgi(one.from, one.cpu, one.intid);
            break;
          case 'interface':
            for (const face of [gic, model]) face.setInterface(one.cpu, one.settings);
            break;
          case 'acknowledge': {
            // The group that is not signalled has to read as nothing, and to leave the other one alone.
            for (const group of one.group === 0 ? ([0, 1] as const) : ([1, 0] as const)) {
              const value = gic.acknowledge(one.cpu, group);
              assert.equal(value, model.acknowledge(one.cpu, group), describe(one));
              if (value % 1024 >= 1020) continue;
              acknowledgements++;
              running[one.cpu]!.push({ value, group });
            }
            break;
          }
          case 'end': {
            const latest = running[one.cpu]!.pop();
            if (!latest) break;
            for (const face of [gic, model]) face.endOfInterrupt(one.cpu, latest.value, latest.group);
            dropped[one.cpu]!.push(latest.value);
            break;
          }
          case 'deactivate': {
            const value = dropped[one.cpu]!.shift();
            if (value === undefined) break;
            for (const face of [gic, model]) face.deactivate(one.cpu, value);
            break;
          }
        }
        assert.deepEqual(observe(gic), observe(model), `after ${describe(one)}`);
      }
    }),
    { seed: 0x61c, numRuns: 60 },
  );
  assert.ok(acknowledgements > 400, `only ${acknowledgements} interrupts were acknowledged`);
}

/** As a driver does at start: everything on, in the middle of the priorities. */
function bringUp(gic: GicFace): void {
  gic.setDistributor(3);
  for (let of = 0; of < MODEL_CPUS; of++) {
    gic.setInterface(of, { mask: 0xff, groups: 3 });
    for (const intid of INTIDS) {
      gic.configure(of, intid, { priority: 0xa0, group: (intid & 1) as 0 | 1 });
      if (intid >= 16) gic.configure(of, intid, { enabled: true });
    }
  }
  for (const intid of SPIS) gic.setTarget(intid, intid % MODEL_CPUS);
}

function observe(gic: GicFace): unknown {
  return Array.from({ length: MODEL_CPUS }, (_, of) => ({
    ...gic.inputs(of),
    highestPending: [gic.highestPending(of, 0), gic.highestPending(of, 1)],
    runningPriority: gic.runningPriority(of),
    pending: INTIDS.filter((intid) => gic.isPending(of, intid)),
    active: INTIDS.filter((intid) => gic.isActive(of, intid)),
  }));
}

function describe(one: Command): string {
  return JSON.stringify(one);
}

/** A line that can be looked at. */
export class Probe implements IrqLine {
  level = false;

  set(level: boolean): void {
    this.level = level;
  }
}

/** Offsets in the distributor that IHI0048B table 4-1 and IHI0069 table 12-25 both give. */
export const COMMON_GICD = {
  CTLR: 0x000,
  TYPER: 0x004,
  IGROUPR: 0x080,
  ISENABLER: 0x100,
  ICENABLER: 0x180,
  ISPENDR: 0x200,
  ICPENDR: 0x280,
  ISACTIVER: 0x300,
  ICACTIVER: 0x380,
  IPRIORITYR: 0x400,
  ITARGETSR: 0x800,
  ICFGR: 0xc00,
} as const;

/** The face of a GIC that other devices and the guest's drivers see. */
interface WiredGic {
  readonly distributor: MmioDevice;
  spi(spi: number): IrqLine;
  ppi(cpu: number, ppi: number): IrqLine;
}

interface Inputs {
  readonly irq: Probe;
  readonly fiq: Probe;
}

/** A GIC with the lines on both sides of it. */
export abstract class GicRig {
  abstract readonly gic: WiredGic;
  abstract readonly inputs: readonly Inputs[];

  d(offset: number, size: 1 | 2 | 4 = 4): number {
    return this.gic.distributor.read(offset, size);
  }
  setD(offset: number, value: number, size: 1 | 2 | 4 = 4): void {
    this.gic.distributor.write(offset, size, value);
  }
  get irqs(): boolean[] {
    return this.inputs.map(({ irq }) => irq.level);
  }
  get fiqs(): boolean[] {
    return this.inputs.map(({ fiq }) => fiq.level);
  }
}

/** A register with a field for an interrupt, as its CPU sees it. */
interface FieldAccess {
  read(): number;
  write(value: number): void;
}

/**
 * The part of a face that goes by lines and the distributor's arrays. `access` gives the register of `cpu` that is
 * `at` bytes into the distributor, or a redistributor's copy of it for the INTIDs below 32.
 */
export function distributorFace(
  rig: GicRig,
  access: (cpu: number, intid: number, at: number) => FieldAccess,
): Pick<GicFace, 'setLine' | 'setDistributor' | 'configure' | 'isPending' | 'isActive' | 'inputs'> {
  const registerOf = (cpu: number, array: number, intid: number, width: number) =>
    access(cpu, intid, array + Math.floor((intid * width) / 32) * 4);
  const setBit = (cpu: number, array: number, intid: number) =>
    registerOf(cpu, array, intid, 1).write((1 << (intid & 31)) >>> 0);
  const hasBit = (cpu: number, array: number, intid: number) =>
    ((registerOf(cpu, array, intid, 1).read() >>> (intid & 31)) & 1) === 1;
  const changeField = (cpu: number, array: number, intid: number, width: number, value: number) => {
    const register = registerOf(cpu, array, intid, width);
    const low = (intid * width) % 32;
    const mask = ((1 << width) - 1) << low;
    register.write(((register.read() & ~mask) | (value << low)) >>> 0);
  };
  return {
    setLine: (cpu, intid, level) =>
      (intid < 32 ? rig.gic.ppi(cpu, intid - 16) : rig.gic.spi(intid - 32)).set(level),
    setDistributor: (groups) => rig.setD(COMMON_GICD.CTLR, groups),
    configure: (cpu, intid, { enabled, pending, active, group, priority, edge }) => {
      const { ISENABLER, ICENABLER, ISPENDR, ICPENDR, ISACTIVER, ICACTIVER } = COMMON_GICD;
      if (enabled !== undefined) setBit(cpu, enabled ? ISENABLER : ICENABLER, intid);
      if (pending !== undefined) setBit(cpu, pending ? ISPENDR : ICPENDR, intid);
      if (active !== undefined) setBit(cpu, active ? ISACTIVER : ICACTIVER, intid);
      if (group !== undefined) changeField(cpu, COMMON_GICD.IGROUPR, intid, 1, group);
      if (priority !== undefined) changeField(cpu, COMMON_GICD.IPRIORITYR, intid, 8, priority);
      if (edge !== undefined) changeField(cpu, COMMON_GICD.ICFGR, intid, 2, edge ? 2 : 0);
    },
    isPending: (cpu, intid) => hasBit(cpu, COMMON_GICD.ISPENDR, intid),
    isActive: (cpu, intid) => hasBit(cpu, COMMON_GICD.ISACTIVER, intid),
    inputs: (cpu) => ({ irq: rig.inputs[cpu]!.irq.level, fiq: rig.inputs[cpu]!.fiq.level }),
  };
}

/** For the device suite: one frame of a GIC as a device by itself, with the whole GIC's state. */
export function frameRigOf<Rig extends GicRig, State>(
  rig: Rig,
  frame: MmioDevice,
  gic: Snapshottable<State>,
): {
  readonly rig: Rig;
  readonly device: MmioDevice & Snapshottable<State>;
  observe(): { irqs: boolean[]; fiqs: boolean[] };
} {
  const device = {
    name: frame.name,
    sizeBytes: frame.sizeBytes,
    maxAccess: frame.maxAccess,
    read: frame.read.bind(frame),
    write: frame.write.bind(frame),
    read64: (offset: number) => frame.read64!(offset),
    write64: (offset: number, value: bigint) => frame.write64!(offset, value),
    reset: () => frame.reset(),
    saveState: () => gic.saveState(),
    restoreState: (state: State) => gic.restoreState(state),
  };
  return { rig, device, observe: () => ({ irqs: rig.irqs, fiqs: rig.fiqs }) };
}

/** SPIs pending by edge, active, preempted; lines low again. */
export function activateSpis(
  rig: GicRig,
  enable: (intid: number, priority: number) => void,
  acknowledge: () => void,
): void {
  rig.setD(COMMON_GICD.ICFGR + 8, 0xaaaa_aaaa);
  for (const [intid, priority] of [
    [33, 0x80],
    [34, 0x40],
    [35, 0xc0],
  ] as const) {
    enable(intid, priority);
    rig.gic.spi(intid - 32).set(true);
    rig.gic.spi(intid - 32).set(false);
    if (priority < 0xc0) acknowledge();
  }
}
