import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { ManualClock } from '../bus/index.js';
import { GenericTimers, TIMER_REGISTERS } from './generic-timer.js';

type TimerRegister = (typeof TIMER_REGISTERS)[number];

/** QEMU virt's counter: one tick in 16 ns. */
const VIRT_HZ = 62_500_000;
const ENABLE = 1n;
const IMASK = 2n;
const ISTATUS = 4n;
const WRAP = 1n << 64n;

const VIEWS = [
  {
    which: 'physical',
    ctl: 'CNTP_CTL_EL0',
    cval: 'CNTP_CVAL_EL0',
    tval: 'CNTP_TVAL_EL0',
    count: 'CNTPCT_EL0',
  },
  {
    which: 'virtual',
    ctl: 'CNTV_CTL_EL0',
    cval: 'CNTV_CVAL_EL0',
    tval: 'CNTV_TVAL_EL0',
    count: 'CNTVCT_EL0',
  },
  {
    which: 'hypervisor',
    ctl: 'CNTHP_CTL_EL2',
    cval: 'CNTHP_CVAL_EL2',
    tval: 'CNTHP_TVAL_EL2',
    count: 'CNTPCT_EL0',
  },
  {
    which: 'hypervisorVirtual',
    ctl: 'CNTHV_CTL_EL2',
    cval: 'CNTHV_CVAL_EL2',
    tval: 'CNTHV_TVAL_EL2',
    // EL2's own virtual counter has no offset.
    count: 'CNTPCT_EL0',
  },
] as const;

type Which = (typeof VIEWS)[number]['which'];

class Line {
  level = false;
  changes = 0;

  set(level: boolean): void {
    if (level !== this.level) this.changes++;
    this.level = level;
  }
}

class Rig {
  readonly clock = new ManualClock();
  readonly lines: readonly Readonly<Record<Which, Line>>[];
  readonly timers: GenericTimers;

  constructor(cpuCount = 1, frequencyHz = VIRT_HZ) {
    this.lines = Array.from({ length: cpuCount }, () => ({
      physical: new Line(),
      virtual: new Line(),
      hypervisor: new Line(),
      hypervisorVirtual: new Line(),
    }));
    this.timers = new GenericTimers(frequencyHz, { clock: this.clock, cpus: this.lines });
  }

  get(name: TimerRegister, cpu = 0): bigint {
    return this.timers.readSystemRegister(name, cpu);
  }
  set(name: TimerRegister, value: bigint, cpu = 0): void {
    this.timers.writeSystemRegister(name, cpu, value);
  }
}

describe('the system counter (DDI0487G.a D11.1.2, D11.2)', () => {
  test('CNTPCT_EL0 counts whole ticks of guest time', () => {
    const rig = new Rig();
    assert.equal(rig.get('CNTPCT_EL0'), 0n);
    rig.clock.advance(15);
    assert.equal(rig.get('CNTPCT_EL0'), 0n);
    rig.clock.advance(1);
    assert.equal(rig.get('CNTPCT_EL0'), 1n);
    rig.clock.advance(1e9);
    assert.equal(rig.get('CNTPCT_EL0'), 62_500_001n);
  });

  test('a frequency that has no whole number of nanoseconds to a tick counts exactly, for long', () => {
    const rig = new Rig(1, 24_000_000);
    rig.clock.advance(125);
    assert.equal(rig.get('CNTPCT_EL0'), 3n);
    rig.clock.advance(100 * 24 * 3600 * 1e9);
    assert.equal(rig.get('CNTPCT_EL0'), 3n + 100n * 24n * 3600n * 24_000_000n);
  });

  test('CNTFRQ_EL0 starts as the frequency and is what software writes; the counter does not care', () => {
    const rig = new Rig(2);
    assert.equal(rig.get('CNTFRQ_EL0'), BigInt(VIRT_HZ));
    rig.set('CNTFRQ_EL0', 0x1_0000_03e8n);
    assert.equal(rig.get('CNTFRQ_EL0'), 1000n);
    assert.equal(rig.get('CNTFRQ_EL0', 1), BigInt(VIRT_HZ));
    rig.clock.advance(16);
    assert.equal(rig.get('CNTPCT_EL0'), 1n);
  });

  test('CNTVCT_EL0 is CNTPCT_EL0 less CNTVOFF_EL2, modulo 2^64', () => {
    const rig = new Rig(2);
    rig.clock.advance(1600);
    rig.set('CNTVOFF_EL2', 60n);
    assert.deepEqual([rig.get('CNTVCT_EL0'), rig.get('CNTPCT_EL0')], [40n, 100n]);
    assert.equal(rig.get('CNTVCT_EL0', 1), 100n);
    rig.set('CNTVOFF_EL2', 101n);
    assert.equal(rig.get('CNTVCT_EL0'), WRAP - 1n);
  });

  test('counters are read-only', () => {
    const rig = new Rig();
    rig.set('CNTPCT_EL0', 5n);
    rig.set('CNTVCT_EL0', 5n);
    assert.deepEqual([rig.get('CNTPCT_EL0'), rig.get('CNTVCT_EL0')], [0n, 0n]);
  });
});

for (const { which, ctl, cval, tval, count } of VIEWS) {
  describe(`the ${which} timer (DDI0487G.a D11.2.4)`, () => {
    test('its line goes high when the counter reaches the compare value, not before, and stays', () => {
      const rig = new Rig();
      const line = rig.lines[0]![which];
      rig.set(cval, 100n);
      rig.set(ctl, ENABLE);
      rig.clock.advance(1599);
      assert.equal(line.level, false);
      assert.equal(rig.get(ctl), ENABLE);
      rig.clock.advance(1);
      assert.equal(line.level, true);
      assert.equal(rig.get(ctl), ENABLE | ISTATUS);
      rig.clock.advance(1e12);
      assert.deepEqual([line.level, line.changes], [true, 1]);
    });

    test('a compare value already passed is met at once; moving it on takes the line down', () => {
      const rig = new Rig();
      const line = rig.lines[0]![which];
      rig.clock.advance(16_000);
      rig.set(ctl, ENABLE);
      assert.equal(line.level, true);
      rig.set(cval, 2000n);
      assert.equal(line.level, false);
      rig.clock.advance(16_000);
      assert.equal(line.level, true);
    });

    test('IMASK keeps the line down and not ISTATUS; without ENABLE there is neither', () => {
      const rig = new Rig();
      const line = rig.lines[0]![which];
      rig.set(ctl, ENABLE | IMASK);
      assert.deepEqual([line.level, rig.get(ctl)], [false, ENABLE | IMASK | ISTATUS]);
      rig.set(ctl, ENABLE);
      assert.equal(line.level, true);
      rig.set(ctl, IMASK);
      assert.deepEqual([line.level, rig.get(ctl)], [false, IMASK]);
    });

    test('ISTATUS is that of the moment of the read, also while masked', () => {
      const rig = new Rig();
      rig.set(cval, 10n);
      rig.set(ctl, ENABLE | IMASK);
      assert.equal(rig.get(ctl), ENABLE | IMASK);
      rig.clock.advance(160);
      assert.equal(rig.get(ctl), ENABLE | IMASK | ISTATUS);
      assert.equal(rig.lines[0]![which].changes, 0);
    });

    test('writes reach ENABLE and IMASK only', () => {
      const rig = new Rig();
      rig.set(cval, WRAP - 1n);
      rig.set(ctl, WRAP - 1n);
      assert.equal(rig.get(ctl), ENABLE | IMASK);
    });

    test('the timer value is a signed 32-bit distance from the counter, both ways', () => {
      const rig = new Rig();
      rig.clock.advance(16_000);
      rig.set(tval, 50n);
      assert.equal(rig.get(cval), 1050n);
      assert.equal(rig.get(tval), 50n);
      rig.clock.advance(16 * 60);
      assert.equal(rig.get(tval), 0xffff_fff6n, '−10 in 32 bits');
      rig.set(tval, 0xffff_ffffn);
      assert.equal(rig.get(cval), 1059n, 'the upper half of the register does not matter');
      rig.set(tval, 0xffff_ffff_0000_0001n);
      assert.equal(rig.get(cval), 1061n);
    });

    test('a negative timer value below zero wraps to a compare value that is never reached', () => {
      const rig = new Rig();
      rig.set(tval, 0xffff_ffffn);
      rig.set(ctl, ENABLE);
      assert.equal(rig.get(cval), WRAP - 1n);
      assert.equal(rig.lines[0]![which].level, false);
    });

    test('a compare value beyond reachable guest time is accepted and never met', () => {
      const rig = new Rig();
      for (const far of [WRAP - 1n, 1n << 63n, 1n << 53n, (1n << 53n) / 16n + 1n]) {
        rig.set(cval, far);
        rig.set(ctl, ENABLE);
        rig.clock.advance(1e15);
        assert.equal(rig.lines[0]![which].level, false, String(far));
        assert.equal(rig.get(cval), far);
      }
    });

    test('each CPU has its own', () => {
      const rig = new Rig(2);
      rig.set(cval, 10n, 1);
      rig.set(ctl, ENABLE, 1);
      rig.clock.advance(160);
      assert.deepEqual([rig.lines[0]![which].level, rig.lines[1]![which].level], [false, true]);
      assert.equal(rig.get(cval), 0n);
    });

    test('at random settings and times, line and ISTATUS are those of an unsigned 64-bit comparison', () => {
      const near = fc.bigInt({ min: -300n, max: 300n });
      const action = fc.oneof(
        fc.record({ kind: fc.constant('cval' as const), value: near }),
        fc.record({ kind: fc.constant('tval' as const), value: near }),
        fc.record({ kind: fc.constant('ctl' as const), value: fc.constantFrom(1n, 1n, 1n, 3n, 0n) }),
        fc.record({ kind: fc.constant('offset' as const), value: near }),
        fc.record({ kind: fc.constant('wait' as const), ns: fc.integer({ min: 0, max: 3000 }) }),
      );
      let met = 0;
      fc.assert(
        fc.property(
          fc.constantFrom(VIRT_HZ, 24_000_000, 1e9),
          fc.array(action, { minLength: 20 }),
          (hz, actions) => {
            const rig = new Rig(1, hz);
            for (const one of actions) {
              if (one.kind === 'wait') rig.clock.advance(one.ns);
              else if (one.kind === 'cval') rig.set(cval, BigInt.asUintN(64, rig.get(count) + one.value));
              else if (one.kind === 'tval') rig.set(tval, BigInt.asUintN(32, one.value));
              else if (one.kind === 'ctl') rig.set(ctl, one.value);
              else rig.set('CNTVOFF_EL2', BigInt.asUintN(64, one.value));
              const control = rig.get(ctl);
              const isMet = (control & ENABLE) !== 0n && rig.get(count) >= rig.get(cval);
              assert.equal((control & ISTATUS) !== 0n, isMet);
              assert.equal(rig.lines[0]![which].level, isMet && (control & IMASK) === 0n);
              if (isMet) met++;
            }
          },
        ),
        { seed: 0x713, numRuns: 100 },
      );
      assert.ok(met > 100, `met only ${met} times`);
    });
  });
}

describe('the generic timers', () => {
  test('reset disables all timers and takes their lines down; the counter goes on', () => {
    const rig = new Rig(2);
    rig.clock.advance(1600);
    for (const { ctl } of VIEWS) rig.set(ctl, ENABLE, 1);
    rig.timers.reset();
    for (const { which } of VIEWS) assert.equal(rig.lines[1]![which].level, false, which);
    assert.deepEqual([rig.get('CNTP_CTL_EL0', 1), rig.get('CNTPCT_EL0', 1)], [0n, 100n]);
  });

  test('a snapshot taken while a timer runs fires at the same time in another machine', () => {
    const rig = new Rig();
    rig.set('CNTVOFF_EL2', 5n);
    rig.set('CNTV_CVAL_EL0', 95n);
    rig.set('CNTV_CTL_EL0', ENABLE);
    rig.clock.advance(800);
    const state = rig.timers.saveState();
    assert.deepEqual(structuredClone(state), state);
    rig.set('CNTV_CVAL_EL0', 0n);

    const other = new Rig();
    other.clock.advance(800);
    other.timers.restoreState(state);
    other.clock.advance(799);
    assert.equal(other.lines[0]!.virtual.level, false);
    other.clock.advance(1);
    assert.equal(other.lines[0]!.virtual.level, true);
    assert.equal(state.cpus[0]!.timers.virtual.compare, 95n);
  });

  test('the device-tree node has the PPIs in the order of arm,arch_timer.yaml, level-sensitive', () => {
    const ppis = { securePhysical: 13, physical: 14, virtual: 11, hypervisor: 10, hypervisorVirtual: 12 };
    const interrupts = (hasVhe: boolean) =>
      new Rig().timers.describe(ppis, 0b11, hasVhe).properties['interrupts'];
    // As QEMU 7.2 virt has it with two CPUs and a GICv2.
    const cells = [1, 13, 0x304, 1, 14, 0x304, 1, 11, 0x304, 1, 10, 0x304];
    assert.deepEqual(interrupts(false), { cells });
    assert.deepEqual(interrupts(true), { cells: [...cells, 1, 12, 0x304] });
  });

  test('random accesses never throw and read 64 unsigned bits', () => {
    const step = fc.tuple(
      fc.constantFrom(...TIMER_REGISTERS),
      fc.nat(1),
      fc.option(fc.bigInt({ min: 0n, max: WRAP - 1n })),
      fc.nat(1e9),
    );
    fc.assert(
      fc.property(fc.array(step), (steps) => {
        const rig = new Rig(2);
        for (const [name, cpu, value, ns] of steps) {
          if (value !== null) rig.set(name, value, cpu);
          rig.clock.advance(ns);
          const read = rig.get(name, cpu);
          assert.ok(read >= 0n && read < WRAP, `${name} ${read}`);
        }
      }),
      { seed: 0x7133, numRuns: 50 },
    );
  });
});
