import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { physAddr } from '../../base/index.js';
import { deviceSuite } from '../device-suite.js';
import {
  activateSpis,
  assertBehavesLikeModel,
  COMMON_GICD,
  distributorFace,
  frameRigOf,
  GicRig,
  MODEL_CPUS,
  MODEL_INTIDS,
  Probe,
  type GicFace,
} from './gic-suite.js';
import { Gicv3, ICC_REGISTERS, type Gicv3State } from './gicv3.js';

// Offsets as IHI0069 tables 12-25 and 12-27 to 12-30 give them.
const GICD = {
  ...COMMON_GICD,
  IROUTER: 0x6000,
  PIDR2: 0xffe8,
} as const;
const GICR = { CTLR: 0x00000, TYPER: 0x00008, WAKER: 0x00014, PIDR2: 0x0ffe8, SGI_BASE: 0x10000 } as const;
const GICR_STRIDE = 0x20000;

type Icc = (typeof ICC_REGISTERS)[number];

/** A GICv3 with the lines on both sides of it. CPU n has affinity 0.0.(n / 2).(n % 2). */
class Rig extends GicRig {
  readonly gic: Gicv3;
  readonly inputs: readonly { readonly irq: Probe; readonly fiq: Probe; readonly affinity: number }[];

  constructor(cpuCount = 2, spis = 64) {
    super();
    this.inputs = Array.from({ length: cpuCount }, (_, n) => ({
      irq: new Probe(),
      fiq: new Probe(),
      affinity: affinityOf(n),
    }));
    this.gic = new Gicv3(spis, { cpus: this.inputs });
  }

  r(cpu: number, offset: number): number {
    return this.gic.redistributors.read(cpu * GICR_STRIDE + offset, 4);
  }
  setR(cpu: number, offset: number, value: number, size: 1 | 2 | 4 = 4): void {
    this.gic.redistributors.write(cpu * GICR_STRIDE + offset, size, value);
  }
  icc(cpu: number, name: Icc): number {
    return Number(this.gic.readSystemRegister(name, cpu));
  }
  setIcc(cpu: number, name: Icc, value: number | bigint): void {
    this.gic.writeSystemRegister(name, cpu, BigInt(value));
  }
  /** The start of Linux's driver: everything in Group 1, both groups enabled, all priorities let through. */
  start(): this {
    this.setD(GICD.CTLR, 0x13);
    for (let word = 4; word <= 8; word += 4) this.setD(GICD.IGROUPR + word, 0xffff_ffff);
    this.inputs.forEach((_, cpu) => {
      this.setR(cpu, GICR.SGI_BASE + GICD.IGROUPR, 0xffff_ffff);
      this.setR(cpu, GICR.SGI_BASE + GICD.ISENABLER, 0xffff);
      this.setIcc(cpu, 'ICC_PMR_EL1', 0xf0);
      this.setIcc(cpu, 'ICC_IGRPEN0_EL1', 1);
      this.setIcc(cpu, 'ICC_IGRPEN1_EL1', 1);
    });
    return this;
  }
  enable(intid: number, { cpu = 0, priority = 0xa0 } = {}): void {
    this.gic.distributor.write64!(GICD.IROUTER + 8 * intid, BigInt(affinityOf(cpu)));
    this.setD(GICD.IPRIORITYR + intid, priority, 1);
    this.setD(GICD.ISENABLER + (intid >>> 5) * 4, (1 << (intid & 31)) >>> 0);
  }
}

function affinityOf(cpu: number): number {
  return ((cpu >> 1) << 8) | (cpu & 1);
}

describe('GICv3 distributor', () => {
  test('GICD_CTLR: ARE and DS are RAO/WI with one security state, RWP never set (IHI0069 12.9)', () => {
    const rig = new Rig();
    assert.equal(rig.d(GICD.CTLR), 0x50);
    rig.setD(GICD.CTLR, 0xffff_ffff);
    assert.equal(rig.d(GICD.CTLR), 0x53);
    rig.setD(GICD.CTLR, 0);
    assert.equal(rig.d(GICD.CTLR), 0x50);
  });

  test('GICD_TYPER: lines in words of 32, A3V, No1N, 10 bits of INTID; no LPIs, no MBIs (IHI0069 12.9)', () => {
    assert.equal(new Rig(2, 256).d(GICD.TYPER), 0x0348_0008);
  });

  test('with affinity routing the distributor has nothing of INTIDs 0–31 (IHI0069 12.9)', () => {
    const rig = new Rig();
    for (const at of [
      GICD.IGROUPR,
      GICD.ISENABLER,
      GICD.ISPENDR,
      GICD.IPRIORITYR + 16,
      GICD.ICFGR,
      GICD.ICFGR + 4,
    ]) {
      rig.setD(at, 0xffff_ffff);
      assert.equal(rig.d(at), 0);
    }
    assert.equal(rig.r(0, GICR.SGI_BASE + GICD.ISENABLER), 0);
  });

  test('legacy registers are RES0 with affinity routing: GICD_ITARGETSR, GICD_SGIR (IHI0069 12.9)', () => {
    const rig = new Rig().start();
    rig.setD(GICD.ITARGETSR + 32, 0xffff_ffff);
    rig.setD(0xf00, 0x02ff_0001);
    assert.equal(rig.d(GICD.ITARGETSR + 32), 0);
    assert.deepEqual(rig.irqs, [false, false]);
  });

  test('GICD_IROUTER: 64 bits, either half, Aff3 in the high one; IRM is RAZ/WI with No1N (IHI0069 12.9)', () => {
    const rig = new Rig();
    const at = GICD.IROUTER + 8 * 40;
    rig.gic.distributor.write64!(at, 0xffff_ffff_ffff_ffffn);
    assert.equal(rig.gic.distributor.read64!(at), 0x0000_00ff_00ff_ffffn);
    rig.setD(at, 0x0000_0102);
    assert.equal(rig.gic.distributor.read64!(at), 0x0000_00ff_0000_0102n);
    rig.setD(at + 4, 0);
    assert.equal(rig.gic.distributor.read64!(at), 0x102n);
    rig.gic.distributor.write64!(GICD.IROUTER + 8 * 31, 1n);
    assert.equal(rig.gic.distributor.read64!(GICD.IROUTER + 8 * 31), 0n);
    rig.gic.distributor.write64!(GICD.IROUTER + 8 * 96, 1n);
    assert.equal(rig.gic.distributor.read64!(GICD.IROUTER + 8 * 96), 0n);
  });

  test('an SPI goes to the CPU of its GICD_IROUTER and follows a change; no such CPU: nowhere (IHI0069 3.3)', () => {
    const rig = new Rig(4).start();
    rig.enable(40, { cpu: 3 });
    rig.gic.spi(8).set(true);
    assert.deepEqual(rig.irqs, [false, false, false, true]);
    rig.setD(GICD.IROUTER + 8 * 40, affinityOf(2));
    assert.deepEqual(rig.irqs, [false, false, true, false]);
    rig.setD(GICD.IROUTER + 8 * 40 + 4, 1);
    assert.deepEqual(rig.irqs, [false, false, false, false]);
  });

  test('says that it is a GICv3: GICD_PIDR2 and each GICR_PIDR2 (IHI0069 12.1.2)', () => {
    const rig = new Rig();
    assert.deepEqual([rig.d(GICD.PIDR2), rig.r(1, GICR.PIDR2)], [0x3b, 0x3b]);
  });
});

describe('GICv3 redistributors', () => {
  test('GICR_TYPER: affinity, processor number, Last in the last one alone (IHI0069 12.11)', () => {
    const { gic } = new Rig(4);
    const typers = [0, 1, 2, 3].map((cpu) => gic.redistributors.read64!(cpu * GICR_STRIDE + GICR.TYPER));
    assert.deepEqual(typers, [0x0n, 0x1_0000_0100n, 0x100_0000_0200n, 0x101_0000_0310n]);
    assert.equal(gic.redistributors.sizeBytes, 4 * GICR_STRIDE);
  });

  test('GICR_WAKER: ChildrenAsleep follows ProcessorSleep (IHI0069 12.11)', () => {
    const rig = new Rig();
    assert.equal(rig.r(0, GICR.WAKER), 6);
    rig.setR(0, GICR.WAKER, 0);
    assert.deepEqual([rig.r(0, GICR.WAKER), rig.r(1, GICR.WAKER)], [0, 6]);
    rig.setR(0, GICR.WAKER, 2);
    assert.equal(rig.r(0, GICR.WAKER), 6);
  });

  test('each has the SGIs and PPIs of its CPU, SGIs edge-triggered for good (IHI0069 12.11)', () => {
    const rig = new Rig();
    rig.setR(1, GICR.SGI_BASE + GICD.ISENABLER, 0xffff_ffff);
    rig.setR(1, GICR.SGI_BASE + GICD.ICENABLER, 1);
    rig.setR(1, GICR.SGI_BASE + GICD.ICFGR, 0);
    rig.setR(1, GICR.SGI_BASE + GICD.ICFGR + 4, 0xffff_ffff);
    rig.setR(1, GICR.SGI_BASE + GICD.IPRIORITYR + 17, 0xff, 1);
    const show = (cpu: number) =>
      [GICD.ISENABLER, GICD.ICFGR, GICD.ICFGR + 4, GICD.IPRIORITYR + 16].map((at) =>
        rig.r(cpu, GICR.SGI_BASE + at),
      );
    assert.deepEqual(show(0), [0, 0xaaaa_aaaa, 0, 0]);
    assert.deepEqual(show(1), [0xffff_fffe, 0xaaaa_aaaa, 0xaaaa_aaaa, 0xf800]);
  });

  test('a PPI is pending on its CPU alone', () => {
    const rig = new Rig().start();
    for (const cpu of [0, 1]) rig.setR(cpu, GICR.SGI_BASE + GICD.ISENABLER, 1 << 27);
    rig.gic.ppi(1, 11).set(true);
    assert.deepEqual(rig.irqs, [false, true]);
    assert.deepEqual([rig.icc(0, 'ICC_IAR1_EL1'), rig.icc(1, 'ICC_IAR1_EL1')], [1023, 27]);
  });
});

describe('GICv3 CPU interface', () => {
  test('a level-sensitive interrupt: IRQ, acknowledge, end, again while the line is high (IHI0069 4.1)', () => {
    const rig = new Rig().start();
    rig.enable(42);
    const line = rig.gic.spi(10);
    line.set(true);
    assert.deepEqual(rig.irqs, [true, false]);
    assert.equal(rig.icc(0, 'ICC_HPPIR1_EL1'), 42);
    assert.equal(rig.icc(0, 'ICC_IAR1_EL1'), 42);
    assert.deepEqual(rig.irqs, [false, false]);
    assert.equal(rig.icc(0, 'ICC_RPR_EL1'), 0xa0);
    rig.setIcc(0, 'ICC_EOIR1_EL1', 42);
    assert.equal(rig.icc(0, 'ICC_RPR_EL1'), 0xff);
    assert.deepEqual(rig.irqs, [true, false]);
    line.set(false);
    assert.deepEqual(rig.irqs, [false, false]);
    assert.equal(rig.icc(0, 'ICC_IAR1_EL1'), 1023);
  });

  test('Group 0 is FIQ and read by the 0 registers, Group 1 is IRQ and read by the 1 registers (IHI0069 4.6.2)', () => {
    const rig = new Rig().start();
    rig.enable(40);
    rig.gic.spi(8).set(true);
    const seen = () => [rig.irqs[0], rig.fiqs[0], rig.icc(0, 'ICC_HPPIR0_EL1'), rig.icc(0, 'ICC_HPPIR1_EL1')];
    assert.deepEqual(seen(), [true, false, 1023, 40]);
    assert.equal(rig.icc(0, 'ICC_IAR0_EL1'), 1023);
    rig.setD(GICD.IGROUPR + 4, 0);
    assert.deepEqual(seen(), [false, true, 40, 1023]);
    assert.equal(rig.icc(0, 'ICC_IAR1_EL1'), 1023);
    assert.equal(rig.icc(0, 'ICC_IAR0_EL1'), 40);
    assert.equal(rig.icc(0, 'ICC_AP0R0_EL1'), 1 << (0xa0 >> 3));
  });

  test('a group that ICC_IGRPEN<n>_EL1 disables does not hide the other (IHI0069 4.7)', () => {
    const rig = new Rig().start();
    rig.setD(GICD.IGROUPR + 4, 0xffff_fffe);
    rig.enable(32, { priority: 0x10 });
    rig.enable(33, { priority: 0xa0 });
    rig.gic.spi(0).set(true);
    rig.gic.spi(1).set(true);
    assert.deepEqual([rig.irqs[0], rig.fiqs[0]], [false, true]);
    rig.setIcc(0, 'ICC_IGRPEN0_EL1', 0);
    assert.deepEqual([rig.irqs[0], rig.fiqs[0]], [true, false]);
    assert.equal(rig.icc(0, 'ICC_IAR1_EL1'), 33);
  });

  test('an end of interrupt of the other group, or of a special INTID, is ignored (IHI0069 12.2)', () => {
    const rig = new Rig().start();
    rig.enable(40);
    rig.gic.spi(8).set(true);
    rig.icc(0, 'ICC_IAR1_EL1');
    rig.setIcc(0, 'ICC_EOIR0_EL1', 40);
    rig.setIcc(0, 'ICC_EOIR1_EL1', 1023);
    rig.setIcc(0, 'ICC_EOIR1_EL1', 8192);
    assert.equal(rig.icc(0, 'ICC_RPR_EL1'), 0xa0);
    rig.setIcc(0, 'ICC_EOIR1_EL1', 40);
    assert.equal(rig.icc(0, 'ICC_RPR_EL1'), 0xff);
  });

  test('with EOImode ICC_EOIR1_EL1 drops the priority and ICC_DIR_EL1 deactivates (IHI0069 12.2)', () => {
    const rig = new Rig().start();
    rig.setIcc(0, 'ICC_CTLR_EL1', 2);
    rig.enable(40);
    rig.gic.spi(8).set(true);
    rig.icc(0, 'ICC_IAR1_EL1');
    rig.setIcc(0, 'ICC_EOIR1_EL1', 40);
    assert.deepEqual(
      [rig.icc(0, 'ICC_RPR_EL1'), rig.irqs[0], rig.d(GICD.ISACTIVER + 4)],
      [0xff, false, 1 << 8],
    );
    rig.setIcc(0, 'ICC_DIR_EL1', 40);
    assert.deepEqual([rig.irqs[0], rig.d(GICD.ISACTIVER + 4)], [true, 0]);
  });

  test('ICC_PMR_EL1 has five bits, found as drivers find them; ICC_CTLR_EL1.PRIbits agrees (IHI0069 12.2)', () => {
    const rig = new Rig();
    rig.setIcc(0, 'ICC_PMR_EL1', 0xff);
    assert.equal(rig.icc(0, 'ICC_PMR_EL1'), 0xf8);
    assert.equal(((rig.icc(0, 'ICC_CTLR_EL1') >>> 8) & 7) + 1, 5);
  });

  test('ICC_BPR<n>_EL1: minimum; with CBPR ICC_BPR1_EL1 shows ICC_BPR0_EL1 plus one and is read-only', () => {
    const rig = new Rig();
    rig.setIcc(0, 'ICC_BPR0_EL1', 0);
    rig.setIcc(0, 'ICC_BPR1_EL1', 0);
    assert.deepEqual([rig.icc(0, 'ICC_BPR0_EL1'), rig.icc(0, 'ICC_BPR1_EL1')], [2, 3]);
    rig.setIcc(0, 'ICC_CTLR_EL1', 1);
    rig.setIcc(0, 'ICC_BPR0_EL1', 5);
    rig.setIcc(0, 'ICC_BPR1_EL1', 4);
    assert.equal(rig.icc(0, 'ICC_BPR1_EL1'), 6);
    rig.setIcc(0, 'ICC_BPR0_EL1', 7);
    assert.equal(rig.icc(0, 'ICC_BPR1_EL1'), 7);
    rig.setIcc(0, 'ICC_CTLR_EL1', 0);
    assert.equal(rig.icc(0, 'ICC_BPR1_EL1'), 3);
  });

  test('ICC_SRE_EL1 is fixed: system registers, no bypass (IHI0069 12.2)', () => {
    const rig = new Rig();
    rig.setIcc(0, 'ICC_SRE_EL1', 0);
    assert.equal(rig.icc(0, 'ICC_SRE_EL1'), 7);
  });

  test('ICC_SGI1R_EL1: target list in a cluster, or all but self (IHI0069 12.2)', () => {
    const takenBy = (value: bigint) => {
      const rig = new Rig(4).start();
      rig.setIcc(1, 'ICC_SGI1R_EL1', value);
      return [0, 1, 2, 3].filter((cpu) => rig.irqs[cpu]! && rig.icc(cpu, 'ICC_IAR1_EL1') === 9);
    };
    const INTID = 9n << 24n;
    assert.deepEqual(takenBy(INTID | 0b11n), [0, 1]);
    assert.deepEqual(takenBy(INTID | (1n << 16n) | 0b10n), [3], 'Aff1');
    assert.deepEqual(takenBy(INTID | (1n << 32n) | 0b01n), [], 'Aff2 of nobody');
    assert.deepEqual(takenBy(INTID | (1n << 48n) | 0b01n), [], 'Aff3 of nobody');
    assert.deepEqual(takenBy(INTID | (1n << 44n) | 0b01n), [], 'RS: Aff0 from 16');
    assert.deepEqual(takenBy(INTID | (1n << 40n)), [0, 2, 3], 'IRM');
  });

  test('a CPU takes an SGI only of the group it has configured it to be (IHI0069 12.2)', () => {
    for (const [name, group] of [
      ['ICC_SGI1R_EL1', 1],
      ['ICC_SGI0R_EL1', 0],
      ['ICC_ASGI1R_EL1', 0],
    ] as const) {
      const rig = new Rig().start();
      rig.setR(0, GICR.SGI_BASE + GICD.IGROUPR, 0xffff_fffe);
      rig.setIcc(1, name, 0x0000_0001n);
      rig.setIcc(1, name, 0x0100_0001n);
      assert.equal(rig.r(0, GICR.SGI_BASE + GICD.ISPENDR), 1 << group, name);
    }
  });

  test('random system register accesses never throw and read 64 unsigned bits', () => {
    const step = fc.tuple(
      fc.constantFrom(...ICC_REGISTERS),
      fc.nat(1),
      fc.option(fc.bigInt({ min: 0n, max: 0xffff_ffff_ffff_ffffn })),
    );
    fc.assert(
      fc.property(fc.array(step, { minLength: 30 }), (steps) => {
        const rig = new Rig().start();
        for (let spi = 0; spi < 64; spi++) {
          rig.enable(32 + spi, { cpu: spi & 1, priority: (spi * 37) & 0xff });
          rig.gic.spi(spi).set(true);
        }
        for (const [name, cpu, value] of steps) {
          if (value !== null) rig.setIcc(cpu, name, value);
          const read = rig.gic.readSystemRegister(name, cpu);
          assert.ok(read >= 0n && read < 1n << 64n, `${name} ${read}`);
        }
      }),
      { seed: 0x1cc, numRuns: 50 },
    );
  });
});

describe('GICv3', () => {
  test('reset keeps the levels of the input lines and nothing else', () => {
    const rig = new Rig().start();
    rig.enable(32);
    rig.gic.spi(0).set(true);
    rig.gic.ppi(0, 4).set(true);
    rig.gic.reset();
    assert.deepEqual(rig.irqs, [false, false]);
    assert.equal(rig.d(GICD.ISENABLER + 4), 0);
    assert.equal(rig.d(GICD.ISPENDR + 4), 1);
    assert.equal(rig.r(0, GICR.SGI_BASE + GICD.ISPENDR), 1 << 20);
    assert.equal(rig.icc(0, 'ICC_PMR_EL1'), 0);
  });

  test('restoring routes SPIs as the snapshot has it', () => {
    const rig = new Rig().start();
    rig.enable(32, { cpu: 1 });
    rig.gic.spi(0).set(true);
    const other = new Rig();
    other.gic.restoreState(rig.gic.saveState());
    assert.deepEqual(other.irqs, [false, true]);
  });

  test('pending, active and priority are as a plain model of IHI0069 chapter 4 has them', () => {
    assertBehavesLikeModel(3, () => faceOf(new Rig(MODEL_CPUS, MODEL_INTIDS - 32)));
  });

  test('the device-tree node has distributor and redistributors (arm,gic-v3.yaml)', () => {
    const { name, label, properties } = new Rig(2).gic.describe({
      distributor: physAddr(0x0800_0000),
      redistributors: physAddr(0x080a_0000),
    });
    assert.deepEqual([name, label, properties['compatible']], ['intc@8000000', 'intc', 'arm,gic-v3']);
    assert.deepEqual(properties['reg'], {
      cells: [0, 0x0800_0000, 0, 0x10000, 0, 0x080a_0000, 0, 0x40000],
    });
  });
});

function faceOf(rig: Rig): GicFace {
  const ctlr = Array.from({ length: MODEL_CPUS }, () => 0);
  return {
    ...distributorFace(rig, (cpu, intid, at) =>
      intid < 32
        ? {
            read: () => rig.r(cpu, GICR.SGI_BASE + at),
            write: (value) => rig.setR(cpu, GICR.SGI_BASE + at, value),
          }
        : { read: () => rig.d(at), write: (value) => rig.setD(at, value) },
    ),
    setTarget: (intid, cpu) => rig.setD(GICD.IROUTER + 8 * intid, affinityOf(cpu)),
    sendSgi: (from, to, intid) => {
      // One of the two is of the group that the target has configured.
      const target = (affinityOf(to) >>> 8) * 0x10000 + (1 << (affinityOf(to) & 0xff));
      for (const name of ['ICC_SGI0R_EL1', 'ICC_SGI1R_EL1'] as const) {
        rig.setIcc(from, name, intid * 0x100_0000 + target);
      }
    },
    setInterface: (cpu, { mask, binaryPoints, commonBinaryPoint, splitsEoi, groups }) => {
      if (mask !== undefined) rig.setIcc(cpu, 'ICC_PMR_EL1', mask);
      if (binaryPoints) {
        // ICC_BPR1_EL1 is read-only while CBPR is set.
        rig.setIcc(cpu, 'ICC_CTLR_EL1', ctlr[cpu]! & ~1);
        rig.setIcc(cpu, 'ICC_BPR0_EL1', binaryPoints[0]);
        rig.setIcc(cpu, 'ICC_BPR1_EL1', binaryPoints[1]);
      }
      if (commonBinaryPoint !== undefined) ctlr[cpu] = (ctlr[cpu]! & ~1) | Number(commonBinaryPoint);
      if (splitsEoi !== undefined) ctlr[cpu] = (ctlr[cpu]! & ~2) | (Number(splitsEoi) * 2);
      rig.setIcc(cpu, 'ICC_CTLR_EL1', ctlr[cpu]!);
      if (groups !== undefined) rig.setIcc(cpu, 'ICC_IGRPEN0_EL1', groups & 1);
      if (groups !== undefined) rig.setIcc(cpu, 'ICC_IGRPEN1_EL1', groups >>> 1);
    },
    acknowledge: (cpu, group) => rig.icc(cpu, group === 0 ? 'ICC_IAR0_EL1' : 'ICC_IAR1_EL1'),
    endOfInterrupt: (cpu, value, group) =>
      rig.setIcc(cpu, group === 0 ? 'ICC_EOIR0_EL1' : 'ICC_EOIR1_EL1', value),
    deactivate: (cpu, value) => rig.setIcc(cpu, 'ICC_DIR_EL1', value),
    highestPending: (cpu, group) => rig.icc(cpu, group === 0 ? 'ICC_HPPIR0_EL1' : 'ICC_HPPIR1_EL1'),
    runningPriority: (cpu) => rig.icc(cpu, 'ICC_RPR_EL1'),
  };
}

const makeFrame = (frame: 'distributor' | 'redistributors') => () => {
  const rig = new Rig();
  return frameRigOf<Rig, Gicv3State>(rig, rig.gic[frame], rig.gic);
};

const activity = ({ rig }: { readonly rig: Rig }) => {
  rig.start();
  activateSpis(
    rig,
    (intid, priority) => rig.enable(intid, { priority }),
    () => rig.icc(0, 'ICC_IAR1_EL1'),
  );
  rig.setIcc(0, 'ICC_SGI1R_EL1', 1n << 40n);
};

const stimulate = ({ rig }: { readonly rig: Rig }, seed: number) => {
  const level = (seed & 1) !== 0;
  switch ((seed >>> 1) & 3) {
    case 0:
      rig.gic.ppi((seed >>> 3) & 1, (seed >>> 4) & 15).set(level);
      break;
    case 1:
      rig.setIcc((seed >>> 3) & 1, ICC_REGISTERS[(seed >>> 4) % ICC_REGISTERS.length]!, seed >>> 9);
      break;
    default:
      rig.gic.spi((seed >>> 4) & 63).set(level);
  }
};

deviceSuite({
  title: 'GICv3 distributor (IHI0069 12.9)',
  make: makeFrame('distributor'),
  registers: [
    { name: 'GICD_CTLR', at: GICD.CTLR, size: 4, reset: 0x50, writable: 3 },
    { name: 'GICD_TYPER', at: GICD.TYPER, size: 4, reset: 0x0348_0002, writable: 0 },
    { name: 'GICD_IIDR', at: 0x0008, size: 4, reset: 0x43b, writable: 0 },
    { name: 'GICD_IGROUPR1', at: GICD.IGROUPR + 4, size: 4, reset: 0, writable: 0xffff_ffff },
    { name: 'GICD_ISENABLER1', at: GICD.ISENABLER + 4, size: 4, reset: 0 },
    { name: 'GICD_ICENABLER2', at: GICD.ICENABLER + 8, size: 4, reset: 0 },
    { name: 'GICD_ISPENDR1', at: GICD.ISPENDR + 4, size: 4, reset: 0 },
    { name: 'GICD_ICACTIVER1', at: GICD.ICACTIVER + 4, size: 4, reset: 0 },
    { name: 'GICD_IPRIORITYR0', at: GICD.IPRIORITYR, size: 4, reset: 0, writable: 0 },
    { name: 'GICD_IPRIORITYR9', at: GICD.IPRIORITYR + 36, size: 4, reset: 0, writable: 0xf8f8_f8f8 },
    { name: 'GICD_ICFGR2', at: GICD.ICFGR + 8, size: 4, reset: 0, writable: 0xaaaa_aaaa },
    { name: 'GICD_IROUTER33', at: GICD.IROUTER + 8 * 33, size: 8, reset: 0n, writable: 0xff_00ff_ffffn },
    { name: 'GICD_TYPER2', at: 0x000c, size: 4, reset: 0, writable: 0 },
    { name: 'GICD_IGRPMODR1', at: 0x0d04, size: 4, reset: 0, writable: 0 },
    { name: 'GICD_PIDR2', at: GICD.PIDR2, size: 4, reset: 0x3b, writable: 0 },
  ],
  activity,
  stimulate,
});

deviceSuite({
  title: 'GICv3 redistributors (IHI0069 12.11)',
  make: makeFrame('redistributors'),
  registers: [
    { name: 'GICR_CTLR', at: GICR.CTLR, size: 4, reset: 0, writable: 0 },
    { name: 'GICR_IIDR', at: 0x0004, size: 4, reset: 0x43b, writable: 0 },
    { name: 'GICR_TYPER of CPU 0', at: GICR.TYPER, size: 8, reset: 0n, writable: 0n },
    {
      name: 'GICR_TYPER of CPU 1',
      at: GICR_STRIDE + GICR.TYPER,
      size: 8,
      reset: 0x1_0000_0110n,
      writable: 0n,
    },
    { name: 'GICR_WAKER', at: GICR.WAKER, size: 4, reset: 6 },
    { name: 'GICR_IGROUPR0', at: GICR.SGI_BASE + GICD.IGROUPR, size: 4, reset: 0, writable: 0xffff_ffff },
    { name: 'GICR_ISENABLER0', at: GICR.SGI_BASE + GICD.ISENABLER, size: 4, reset: 0 },
    { name: 'GICR_ISPENDR0', at: GICR.SGI_BASE + GICD.ISPENDR, size: 4, reset: 0 },
    { name: 'GICR_ISACTIVER0', at: GICR.SGI_BASE + GICD.ISACTIVER, size: 4, reset: 0 },
    {
      name: 'GICR_IPRIORITYR4',
      at: GICR.SGI_BASE + GICD.IPRIORITYR + 16,
      size: 4,
      reset: 0,
      writable: 0xf8f8_f8f8,
    },
    { name: 'GICR_ICFGR0', at: GICR.SGI_BASE + GICD.ICFGR, size: 4, reset: 0xaaaa_aaaa, writable: 0 },
    { name: 'GICR_ICFGR1', at: GICR.SGI_BASE + GICD.ICFGR + 4, size: 4, reset: 0, writable: 0xaaaa_aaaa },
    { name: 'GICR_PIDR2', at: GICR.PIDR2, size: 4, reset: 0x3b, writable: 0 },
  ],
  activity,
  stimulate,
});
