import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { CpuActivity, CpuObserver } from '../bus/index.js';
import { PerformanceMonitors, monitorRegisters } from './performance-monitors.js';

const N = 6;
const PMCR = 0x4101_0000 | (N << 11);
const E = 1n;
const LC = 0x40n;
const CYCLE_COUNTER = 1n << 31n;
const EXCLUDE_EL1 = 1n << 31n;
const EXCLUDE_EL0 = 1n << 30n;
const INCLUDE_EL2 = 1n << 27n;
const SW_INCR = 0n;
const INST_RETIRED = 0x08n;
const CPU_CYCLES = 0x11n;
const CHAIN = 0x1en;
const HPME = 0x80n;

/** A CPU that executes when told to. */
class FakeCpu implements CpuActivity {
  begun = 1000;
  retired = 900;
  exceptionLevel = 1;
  alarm = Infinity;
  isWatched = false;
  line = false;
  observer: CpuObserver | undefined;

  observe(observer: CpuObserver): void {
    this.observer = observer;
  }
  setAlarm(begun: number): void {
    this.alarm = begun;
  }
  watchLevel(isWatched: boolean): void {
    this.isWatched = isWatched;
  }
  /** Instructions, of which some are not executed. */
  run(instructions: number, unretired = 0): void {
    this.begun += instructions;
    this.retired += instructions - unretired;
    if (this.begun < this.alarm) return;
    this.alarm = Infinity;
    this.observer?.onAlarm();
  }
  goTo(level: number): void {
    this.exceptionLevel = level;
    if (this.isWatched) this.observer?.onLevelChange();
  }
}

class Rig {
  readonly cpus: readonly FakeCpu[];
  readonly cpu: FakeCpu;
  readonly pmu: PerformanceMonitors;

  constructor({ cpuCount = 1, hasEl2 = false } = {}) {
    this.cpus = Array.from({ length: cpuCount }, () => new FakeCpu());
    this.cpu = this.cpus[0]!;
    this.pmu = new PerformanceMonitors(
      { pmcr: PMCR, hasEl2 },
      this.cpus.map((cpu) => ({ activity: cpu, irq: { set: (level) => void (cpu.line = level) } })),
    );
  }

  get(name: string, cpu = 0): bigint {
    return this.pmu.readSystemRegister(name, cpu);
  }
  set(name: string, value: bigint, cpu = 0): void {
    this.pmu.writeSystemRegister(name, cpu, value);
  }
  /** Counter `n` counts `type` from `count` on. */
  start(n: number, type: bigint, count = 0n): void {
    this.set(`PMEVTYPER${n}_EL0`, type);
    this.set(`PMEVCNTR${n}_EL0`, count);
    this.set('PMCNTENSET_EL0', 1n << BigInt(n));
    this.set('PMCR_EL0', E);
  }
  count(n: number): bigint {
    return this.get(`PMEVCNTR${n}_EL0`);
  }
}

describe('registers (DDI0487 D19.5)', () => {
  test('PMCR_EL0 has identification, N and LC; E and DP are writable, P and C read as zero', () => {
    const rig = new Rig();
    const fixed = BigInt(PMCR) | LC;
    assert.equal(rig.get('PMCR_EL0'), fixed);
    rig.set('PMCR_EL0', 0xffff_ffffn);
    assert.equal(rig.get('PMCR_EL0'), fixed | 0x21n);
    rig.set('PMCR_EL0', 0n);
    assert.equal(rig.get('PMCR_EL0'), fixed);
  });

  test('masks are set by one register and cleared by another, and have bits for the counters that are there', () => {
    const rig = new Rig();
    for (const [set, clear] of [
      ['PMCNTENSET_EL0', 'PMCNTENCLR_EL0'],
      ['PMOVSSET_EL0', 'PMOVSCLR_EL0'],
      ['PMINTENSET_EL1', 'PMINTENCLR_EL1'],
    ] as const) {
      rig.set(set, 0xffff_ffff_ffff_ffffn);
      assert.deepEqual([rig.get(set), rig.get(clear)], [0x8000_003fn, 0x8000_003fn]);
      rig.set(clear, 0x8000_0003n);
      assert.deepEqual([rig.get(set), rig.get(clear)], [0x3cn, 0x3cn]);
      rig.set(set, 1n);
      assert.equal(rig.get(set), 0x3dn);
    }
  });

  test('types keep P, U and the event, and NSH where there is EL2', () => {
    for (const hasEl2 of [false, true]) {
      const rig = new Rig({ hasEl2 });
      rig.cpu.exceptionLevel = hasEl2 ? 2 : 1;
      const filter = hasEl2 ? 0xc800_0000n : 0xc000_0000n;
      for (const [name, bits] of [
        ['PMEVTYPER0_EL0', filter | 0x3ffn],
        ['PMEVTYPER5_EL0', filter | 0x3ffn],
        ['PMCCFILTR_EL0', filter],
      ] as const) {
        rig.set(name, 0xffff_ffff_ffff_ffffn);
        assert.equal(rig.get(name), bits);
      }
    }
  });

  test('PMXEVTYPER_EL0 and PMXEVCNTR_EL0 are those of the counter selected, PMCCFILTR_EL0 for 31, else nothing', () => {
    const rig = new Rig();
    rig.set('PMSELR_EL0', 2n);
    rig.set('PMXEVTYPER_EL0', CPU_CYCLES);
    rig.set('PMXEVCNTR_EL0', 7n);
    assert.deepEqual([rig.get('PMEVTYPER2_EL0'), rig.count(2)], [CPU_CYCLES, 7n]);
    rig.set('PMSELR_EL0', 0xffn);
    assert.equal(rig.get('PMSELR_EL0'), 31n);
    rig.set('PMXEVTYPER_EL0', EXCLUDE_EL0);
    rig.set('PMXEVCNTR_EL0', 9n);
    assert.deepEqual([rig.get('PMCCFILTR_EL0'), rig.get('PMXEVTYPER_EL0')], [EXCLUDE_EL0, EXCLUDE_EL0]);
    assert.equal(rig.get('PMXEVCNTR_EL0'), 0n);
    rig.set('PMSELR_EL0', 6n);
    rig.set('PMXEVTYPER_EL0', 5n);
    rig.set('PMXEVCNTR_EL0', 5n);
    assert.deepEqual([rig.get('PMXEVTYPER_EL0'), rig.get('PMXEVCNTR_EL0')], [0n, 0n]);
  });

  test('PMCEID0_EL0 tells SW_INCR, INST_RETIRED, CPU_CYCLES and CHAIN, PMCEID1_EL0 nothing', () => {
    const rig = new Rig();
    assert.equal(rig.get('PMCEID0_EL0'), (1n << 0x00n) | (1n << 0x08n) | (1n << 0x11n) | (1n << 0x1en));
    assert.equal(rig.get('PMCEID1_EL0'), 0n);
    rig.set('PMCEID0_EL0', 0n);
    assert.notEqual(rig.get('PMCEID0_EL0'), 0n);
  });

  test('PMCR_EL0.P zeroes event counters, C the cycle counter; overflow status keeps', () => {
    const rig = new Rig();
    rig.set('PMEVCNTR3_EL0', 3n);
    rig.set('PMCCNTR_EL0', 4n);
    rig.set('PMOVSSET_EL0', 8n);
    rig.set('PMCR_EL0', 2n);
    assert.deepEqual([rig.count(3), rig.get('PMCCNTR_EL0')], [0n, 4n]);
    rig.set('PMEVCNTR3_EL0', 3n);
    rig.set('PMCR_EL0', 4n);
    assert.deepEqual([rig.count(3), rig.get('PMCCNTR_EL0'), rig.get('PMOVSSET_EL0')], [3n, 0n, 8n]);
  });
});

describe('counting (DDI0487 D13.2)', () => {
  test('instructions executed, and instructions begun as cycles', () => {
    const rig = new Rig();
    rig.start(0, INST_RETIRED);
    rig.start(1, CPU_CYCLES);
    rig.start(2, 0x123n);
    rig.set('PMCNTENSET_EL0', CYCLE_COUNTER);
    rig.cpu.run(100, 3);
    assert.deepEqual([rig.count(0), rig.count(1), rig.count(2)], [97n, 100n, 0n]);
    assert.equal(rig.get('PMCCNTR_EL0'), 100n);
  });

  test('only what is enabled, while PMCR_EL0.E is set', () => {
    const rig = new Rig();
    rig.start(0, INST_RETIRED);
    rig.start(1, INST_RETIRED);
    rig.set('PMCNTENCLR_EL0', 2n);
    rig.cpu.run(10);
    rig.set('PMCR_EL0', 0n);
    rig.cpu.run(10);
    rig.set('PMCR_EL0', E);
    rig.cpu.run(10);
    assert.deepEqual([rig.count(0), rig.count(1)], [20n, 0n]);
  });

  test('CPUs count for themselves', () => {
    const rig = new Rig({ cpuCount: 2 });
    rig.start(0, INST_RETIRED);
    rig.cpus[1]!.run(50);
    rig.cpu.run(5);
    assert.deepEqual([rig.count(0), rig.get('PMEVCNTR0_EL0', 1)], [5n, 0n]);
  });

  test('filters by exception level, which is watched only where it makes a difference', () => {
    const rig = new Rig({ hasEl2: true });
    const { cpu } = rig;
    const types = [0n, EXCLUDE_EL1, EXCLUDE_EL0, INCLUDE_EL2, EXCLUDE_EL1 | EXCLUDE_EL0 | INCLUDE_EL2];
    types.forEach((filter, n) => {
      rig.start(n, filter | INST_RETIRED);
    });
    rig.set('PMCCFILTR_EL0', EXCLUDE_EL0);
    rig.set('PMCNTENSET_EL0', CYCLE_COUNTER);
    assert.equal(cpu.isWatched, true);
    for (const [level, instructions] of [
      [1, 1],
      [0, 10],
      [2, 100],
      [1, 1000],
      [0, 10_000],
    ] as const) {
      cpu.goTo(level);
      cpu.run(instructions);
    }
    assert.deepEqual(
      types.map((_, n) => rig.count(n)),
      [11_011n, 10_010n, 1001n, 11_111n, 100n],
    );
    assert.equal(rig.get('PMCCNTR_EL0'), 1001n);
    rig.set('PMCR_EL0', 0n);
    assert.equal(cpu.isWatched, false);

    const plain = new Rig();
    plain.start(0, INST_RETIRED);
    assert.equal(plain.cpu.isWatched, false, 'EL0 and EL1 count the same, and there is no EL2');
  });

  test('PMSWINC_EL0 increments enabled counters of SW_INCR, where the filter lets it', () => {
    const rig = new Rig();
    rig.start(0, SW_INCR);
    rig.start(1, SW_INCR | EXCLUDE_EL1);
    rig.start(2, INST_RETIRED);
    rig.set('PMSWINC_EL0', 0x3fn);
    assert.deepEqual(
      [0, 1, 2, 3].map((n) => rig.count(n)),
      [1n, 0n, 0n, 0n],
    );
    rig.set('PMSWINC_EL0', 0x3en);
    rig.set('PMCR_EL0', 0n);
    rig.set('PMSWINC_EL0', 1n);
    assert.equal(rig.count(0), 1n);
  });

  test('a chained counter counts the overflows of the even one before it', () => {
    const rig = new Rig();
    rig.start(1, CHAIN);
    rig.start(2, CHAIN);
    rig.start(0, CPU_CYCLES, 0xffff_ffffn);
    rig.cpu.run(1);
    assert.deepEqual(
      [0, 1, 2].map((n) => rig.count(n)),
      [0n, 1n, 0n],
    );
    assert.equal(rig.get('PMOVSSET_EL0'), 1n);
    rig.cpu.run(3 * 2 ** 32);
    assert.deepEqual([rig.count(0), rig.count(1)], [0n, 4n]);
    rig.set('PMCNTENCLR_EL0', 2n);
    rig.cpu.run(2 ** 32);
    assert.equal(rig.count(1), 4n);
  });

  test('any sequence of accesses counts what was executed while enabled', () => {
    const steps = fc.array(
      fc.record({
        instructions: fc.nat(2 ** 33),
        unretired: fc.nat(5),
        on: fc.boolean(),
        reads: fc.boolean(),
      }),
    );
    fc.assert(
      fc.property(steps, (all) => {
        const rig = new Rig();
        rig.start(0, INST_RETIRED);
        rig.start(1, CHAIN);
        rig.set('PMCNTENSET_EL0', CYCLE_COUNTER);
        let [executed, cycles] = [0n, 0n];
        for (const { instructions, unretired, on, reads } of all) {
          rig.set('PMCR_EL0', on ? E : 0n);
          rig.cpu.run(instructions, Math.min(instructions, unretired));
          if (reads) rig.get('PMOVSCLR_EL0');
          if (!on) continue;
          executed += BigInt(instructions - Math.min(instructions, unretired));
          cycles += BigInt(instructions);
        }
        assert.equal((rig.count(1) << 32n) | rig.count(0), executed);
        assert.equal(rig.get('PMCCNTR_EL0'), cycles);
      }),
    );
  });
});

describe('overflow and its interrupt (DDI0487 D13.3)', () => {
  test('an enabled interrupt raises the line at the overflow, not before, until the status is cleared', () => {
    const rig = new Rig();
    const { cpu } = rig;
    rig.set('PMINTENSET_EL1', 1n);
    rig.start(0, INST_RETIRED, 0x1_0000_0000n - 1000n);
    assert.equal(cpu.alarm, cpu.begun + 1000);
    cpu.run(999);
    assert.equal(cpu.line, false);
    cpu.run(1);
    assert.equal(cpu.line, true);
    rig.set('PMOVSCLR_EL0', 1n);
    assert.equal(cpu.line, false);
    assert.equal(cpu.alarm, cpu.begun + 2 ** 32);
  });

  test('instructions that were not executed put it off', () => {
    const rig = new Rig();
    const { cpu } = rig;
    rig.set('PMINTENSET_EL1', 1n);
    rig.start(0, INST_RETIRED, 0x1_0000_0000n - 1000n);
    cpu.run(1000, 10);
    assert.equal(cpu.line, false);
    assert.equal(cpu.alarm, cpu.begun + 10);
    cpu.run(10);
    assert.equal(cpu.line, true);
  });

  test('the line follows status, enable and PMCR_EL0.E', () => {
    const rig = new Rig();
    const levels = (
      [
        ['PMOVSSET_EL0', 4n],
        ['PMINTENSET_EL1', 4n],
        ['PMCR_EL0', E],
        ['PMINTENCLR_EL1', 4n],
        ['PMINTENSET_EL1', CYCLE_COUNTER | 4n],
        ['PMOVSCLR_EL0', 4n],
        ['PMOVSSET_EL0', CYCLE_COUNTER],
        ['PMCR_EL0', 0n],
      ] as const
    ).map(([name, value]) => {
      rig.set(name, value);
      return rig.cpu.line;
    });
    assert.deepEqual(levels, [false, false, true, false, true, false, true, false]);
  });

  test('the cycle counter overflows at 64 bits', () => {
    const rig = new Rig();
    rig.set('PMINTENSET_EL1', CYCLE_COUNTER);
    rig.set('PMCNTENSET_EL0', CYCLE_COUNTER);
    rig.set('PMCR_EL0', E);
    rig.set('PMCCNTR_EL0', 0xffff_ffffn);
    rig.cpu.run(10);
    assert.equal(rig.get('PMOVSSET_EL0'), 0n);
    rig.set('PMCCNTR_EL0', 0xffff_ffff_ffff_ffffn);
    rig.cpu.run(2);
    assert.deepEqual([rig.get('PMCCNTR_EL0'), rig.get('PMOVSSET_EL0')], [1n, CYCLE_COUNTER]);
    assert.equal(rig.cpu.line, true);
  });

  test('no alarm without need: the interrupt disabled, the status set already, the filter in the way', () => {
    const rig = new Rig();
    rig.start(0, INST_RETIRED | EXCLUDE_EL1);
    assert.equal(rig.cpu.alarm, Infinity);
    rig.set('PMINTENSET_EL1', 1n);
    assert.equal(rig.cpu.alarm, Infinity);
    rig.cpu.goTo(0);
    assert.equal(rig.cpu.alarm, rig.cpu.begun + 2 ** 32);
    rig.set('PMOVSSET_EL0', 1n);
    assert.equal(rig.cpu.alarm, Infinity);
  });

  test('a chained counter raises it when both are through', () => {
    const rig = new Rig();
    rig.set('PMINTENSET_EL1', 2n);
    rig.start(1, CHAIN, 0xffff_fffen);
    rig.start(0, CPU_CYCLES, 0xffff_fff0n);
    assert.equal(rig.cpu.alarm, rig.cpu.begun + 16 + 2 ** 32);
    rig.cpu.run(16);
    assert.equal(rig.cpu.line, false);
    rig.cpu.run(2 ** 32);
    assert.equal(rig.cpu.line, true);
  });
});

describe('what EL2 keeps for itself (DDI0487 D19.2, MDCR_EL2)', () => {
  test('HPMN hides counters from EL1 and EL0', () => {
    const rig = new Rig({ hasEl2: true });
    rig.cpu.exceptionLevel = 2;
    rig.set('PMEVCNTR3_EL0', 33n);
    rig.set('PMEVCNTR4_EL0', 44n);
    rig.set('PMCNTENSET_EL0', 0x8000_003fn);
    rig.set('MDCR_EL2', 4n);
    assert.equal((rig.get('PMCR_EL0') >> 11n) & 31n, 6n);
    for (const level of [1, 0]) {
      rig.cpu.exceptionLevel = level;
      assert.equal((rig.get('PMCR_EL0') >> 11n) & 31n, 4n);
      assert.equal(rig.get('PMCNTENSET_EL0'), 0x8000_000fn);
      assert.deepEqual([rig.count(3), rig.count(4)], [33n, 0n]);
      rig.set('PMEVCNTR4_EL0', 5n);
      rig.set('PMSELR_EL0', 4n);
      assert.equal(rig.get('PMXEVCNTR_EL0'), 0n);
      rig.set('PMCNTENCLR_EL0', 0x30n);
    }
    rig.set('PMCR_EL0', 2n);
    rig.cpu.exceptionLevel = 2;
    assert.deepEqual([rig.count(3), rig.count(4)], [0n, 44n]);
    assert.equal(rig.get('PMCNTENSET_EL0'), 0x8000_003fn);
  });

  test('HPME, not PMCR_EL0.E, switches those on', () => {
    const rig = new Rig({ hasEl2: true });
    rig.start(0, INST_RETIRED);
    rig.start(5, INST_RETIRED, 0xffff_ffffn);
    rig.set('PMINTENSET_EL1', 0x20n);
    rig.set('MDCR_EL2', 3n);
    rig.cpu.run(10);
    assert.equal(rig.cpu.line, false);
    rig.set('MDCR_EL2', 3n | HPME);
    rig.cpu.run(10);
    assert.equal(rig.cpu.line, true);
    rig.set('PMCR_EL0', 0n);
    assert.equal(rig.cpu.line, true);
    rig.set('MDCR_EL2', 6n | HPME);
    assert.equal(rig.cpu.line, false);
    assert.deepEqual([rig.count(0), rig.count(5)], [20n, 9n]);
  });

  test('more than there are is all there are', () => {
    const rig = new Rig({ hasEl2: true });
    rig.set('MDCR_EL2', 31n);
    assert.equal((rig.get('PMCR_EL0') >> 11n) & 31n, 6n);
  });
});

describe('state', () => {
  test('reset, of the machine or of the CPU, switches off and zeroes', () => {
    for (const reset of [
      (rig: Rig) => {
        rig.pmu.reset();
      },
      (rig: Rig) => rig.cpu.observer?.onReset(),
    ]) {
      const rig = new Rig();
      const before = monitorRegisters(N).map((name) => rig.get(name));
      rig.set('PMINTENSET_EL1', 1n);
      rig.start(0, INST_RETIRED | EXCLUDE_EL0, 0xffff_ffffn);
      rig.cpu.run(5);
      assert.deepEqual([rig.cpu.line, rig.cpu.isWatched], [true, true]);
      reset(rig);
      assert.deepEqual([rig.cpu.line, rig.cpu.isWatched, rig.cpu.alarm], [false, false, Infinity]);
      rig.cpu.run(5);
      assert.deepEqual(
        monitorRegisters(N).map((name) => rig.get(name)),
        before,
      );
    }
  });

  test('a snapshot in mid-activity goes on counting elsewhere', () => {
    const rig = new Rig({ cpuCount: 2 });
    rig.set('PMINTENSET_EL1', 1n);
    rig.start(0, INST_RETIRED, 0xffff_ff00n);
    rig.cpu.run(0x80);
    const saved = structuredClone(rig.pmu.saveState());
    const other = new Rig({ cpuCount: 2 });
    other.cpu.run(12_345);
    other.pmu.restoreState(saved);
    assert.equal(other.count(0), 0xffff_ff80n);
    other.cpu.run(0x7f);
    assert.equal(other.cpu.line, false);
    other.cpu.run(1);
    assert.equal(other.cpu.line, true);
    assert.deepEqual(saved, structuredClone(rig.pmu.saveState()));
  });

  test('no access throws or leaves 64 bits', () => {
    const names = [...monitorRegisters(N), 'PMEVCNTR9_EL0', 'NONE'];
    const access = fc.record({
      name: fc.constantFrom(...names),
      value: fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
      writes: fc.boolean(),
      instructions: fc.nat(2 ** 33),
      level: fc.nat(2),
    });
    fc.assert(
      fc.property(fc.array(access), (all) => {
        const rig = new Rig({ hasEl2: true });
        for (const { name, value, writes, instructions, level } of all) {
          rig.cpu.goTo(level);
          rig.cpu.run(instructions);
          if (writes) rig.set(name, value);
          else assert.equal(BigInt.asUintN(64, rig.get(name)), rig.get(name));
        }
      }),
    );
  });

  test('the device-tree node is that of arm,pmu.yaml', () => {
    assert.deepEqual(new Rig().pmu.describe(7, 3), {
      name: 'pmu',
      properties: { compatible: 'arm,armv8-pmuv3', interrupts: { cells: [1, 7, 0x304] } },
    });
  });
});
