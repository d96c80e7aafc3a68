import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
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
import { Gicv2, type Gicv2State } from './gicv2.js';
import { Gicv2m } from './gicv2m.js';

// Offsets as IHI0048B tables 4-1 and 4-2 give them.
const GICD = {
  ...COMMON_GICD,
  IIDR: 0x008,
  SGIR: 0xf00,
  CPENDSGIR: 0xf10,
  SPENDSGIR: 0xf20,
} as const;
const GICC = {
  CTLR: 0x00,
  PMR: 0x04,
  BPR: 0x08,
  IAR: 0x0c,
  EOIR: 0x10,
  RPR: 0x14,
  HPPIR: 0x18,
  ABPR: 0x1c,
  AIAR: 0x20,
  AEOIR: 0x24,
  AHPPIR: 0x28,
  APR0: 0xd0,
  NSAPR0: 0xe0,
  IIDR: 0xfc,
  DIR: 0x1000,
} as const;

const CTLR = { grp0: 1, grp1: 2, ackCtl: 4, fiqEn: 8, cbpr: 0x10, eoiMode: 0x200 };

/** A GICv2 with the lines on both sides of it, accessed by a CPU of choice. */
class Rig extends GicRig {
  readonly gic: Gicv2;
  readonly inputs: readonly { readonly irq: Probe; readonly fiq: Probe }[];
  cpu = 0;

  constructor(cpuCount = 2, spis = 64) {
    super();
    this.inputs = Array.from({ length: cpuCount }, () => ({ irq: new Probe(), fiq: new Probe() }));
    this.gic = new Gicv2(spis, { cpus: this.inputs, currentCpu: () => this.cpu });
  }

  c(offset: number): number {
    return this.gic.cpuInterface.read(offset, 4);
  }
  setC(offset: number, value: number): void {
    this.gic.cpuInterface.write(offset, 4, value);
  }
  /** The start of Linux's and EDK2's drivers: Group 0 everywhere, all priorities let through. */
  start(): this {
    this.setD(GICD.CTLR, 1);
    for (let cpu = 0; cpu < this.inputs.length; cpu++) {
      this.cpu = cpu;
      this.setC(GICC.PMR, 0xf0);
      this.setC(GICC.CTLR, 1);
    }
    this.cpu = 0;
    return this;
  }
  /** Enables an SPI for CPUs, at a priority. */
  enable(intid: number, { targets = 1, priority = 0xa0 } = {}): void {
    this.setD(GICD.ITARGETSR + intid, targets, 1);
    this.setD(GICD.IPRIORITYR + intid, priority, 1);
    this.setD(GICD.ISENABLER + (intid >>> 5) * 4, (1 << (intid & 31)) >>> 0);
  }
}

describe('GICv2 distributor', () => {
  test('GICD_TYPER: lines in words of 32, CPUs less one, no security extensions (IHI0048B 4.3.2)', () => {
    assert.equal(new Rig(1, 256).d(GICD.TYPER), 0x008); // QEMU virt, 1 CPU, reads the same.
    assert.equal(new Rig(4, 64).d(GICD.TYPER), 0x062);
  });

  test('GICD_ITARGETSR: the first 8 show the reading CPU; with one CPU all are RAZ/WI (IHI0048B 4.3.12)', () => {
    const two = new Rig(2);
    two.cpu = 1;
    assert.equal(two.d(GICD.ITARGETSR), 0x02020202);
    assert.equal(two.d(GICD.ITARGETSR + 31, 1), 0x02);
    two.setD(GICD.ITARGETSR + 33, 0xff, 1);
    assert.equal(two.d(GICD.ITARGETSR + 32), 0x0000_0300, 'only implemented CPUs, only the byte written');
    const one = new Rig(1);
    one.setD(GICD.ITARGETSR + 32, 0xffff_ffff);
    assert.equal(one.d(GICD.ITARGETSR), 0);
    assert.equal(one.d(GICD.ITARGETSR + 32), 0);
  });

  test('with one CPU every SPI targets it (IHI0048B 4.3.12)', () => {
    const rig = new Rig(1).start();
    rig.setD(GICD.ISENABLER + 4, 1);
    rig.gic.spi(0).set(true);
    assert.deepEqual(rig.irqs, [true]);
  });

  test('GICD_IPRIORITYR: byte accesses, upper five bits (IHI0048B 4.3.11, 3.3)', () => {
    const rig = new Rig();
    rig.setD(GICD.IPRIORITYR + 34, 0xff, 1);
    rig.setD(GICD.IPRIORITYR + 32, 0x1234, 2);
    assert.equal(rig.d(GICD.IPRIORITYR + 32), 0x00f8_1030);
    assert.equal(rig.d(GICD.IPRIORITYR + 34, 2), 0x00f8);
  });

  test('registers of INTIDs 0–31 are banked for each CPU (IHI0048B 4.1.4)', () => {
    const rig = new Rig();
    rig.setD(GICD.ISENABLER, 0xffff_0000);
    rig.setD(GICD.IPRIORITYR + 16, 0x50, 1);
    rig.cpu = 1;
    assert.equal(rig.d(GICD.ISENABLER), 0xffff);
    assert.equal(rig.d(GICD.IPRIORITYR + 16, 1), 0);
  });

  test('SGIs cannot be disabled, nor made pending by GICD_ISPENDR (IHI0048B 4.3.5–4.3.8)', () => {
    const rig = new Rig();
    rig.setD(GICD.ICENABLER, 0xffff_ffff);
    rig.setD(GICD.ISPENDR, 0xffff_ffff);
    assert.equal(rig.d(GICD.ISENABLER), 0xffff);
    assert.equal(rig.d(GICD.ISPENDR), 0xffff_0000);
    rig.setD(GICD.SPENDSGIR, 1, 1);
    rig.setD(GICD.ICPENDR, 0xffff_ffff);
    assert.equal(rig.d(GICD.ISPENDR), 1);
  });

  test('GICD_ICFGR: SGIs are edge-triggered, bit 0 of each field is reserved (IHI0048B 4.3.13)', () => {
    const rig = new Rig();
    rig.setD(GICD.ICFGR, 0);
    assert.equal(rig.d(GICD.ICFGR), 0xaaaa_aaaa);
    rig.setD(GICD.ICFGR + 8, 0xffff_ffff);
    rig.setD(GICD.ICFGR + 12, 0x4000_0008);
    assert.equal(rig.d(GICD.ICFGR + 8), 0xaaaa_aaaa);
    assert.equal(rig.d(GICD.ICFGR + 12), 0x0000_0008);
  });

  test('registers without byte access ignore anything but words (IHI0048B 4.1.3)', () => {
    const rig = new Rig();
    rig.setD(GICD.ISENABLER + 4, 0xff, 1);
    assert.equal(rig.d(GICD.ISENABLER + 4), 0);
    assert.equal(rig.d(GICD.ISENABLER, 1), 0);
  });

  test('registers of interrupts that are not there are RAZ/WI (IHI0048B 4.3.4–4.3.13)', () => {
    const rig = new Rig(2, 32);
    for (const array of [GICD.IGROUPR, GICD.ISENABLER, GICD.ISPENDR, GICD.ISACTIVER]) {
      rig.setD(array + 8, 0xffff_ffff);
      assert.equal(rig.d(array + 8), 0);
    }
    rig.setD(GICD.IPRIORITYR + 64, 0xffff_ffff);
    rig.setD(GICD.ITARGETSR + 64, 0xffff_ffff);
    rig.setD(GICD.ICFGR + 16, 0xffff_ffff);
    assert.deepEqual(
      [GICD.IPRIORITYR + 64, GICD.ITARGETSR + 64, GICD.ICFGR + 16].map((at) => rig.d(at)),
      [0, 0, 0],
    );
  });

  test('GICD_SGIR: list, all but self, self; the fourth filter is reserved (IHI0048B 4.3.15)', () => {
    const pendingAfter = (value: number) => {
      const rig = new Rig(4);
      rig.cpu = 1;
      rig.setD(GICD.SGIR, value);
      return [0, 1, 2, 3].map((cpu) => {
        rig.cpu = cpu;
        return rig.d(GICD.SPENDSGIR + 3, 1);
      });
    };
    assert.deepEqual(pendingAfter(0x00fd_0003), [2, 0, 2, 2]);
    assert.deepEqual(pendingAfter(0x01ff_0003), [2, 0, 2, 2]);
    assert.deepEqual(pendingAfter(0x0200_0003), [0, 2, 0, 0]);
    assert.deepEqual(pendingAfter(0x03ff_0003), [0, 0, 0, 0]);
  });

  test('GICD_SPENDSGIR and GICD_CPENDSGIR set and clear sources one by one (IHI0048B 4.3.16, 4.3.17)', () => {
    const rig = new Rig(4);
    rig.setD(GICD.SPENDSGIR + 4, 0x00ff_0b00);
    assert.equal(rig.d(GICD.CPENDSGIR + 4), 0x000f_0b00);
    rig.setD(GICD.CPENDSGIR + 5, 0x03, 1);
    assert.equal(rig.d(GICD.SPENDSGIR + 4), 0x000f_0800);
    rig.setD(GICD.CPENDSGIR + 4, 0xffff_ffff);
    assert.equal(rig.d(GICD.ISPENDR), 0);
  });

  test('identifies itself as a GIC-400 of architecture version 2 (DDI0471B 3.2; IHI0048B 4.3.18)', () => {
    const rig = new Rig();
    const ids = Array.from({ length: 12 }, (_, i) => rig.d(0xfd0 + 4 * i));
    assert.deepEqual(ids, [0x04, 0, 0, 0, 0x90, 0xb4, 0x2b, 0, 0x0d, 0xf0, 0x05, 0xb1]);
    assert.equal(rig.d(GICD.IIDR), 0x0200_143b);
    assert.equal((rig.c(GICC.IIDR) >>> 16) & 0xf, 2);
  });
});

describe('GICv2 CPU interface', () => {
  test('a level-sensitive interrupt: IRQ, acknowledge, end, again while the line is high (IHI0048B 3.2)', () => {
    const rig = new Rig().start();
    rig.enable(42);
    const line = rig.gic.spi(10);
    line.set(true);
    assert.deepEqual(rig.irqs, [true, false]);
    assert.equal(rig.c(GICC.IAR), 42);
    assert.deepEqual(rig.irqs, [false, false], 'active: not signalled again');
    assert.equal(rig.d(GICD.ISPENDR + 4), 1 << 10, 'active and pending');
    rig.setC(GICC.EOIR, 42);
    assert.deepEqual(rig.irqs, [true, false]);
    line.set(false);
    assert.deepEqual(rig.irqs, [false, false]);
    assert.equal(rig.c(GICC.IAR), 1023);
  });

  test('an edge stays pending until acknowledged, one during handling makes it pending again (IHI0048B 3.2)', () => {
    const rig = new Rig().start();
    rig.setD(GICD.ICFGR + 8, 0xaaaa_aaaa);
    rig.enable(33);
    const line = rig.gic.spi(1);
    line.set(true);
    line.set(false);
    assert.deepEqual(rig.irqs, [true, false]);
    assert.equal(rig.c(GICC.IAR), 33);
    line.set(true);
    rig.setC(GICC.EOIR, 33);
    assert.equal(rig.c(GICC.IAR), 33);
    rig.setC(GICC.EOIR, 33);
    assert.deepEqual(rig.irqs, [false, false], 'a line that stays high is no new edge');
  });

  test('a level-sensitive interrupt made pending by GICD_ISPENDR is not after its acknowledge (IHI0048B 4.3.7)', () => {
    const rig = new Rig().start();
    rig.enable(32);
    rig.setD(GICD.ISPENDR + 4, 1);
    assert.equal(rig.c(GICC.IAR), 32);
    assert.equal(rig.d(GICD.ISPENDR + 4), 0);
  });

  test('GICD_ICPENDR does not make pending go while the line is high (IHI0048B 4.3.8)', () => {
    const rig = new Rig();
    rig.gic.spi(0).set(true);
    rig.setD(GICD.ICPENDR + 4, 1);
    assert.equal(rig.d(GICD.ISPENDR + 4), 1);
  });

  test('GICC_PMR lets through only higher priorities (IHI0048B 4.4.2)', () => {
    const rig = new Rig().start();
    rig.enable(32, { priority: 0xa0 });
    rig.gic.spi(0).set(true);
    rig.setC(GICC.PMR, 0xa0);
    assert.deepEqual(rig.irqs, [false, false]);
    assert.equal(rig.c(GICC.IAR), 1023);
    assert.equal(rig.c(GICC.HPPIR), 32, 'GICC_HPPIR does not look at the mask');
    rig.setC(GICC.PMR, 0xa8);
    assert.deepEqual(rig.irqs, [true, false]);
  });

  test('preemption is by group priority, the binary point divides it (IHI0048B 3.3.3)', () => {
    for (const [binaryPoint, preempts] of [
      [2, true],
      [4, true],
      [5, false],
      [7, false],
    ] as const) {
      const rig = new Rig().start();
      rig.setC(GICC.BPR, binaryPoint);
      rig.enable(40, { priority: 0xa0 });
      rig.enable(41, { priority: 0x80 });
      rig.gic.spi(8).set(true);
      assert.equal(rig.c(GICC.IAR), 40);
      rig.gic.spi(9).set(true);
      assert.equal(rig.irqs[0], preempts, `binary point ${binaryPoint}`);
    }
  });

  test('a coarse binary point does not let an interrupt preempt one of higher priority (IHI0048B 3.3.3)', () => {
    const rig = new Rig().start();
    rig.enable(40, { priority: 0x08 });
    rig.enable(41, { priority: 0x40 });
    rig.gic.spi(8).set(true);
    assert.equal(rig.c(GICC.IAR), 40);
    rig.setC(GICC.BPR, 7);
    rig.gic.spi(9).set(true);
    assert.deepEqual([rig.irqs[0], rig.c(GICC.IAR)], [false, 1023]);
  });

  test('GICC_RPR shows the highest active group priority, 0xff when idle (IHI0048B 4.4.6)', () => {
    const rig = new Rig().start();
    rig.enable(40, { priority: 0xa8 });
    rig.enable(41, { priority: 0x88 });
    assert.equal(rig.c(GICC.RPR), 0xff);
    rig.gic.spi(8).set(true);
    rig.c(GICC.IAR);
    assert.equal(rig.c(GICC.RPR), 0xa8);
    rig.gic.spi(9).set(true);
    rig.c(GICC.IAR);
    assert.equal(rig.c(GICC.RPR), 0x88);
    assert.equal(rig.c(GICC.APR0), (1 << (0xa8 >> 3)) | (1 << (0x88 >> 3)));
    rig.setC(GICC.EOIR, 41);
    assert.equal(rig.c(GICC.RPR), 0xa8);
  });

  test('GICC_BPR and GICC_ABPR have a minimum with five priority bits (IHI0048B 4.4.3, 4.4.8)', () => {
    const rig = new Rig();
    rig.setC(GICC.BPR, 0);
    rig.setC(GICC.ABPR, 0);
    assert.deepEqual([rig.c(GICC.BPR), rig.c(GICC.ABPR)], [2, 3]);
  });

  test('of interrupts of one priority the lowest INTID comes first; of several, the highest priority', () => {
    const rig = new Rig().start();
    rig.enable(50, { priority: 0x40 });
    rig.enable(60, { priority: 0x20 });
    rig.enable(45, { priority: 0x40 });
    for (const spi of [18, 28, 13]) rig.gic.spi(spi).set(true);
    const taken = [0, 0, 0].map(() => {
      const intid = rig.c(GICC.IAR);
      rig.setC(GICC.EOIR, intid);
      rig.gic.spi(intid - 32).set(false);
      return intid;
    });
    assert.deepEqual(taken, [60, 45, 50]);
  });

  test('an SGI is acknowledged once for each source, with the source in CPUID (IHI0048B 4.4.4)', () => {
    const rig = new Rig(3).start();
    for (const source of [2, 1]) {
      rig.cpu = source;
      rig.setD(GICD.SGIR, 0x0001_0007);
    }
    rig.cpu = 0;
    assert.deepEqual(rig.irqs, [true, false, false]);
    assert.equal(rig.c(GICC.IAR), (1 << 10) | 7);
    rig.setC(GICC.EOIR, (1 << 10) | 7);
    assert.equal(rig.c(GICC.IAR), (2 << 10) | 7);
    rig.setC(GICC.EOIR, (2 << 10) | 7);
    assert.equal(rig.c(GICC.IAR), 1023);
  });

  test('an SPI for several CPUs is signalled to all and handled by the first (IHI0048B 3.1.1)', () => {
    const rig = new Rig().start();
    rig.enable(32, { targets: 3 });
    rig.gic.spi(0).set(true);
    assert.deepEqual(rig.irqs, [true, true]);
    rig.cpu = 1;
    assert.equal(rig.c(GICC.IAR), 32);
    assert.deepEqual(rig.irqs, [false, false]);
    rig.cpu = 0;
    assert.equal(rig.c(GICC.IAR), 1023);
  });

  test('a PPI is pending on its CPU alone', () => {
    const rig = new Rig().start();
    for (const cpu of [0, 1]) {
      rig.cpu = cpu;
      rig.setD(GICD.ISENABLER, 1 << 27);
    }
    rig.gic.ppi(1, 11).set(true);
    assert.deepEqual(rig.irqs, [false, true]);
    assert.equal(rig.c(GICC.IAR), 27);
  });

  test('with EOImode GICC_EOIR drops the priority and GICC_DIR deactivates (IHI0048B 4.4.5, 4.4.15)', () => {
    const rig = new Rig().start();
    rig.setC(GICC.CTLR, CTLR.grp0 | CTLR.eoiMode);
    rig.enable(32);
    rig.gic.spi(0).set(true);
    rig.c(GICC.IAR);
    rig.setC(GICC.EOIR, 32);
    assert.equal(rig.c(GICC.RPR), 0xff);
    assert.equal(rig.d(GICD.ISACTIVER + 4), 1);
    assert.deepEqual(rig.irqs, [false, false]);
    rig.setC(GICC.DIR, 32);
    assert.deepEqual(rig.irqs, [true, false]);
  });

  test('GICC_DIR without EOImode does nothing (IHI0048B 4.4.15)', () => {
    const rig = new Rig().start();
    rig.setD(GICD.ISACTIVER + 4, 1);
    rig.setC(GICC.DIR, 32);
    assert.equal(rig.d(GICD.ISACTIVER + 4), 1);
  });

  test('FIQEn: Group 0 by FIQ, Group 1 by IRQ (IHI0048B 4.4.1)', () => {
    const { grp0, grp1, fiqEn } = CTLR;
    const rig = new Rig().start();
    rig.setD(GICD.CTLR, 3);
    rig.enable(32, { priority: 0x80 });
    rig.setC(GICC.CTLR, grp0 | grp1 | fiqEn);
    rig.gic.spi(0).set(true);
    assert.deepEqual([rig.irqs[0], rig.fiqs[0]], [false, true]);
    rig.setD(GICD.IGROUPR + 4, 1);
    assert.deepEqual([rig.irqs[0], rig.fiqs[0]], [true, false]);
    rig.setC(GICC.CTLR, grp0 | fiqEn);
    assert.deepEqual([rig.irqs[0], rig.fiqs[0]], [false, false]);
  });

  test('Group 1 reads as 1022 in GICC_IAR and GICC_HPPIR unless AckCtl; the aliases have it (IHI0048B 4.4.4–4.4.11)', () => {
    const { grp0, grp1, ackCtl } = CTLR;
    const rig = new Rig().start();
    rig.setD(GICD.CTLR, 3);
    rig.setD(GICD.IGROUPR + 4, 1);
    rig.enable(32);
    rig.setC(GICC.CTLR, grp0 | grp1);
    rig.gic.spi(0).set(true);
    assert.deepEqual([rig.c(GICC.HPPIR), rig.c(GICC.IAR), rig.c(GICC.AHPPIR)], [1022, 1022, 32]);
    assert.equal(rig.d(GICD.ISACTIVER + 4), 0, '1022 is no acknowledge');
    assert.equal(rig.c(GICC.AIAR), 32);
    assert.equal(rig.c(GICC.NSAPR0), 1 << (0xa0 >> 3));
    rig.setC(GICC.AEOIR, 32);
    assert.equal(rig.c(GICC.NSAPR0), 0);
    rig.setC(GICC.CTLR, grp0 | grp1 | ackCtl);
    assert.equal(rig.c(GICC.IAR), 32);
    rig.setC(GICC.EOIR, 32);
    assert.deepEqual(rig.irqs, [true, false]);
  });

  test('Group 0 reads as 1023 in the aliases, and GICC_AEOIR does not end it (IHI0048B 4.4.9–4.4.11)', () => {
    const rig = new Rig().start();
    rig.enable(32);
    rig.gic.spi(0).set(true);
    assert.deepEqual([rig.c(GICC.AHPPIR), rig.c(GICC.AIAR)], [1023, 1023]);
    assert.equal(rig.c(GICC.IAR), 32);
    rig.setC(GICC.AEOIR, 32);
    assert.equal(rig.d(GICD.ISACTIVER + 4), 1);
  });

  test('nothing is forwarded or signalled while either enable is off (IHI0048B 4.3.1, 4.4.1)', () => {
    const rig = new Rig().start();
    rig.enable(32);
    rig.gic.spi(0).set(true);
    rig.setD(GICD.CTLR, 0);
    assert.deepEqual([rig.irqs[0], rig.c(GICC.HPPIR)], [false, 1023]);
    rig.setD(GICD.CTLR, 1);
    rig.setC(GICC.CTLR, 0);
    assert.deepEqual([rig.irqs[0], rig.c(GICC.IAR)], [false, 1023]);
  });

  test('acknowledging until 1023 drains every pending interrupt, as EDK2 does at ExitBootServices', () => {
    const rig = new Rig().start();
    for (let intid = 32; intid < 96; intid++) {
      rig.enable(intid, { priority: (intid * 8) & 0x78 });
      rig.setD(GICD.ISPENDR + (intid >>> 5) * 4, (1 << (intid & 31)) >>> 0);
    }
    rig.setD(GICD.SGIR, 0x0201_0003);
    let taken = 0;
    for (let intid = rig.c(GICC.IAR); (intid & 0x3ff) < 1020; intid = rig.c(GICC.IAR)) {
      rig.setC(GICC.EOIR, intid);
      taken++;
    }
    assert.equal(taken, 65);
  });
});

describe('GICv2', () => {
  test('the start of a driver touches nothing that is not there: no guest error (IHI0048B 4.3, 4.4)', () => {
    const errors: string[] = [];
    const trace = {
      on: (channel: string) => channel === 'guest-errors',
      event: (_channel: string, text: string) => void errors.push(text),
    };
    const line = new Probe();
    const gic = new Gicv2(64, { cpus: [{ irq: line, fiq: line }], currentCpu: () => 0, trace });
    for (const at of [
      GICD.CTLR,
      GICD.ICFGR + 8,
      GICD.IGROUPR,
      GICD.ISENABLER,
      GICD.ICACTIVER,
      GICD.IPRIORITYR,
    ]) {
      gic.distributor.write(at, 4, 0);
    }
    for (let i = 0; i < 4; i++) gic.cpuInterface.write(GICC.APR0 + 4 * i, 4, 0xffff_ffff);
    assert.deepEqual(
      [0, 1, 2, 3].map((i) => gic.cpuInterface.read(GICC.APR0 + 4 * i, 4)),
      [0xffff_ffff, 0, 0, 0],
    );
    assert.deepEqual(errors, []);
    gic.distributor.read(0x00c, 4);
    gic.distributor.write(GICD.ISENABLER, 1, 1);
    assert.deepEqual(errors, [
      'gicd: read of 4 bytes of offset 0xc, where no register is',
      'gicd: write of 1 bytes of GICD_ISENABLER',
    ]);
  });

  test('reset keeps the levels of the input lines and nothing else (IHI0048B 4.1.5)', () => {
    const rig = new Rig().start();
    rig.enable(32);
    rig.gic.spi(0).set(true);
    rig.gic.ppi(0, 4).set(true);
    rig.gic.reset();
    assert.deepEqual(rig.irqs, [false, false]);
    assert.equal(rig.d(GICD.ISENABLER + 4), 0);
    assert.equal(rig.d(GICD.ISPENDR + 4), 1);
    assert.equal(rig.d(GICD.ISPENDR), 1 << 20);
  });

  test('restoring drives the lines even where other hands have moved them', () => {
    const rig = new Rig().start();
    rig.enable(32);
    rig.gic.spi(0).set(true);
    rig.inputs[0]!.irq.set(false);
    rig.gic.restoreState(rig.gic.saveState());
    assert.deepEqual(rig.irqs, [true, false]);
  });

  test('pending, active and priority are as a plain model of IHI0048B chapter 3 has them', () => {
    assertBehavesLikeModel(2, () => faceOf(new Rig(MODEL_CPUS, MODEL_INTIDS - 32)));
  });

  test('the device-tree node has two regions and three-cell interrupts (arm,gic.yaml)', () => {
    const v2m = new Gicv2m(80, { spis: [] }).describe(physAddr(0x0802_0000));
    const { name, label, properties, children } = new Rig().gic.describe(
      { distributor: physAddr(0x0800_0000), cpuInterface: physAddr(0x0801_0000) },
      [v2m],
    );
    assert.deepEqual([name, label, children?.[0]?.label], ['intc@8000000', 'intc', 'v2m']);
    assert.deepEqual(properties['reg'], {
      cells: [0, 0x0800_0000, 0, 0x1000, 0, 0x0801_0000, 0, 0x2000],
    });
    assert.deepEqual(properties['#interrupt-cells'], { cells: [3] });
  });
});

describe('GICv2m (DEN0029, GICv2m)', () => {
  const make = () => {
    const rig = new Rig().start();
    rig.setD(GICD.ICFGR + 16, 0xaaaa_aaaa);
    for (let intid = 64; intid < 80; intid++) rig.enable(intid);
    const spis = Array.from({ length: 16 }, (_, i) => rig.gic.spi(32 + i));
    return { rig, v2m: new Gicv2m(64, { spis }) };
  };

  test('MSI_TYPER: base SPI and number of SPIs', () => {
    const { v2m } = make();
    assert.equal(v2m.read(0x008, 4), (64 << 16) | 16);
    assert.equal(v2m.read(0x040, 4), 0);
  });

  test('MSI_SETSPI_NS makes the SPI pending by an edge, in 32 and 16 bits', () => {
    const { rig, v2m } = make();
    v2m.write(0x040, 4, 65);
    assert.equal(rig.c(GICC.IAR), 65);
    rig.setC(GICC.EOIR, 65);
    assert.equal(rig.irqs[0], false);
    v2m.write(0x040, 2, 79);
    assert.equal(rig.c(GICC.IAR), 79);
  });

  test('MSI_SETSPI_NS ignores INTIDs that are not the frame’s', () => {
    const { rig, v2m } = make();
    for (const intid of [0, 63, 80, 0xffff_ffff]) v2m.write(0x040, 4, intid);
    v2m.write(0x042, 2, 64);
    assert.deepEqual([rig.d(GICD.ISPENDR + 4), rig.d(GICD.ISPENDR + 8)], [0, 0]);
  });
});

/** Takes Group 0 by the plain registers and Group 1 by the aliases, Group 0 by FIQ. */
function faceOf(rig: Rig): GicFace {
  const { grp0, grp1, fiqEn, cbpr, eoiMode } = CTLR;
  const ctlr = Array.from({ length: MODEL_CPUS }, () => fiqEn);
  const as = (cpu: number) => {
    rig.cpu = cpu;
    return rig;
  };
  return {
    ...distributorFace(rig, (cpu, _intid, at) => ({
      read: () => as(cpu).d(at),
      write: (value) => as(cpu).setD(at, value),
    })),
    setTarget: (intid, cpu) => rig.setD(GICD.ITARGETSR + intid, 1 << cpu, 1),
    sendSgi: (from, to, intid) => as(from).setD(GICD.SGIR, (0x10000 << to) | intid),
    setInterface: (cpu, { mask, binaryPoints, commonBinaryPoint, splitsEoi, groups }) => {
      as(cpu);
      if (mask !== undefined) rig.setC(GICC.PMR, mask);
      if (binaryPoints) rig.setC(GICC.BPR, binaryPoints[0]);
      if (binaryPoints) rig.setC(GICC.ABPR, binaryPoints[1]);
      const change = (bits: number, to: number) => {
        ctlr[cpu] = (ctlr[cpu]! & ~bits) | to;
      };
      if (commonBinaryPoint !== undefined) change(cbpr, commonBinaryPoint ? cbpr : 0);
      if (splitsEoi !== undefined) change(eoiMode, splitsEoi ? eoiMode : 0);
      if (groups !== undefined) change(grp0 | grp1, groups);
      rig.setC(GICC.CTLR, ctlr[cpu]!);
    },
    acknowledge: (cpu, group) => as(cpu).c(group === 0 ? GICC.IAR : GICC.AIAR),
    endOfInterrupt: (cpu, value, group) => as(cpu).setC(group === 0 ? GICC.EOIR : GICC.AEOIR, value),
    deactivate: (cpu, value) => as(cpu).setC(GICC.DIR, value),
    highestPending: (cpu, group) => as(cpu).c(group === 0 ? GICC.HPPIR : GICC.AHPPIR),
    runningPriority: (cpu) => as(cpu).c(GICC.RPR),
  };
}

const makeFrame = (frame: 'distributor' | 'cpuInterface') => () => {
  const rig = new Rig();
  return frameRigOf<Rig, Gicv2State>(rig, rig.gic[frame], rig.gic);
};

const activity = ({ rig }: { readonly rig: Rig }) => {
  rig.cpu = 0;
  rig.start();
  activateSpis(
    rig,
    (intid, priority) => rig.enable(intid, { priority, targets: 3 }),
    () => rig.c(GICC.IAR),
  );
  rig.setD(GICD.SGIR, 0x0002_0001);
};

const stimulate = ({ rig }: { readonly rig: Rig }, seed: number) => {
  const level = (seed & 2) !== 0;
  if ((seed & 4) !== 0) rig.gic.ppi((seed >>> 3) & 1, (seed >>> 4) & 15).set(level);
  else rig.gic.spi((seed >>> 4) & 63).set(level);
};

deviceSuite({
  title: 'GICv2 distributor (IHI0048B 4.3)',
  make: makeFrame('distributor'),
  registers: [
    { name: 'GICD_CTLR', at: GICD.CTLR, size: 4, reset: 0, writable: 3 },
    { name: 'GICD_TYPER', at: GICD.TYPER, size: 4, reset: 0x22, writable: 0 },
    { name: 'GICD_IIDR', at: GICD.IIDR, size: 4, reset: 0x0200_143b, writable: 0 },
    { name: 'GICD_IGROUPR1', at: GICD.IGROUPR + 4, size: 4, reset: 0, writable: 0xffff_ffff },
    { name: 'GICD_ISENABLER0', at: GICD.ISENABLER, size: 4, reset: 0xffff },
    { name: 'GICD_ICENABLER1', at: GICD.ICENABLER + 4, size: 4, reset: 0 },
    { name: 'GICD_ISPENDR1', at: GICD.ISPENDR + 4, size: 4, reset: 0 },
    { name: 'GICD_ICACTIVER1', at: GICD.ICACTIVER + 4, size: 4, reset: 0 },
    { name: 'GICD_IPRIORITYR0', at: GICD.IPRIORITYR, size: 4, reset: 0, writable: 0xf8f8_f8f8 },
    { name: 'GICD_IPRIORITYR9', at: GICD.IPRIORITYR + 36, size: 4, reset: 0, writable: 0xf8f8_f8f8 },
    { name: 'GICD_ITARGETSR0', at: GICD.ITARGETSR, size: 4, reset: 0x0101_0101, writable: 0 },
    { name: 'GICD_ITARGETSR8', at: GICD.ITARGETSR + 32, size: 4, reset: 0, writable: 0x0303_0303 },
    { name: 'GICD_ICFGR0', at: GICD.ICFGR, size: 4, reset: 0xaaaa_aaaa, writable: 0 },
    { name: 'GICD_ICFGR2', at: GICD.ICFGR + 8, size: 4, reset: 0, writable: 0xaaaa_aaaa },
    { name: 'GICD_SGIR', at: GICD.SGIR, size: 4, reset: 0 },
    { name: 'GICD_SPENDSGIR0', at: GICD.SPENDSGIR, size: 4, reset: 0 },
    { name: 'PIDR2', at: 0xfe8, size: 4, reset: 0x2b, writable: 0 },
  ],
  activity,
  stimulate,
});

deviceSuite({
  title: 'GICv2 CPU interface (IHI0048B 4.4)',
  make: makeFrame('cpuInterface'),
  registers: [
    { name: 'GICC_CTLR', at: GICC.CTLR, size: 4, reset: 0, writable: 0x3ff },
    { name: 'GICC_PMR', at: GICC.PMR, size: 4, reset: 0, writable: 0xf8 },
    { name: 'GICC_BPR', at: GICC.BPR, size: 4, reset: 2 },
    { name: 'GICC_ABPR', at: GICC.ABPR, size: 4, reset: 3 },
    { name: 'GICC_RPR', at: GICC.RPR, size: 4, reset: 0xff, writable: 0 },
    { name: 'GICC_HPPIR', at: GICC.HPPIR, size: 4, reset: 1023, writable: 0 },
    { name: 'GICC_AHPPIR', at: GICC.AHPPIR, size: 4, reset: 1023, writable: 0 },
    { name: 'GICC_IAR', at: GICC.IAR, size: 4, reset: 1023 },
    { name: 'GICC_APR0', at: GICC.APR0, size: 4, reset: 0, writable: 0xffff_ffff },
    { name: 'GICC_NSAPR0', at: GICC.NSAPR0, size: 4, reset: 0, writable: 0xffff_ffff },
    { name: 'GICC_IIDR', at: GICC.IIDR, size: 4, reset: 0x0202_143b, writable: 0 },
    { name: 'GICC_EOIR', at: GICC.EOIR, size: 4, reset: 0 },
    { name: 'GICC_DIR', at: GICC.DIR, size: 4, reset: 0 },
  ],
  activity,
  stimulate,
});
