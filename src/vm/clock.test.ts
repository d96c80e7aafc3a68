import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { MAX_SLICE_INSTRUCTIONS, RealClock, VirtualClock } from './clock.js';
import { TimerQueue } from './timer-queue.js';

class CountedEngine {
  busyCpus = 1;
  instructions = 0;
  kicks = 0;
  kick(): void {
    this.kicks++;
  }
}

function virtualClock(nsPerInstruction?: number) {
  const engine = new CountedEngine();
  const clock = new VirtualClock(nsPerInstruction);
  clock.connect(engine);
  return { engine, clock };
}

describe('timers', () => {
  test('fire once, in the order of their deadlines, equal ones in the order they were armed', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(20), { maxLength: 60 }), fc.nat(25), (deadlines, nowNs) => {
        const queue = new TimerQueue(() => undefined);
        const fired: number[] = [];
        deadlines.forEach((deadlineNs, i) => {
          queue.timer(() => fired.push(i)).arm(deadlineNs);
        });
        const expected = deadlines
          .map((deadlineNs, i) => ({ deadlineNs, i }))
          .filter(({ deadlineNs }) => deadlineNs <= nowNs)
          .sort((a, b) => (a.deadlineNs === b.deadlineNs ? a.i - b.i : a.deadlineNs - b.deadlineNs))
          .map(({ i }) => i);
        queue.fireDue(nowNs);
        assert.deepEqual(fired, expected);
        queue.fireDue(nowNs);
        assert.deepEqual(fired, expected);
      }),
      { seed: 1, numRuns: 200 },
    );
  });

  test('moved, cancelled and armed again at random, the queue agrees with a sorted list', () => {
    const action = fc.record({ timer: fc.nat(9), deadlineNs: fc.option(fc.nat(50)) });
    fc.assert(
      fc.property(fc.array(action, { maxLength: 100 }), (actions) => {
        const queue = new TimerQueue(() => undefined);
        const fired: number[] = [];
        const timers = Array.from({ length: 10 }, (_, i) => queue.timer(() => fired.push(i)));
        let model: { timer: number; deadlineNs: number }[] = [];
        for (const { timer, deadlineNs } of actions) {
          model = model.filter((entry) => entry.timer !== timer);
          if (deadlineNs === null) timers[timer]!.cancel();
          else {
            timers[timer]!.arm(deadlineNs);
            model.push({ timer, deadlineNs });
          }
          assert.equal(queue.nextDeadlineNs, Math.min(...model.map((entry) => entry.deadlineNs)));
        }
        queue.fireDue(Infinity);
        model.sort((a, b) => a.deadlineNs - b.deadlineNs);
        assert.deepEqual(
          fired,
          model.map((entry) => entry.timer),
        );
      }),
      { seed: 2, numRuns: 200 },
    );
  });

  test('a timer that is armed for the past by its own callback fires at the next look, not for ever', () => {
    const queue = new TimerQueue(() => undefined);
    let count = 0;
    const timer = queue.timer(() => {
      count++;
      timer.arm(0);
    });
    timer.arm(5);
    queue.fireDue(10);
    assert.equal(count, 1);
    queue.fireDue(10);
    assert.equal(count, 2);
  });

  test('a timer that another callback cancels or moves away does not fire', () => {
    const queue = new TimerQueue(() => undefined);
    const fired: string[] = [];
    const cancelled = queue.timer(() => fired.push('cancelled'));
    const moved = queue.timer(() => fired.push('moved'));
    queue
      .timer(() => {
        cancelled.cancel();
        moved.arm(100);
      })
      .arm(1);
    cancelled.arm(2);
    moved.arm(2);
    queue.fireDue(10);
    assert.deepEqual(fired, []);
    assert.equal(queue.nextDeadlineNs, 100);
  });

  test('an infinite deadline is no deadline', () => {
    const queue = new TimerQueue(() => undefined);
    const timer = queue.timer(() => undefined);
    timer.arm(7);
    timer.arm(Infinity);
    assert.equal(queue.nextDeadlineNs, Infinity);
  });
});

describe('virtual clock', () => {
  test('counts instructions exactly', () => {
    const { engine, clock } = virtualClock(3);
    engine.instructions = 1_000_000_000_001;
    assert.equal(clock.nowNs(), 3_000_000_000_003);
  });

  test('a slice ends with the instruction that reaches the next deadline', () => {
    const { engine, clock } = virtualClock(4);
    clock.timer('t', () => undefined).arm(41);
    assert.equal(clock.beginSlice(), 11);
    engine.instructions = 11;
    assert.ok(clock.nowNs() >= 41);
    assert.ok(clock.nowNs() - 4 < 41);
  });

  test('a slice has at most a million instructions and at least one', () => {
    const { engine, clock } = virtualClock();
    assert.equal(clock.beginSlice(), MAX_SLICE_INSTRUCTIONS);
    clock.endSlice();
    engine.instructions = 100;
    clock.timer('t', () => undefined).arm(1);
    assert.equal(clock.beginSlice(), 1);
  });

  test('a deadline armed inside a slice shortens it when it is earlier than the end of the slice', () => {
    const { engine, clock } = virtualClock(4);
    const timer = clock.timer('t', () => undefined);
    timer.arm(4000);
    assert.equal(clock.beginSlice(), 1000);
    timer.arm(5000);
    assert.equal(engine.kicks, 0);
    timer.arm(3000);
    timer.arm(2000);
    assert.equal(engine.kicks, 1);
    clock.endSlice();
    timer.arm(1000);
    assert.equal(engine.kicks, 1);
    assert.equal(clock.beginSlice(), 250);
  });

  test('idle time is skipped up to the next deadline and counted', () => {
    const { engine, clock } = virtualClock(4);
    engine.instructions = 10;
    assert.equal(clock.skipIdle(), false);
    clock.timer('t', () => undefined).arm(5_000_000_000);
    assert.equal(clock.skipIdle(), true);
    assert.equal(clock.nowNs(), 5_000_000_000);
    assert.equal(clock.skippedNs, 4_999_999_960);
    engine.instructions = 11;
    assert.equal(clock.nowNs(), 5_000_000_004);
    clock.skipIdle();
    assert.equal(clock.nowNs(), 5_000_000_004, 'time never goes back to a deadline that has passed');
  });

  test('stands at 0 before there is an engine', () => {
    assert.equal(new VirtualClock().nowNs(), 0);
  });
});

describe('real clock', () => {
  function realClock() {
    const host = { now: 1_000_000, nowNs: () => host.now };
    const engine = new CountedEngine();
    const clock = new RealClock(host);
    clock.connect(engine);
    return { host, engine, clock };
  }

  test('starts at 0, follows the host while started and stands still while stopped', () => {
    const { host, clock } = realClock();
    host.now += 5;
    assert.equal(clock.nowNs(), 0);
    clock.start();
    host.now += 7;
    assert.equal(clock.nowNs(), 7);
    clock.stop();
    host.now += 100;
    assert.equal(clock.nowNs(), 7);
    clock.start();
    host.now += 3;
    assert.equal(clock.nowNs(), 10);
  });

  test('slices aim at the next deadline with the speed that was measured', () => {
    const { host, engine, clock } = realClock();
    clock.start();
    for (let i = 0; i < 100; i++) {
      // 0.5 instructions per nanosecond
      const budget = clock.beginSlice();
      engine.instructions += budget;
      host.now += 2 * budget;
      clock.endSlice();
    }
    clock.timer('t', () => undefined).arm(clock.nowNs() + 100_000);
    const budget = clock.beginSlice();
    assert.ok(budget > 49_000 && budget < 51_000, String(budget));
  });

  test('does not skip idle time', () => {
    const { clock } = realClock();
    clock.timer('t', () => undefined).arm(10);
    assert.equal(clock.skipIdle(), false);
  });
});

describe('a guest that waits by reading a counter, in virtual time', () => {
  const GAP = 6;

  /** Runs slices of a guest that only polls until `untilNs`; the number of reads it took, and the time it saw last. */
  function poll(untilNs: number, periodNs = Infinity) {
    const { engine, clock } = virtualClock();
    let ticks = 0;
    const tick = clock.timer('tick', () => {
      ticks++;
      tick.arm(clock.nowNs() + periodNs);
    });
    if (periodNs !== Infinity) tick.arm(periodNs);
    let reads = 0;
    let seenNs = 0;
    while (seenNs < untilNs) {
      clock.fireDue();
      const end = engine.instructions + clock.beginSlice();
      const { kicks } = engine;
      while (engine.instructions < end && engine.kicks === kicks && seenNs < untilNs) {
        engine.instructions += GAP;
        seenNs = clock.pollNs();
        reads++;
      }
      clock.endSlice();
    }
    return { reads, seenNs, ticks };
  }

  test('sees short delays exactly', () => {
    const { reads, seenNs } = poll(8_000);
    assert.equal(seenNs, Math.ceil(8_000 / (GAP * 4)) * GAP * 4);
    assert.equal(reads, seenNs / (GAP * 4));
  });

  test('gets through seconds in few reads, overshooting by at most a thirtieth', () => {
    const { reads, seenNs } = poll(5e9);
    assert.ok(reads < 1_500, `${reads} reads`);
    assert.ok(seenNs < 5e9 * (1 + 1 / 30));
  });

  test('misses no timer on the way, and none comes late by more than a short slice', () => {
    const { reads, ticks } = poll(5e9, 10_000_000);
    assert.ok(ticks >= 499 && ticks <= 501, `${ticks} ticks`);
    assert.ok(reads < 350_000, `${reads} reads`);
  });

  test('does not make time run away from the handlers of its timers, which read the counter too', () => {
    const { engine, clock } = virtualClock();
    const tick = clock.timer('tick', () => undefined);
    let isHandling = false;
    for (let ticks = 0; ticks < 1_000; ticks++) {
      tick.arm(clock.nowNs() + 4_000_000);
      while (clock.nextDeadlineNs !== Infinity) {
        clock.beginSlice();
        engine.instructions += GAP;
        clock.pollNs();
        clock.endSlice();
        clock.fireDue();
      }
      // No timer is armed now.
      isHandling = !isHandling;
      const beforeNs = clock.nowNs();
      for (let read = 0; read < 10; read++) {
        engine.instructions += isHandling ? 100 : 2_000;
        clock.pollNs();
      }
      assert.equal(clock.nowNs() - beforeNs, 4 * 10 * (isHandling ? 100 : 2_000));
    }
  });

  test('is not taken for one when it does something else between reads', () => {
    const { engine, clock } = virtualClock();
    clock.beginSlice();
    for (let i = 0; i < 1_000; i++) {
      engine.instructions += 1_000;
      assert.equal(clock.pollNs(), engine.instructions * 4);
    }
  });
});
