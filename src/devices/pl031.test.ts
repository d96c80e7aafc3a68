import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { NO_TRACE } from '../base/index.js';
import { type Clock, ManualClock } from '../bus/index.js';
import { deviceSuite } from './device-suite.js';
import { Pl031 } from './pl031.js';

// DDI0224C table 3-1, stated here independently of the device.
const [DR, MR, LR, CR, IMSC, RIS, MIS, ICR] = [0x00, 0x04, 0x08, 0x0c, 0x10, 0x14, 0x18, 0x1c];
/** 2024-02-29T12:00:00Z */
const EPOCH = 1_709_208_000;
const SECOND = 1e9;

function rig(epochSeconds = EPOCH) {
  const clock = new ManualClock();
  const armed = new Set<string>();
  let level = false;
  const irq = { set: (value: boolean) => (level = value) };
  // Notes whether a timer is armed, on the way to the manual clock.
  const spied: Clock = {
    pollNs: () => clock.pollNs(),
    nowNs: () => clock.nowNs(),
    timer: (name, callback) => {
      const timer = clock.timer(name, () => {
        armed.delete(name);
        callback();
      });
      return {
        arm: (deadlineNs) => {
          armed.add(name);
          timer.arm(deadlineNs);
        },
        cancel: () => {
          armed.delete(name);
          timer.cancel();
        },
      };
    },
  };
  const device = new Pl031('rtc', epochSeconds, { irq, clock: spied, trace: NO_TRACE });
  return {
    device,
    clock,
    get level() {
      return level;
    },
    isTimerArmed: () => armed.size > 0,
    observe: () => level,
    get: (at: number) => device.read(at, 4),
    set: (at: number, value: number) => device.write(at, 4, value),
  };
}

type Rig = ReturnType<typeof rig>;

deviceSuite<ReturnType<Pl031['saveState']>, Rig>({
  title: 'PL031 (DDI0224C)',
  make: rig,
  // RTCDR is the time; it has tests of its own.
  registers: [
    { name: 'RTCMR', at: MR, size: 4, reset: 0, writable: 0xffff_ffff },
    { name: 'RTCLR', at: LR, size: 4, reset: 0, writable: 0xffff_ffff },
    { name: 'RTCCR', at: CR, size: 4, reset: 1, writable: 0 },
    { name: 'RTCIMSC', at: IMSC, size: 4, reset: 0, writable: 1 },
    { name: 'RTCRIS', at: RIS, size: 4, reset: 0, writable: 0 },
    { name: 'RTCMIS', at: MIS, size: 4, reset: 0, writable: 0 },
    { name: 'RTCICR', at: ICR, size: 4, reset: 0 },
    ...[0x31, 0x10, 0x14, 0x00, 0x0d, 0xf0, 0x05, 0xb1].map((reset, index) => ({
      name: index < 4 ? `RTCPeriphID${index}` : `RTCPCellID${index - 4}`,
      at: 0xfe0 + index * 4,
      size: 4 as const,
      reset,
      writable: 0,
    })),
  ],
  activity: (r) => {
    r.clock.advance(1.5 * SECOND);
    r.set(LR, 1000);
    r.set(MR, 1003);
    r.set(IMSC, 1);
  },
});

describe('PL031 counter', () => {
  test('RTCDR counts whole seconds of guest time from the start (3.3.1)', () => {
    const r = rig();
    assert.equal(r.get(DR), EPOCH);
    r.clock.advance(SECOND - 1);
    assert.equal(r.get(DR), EPOCH);
    r.clock.advance(1);
    assert.equal(r.get(DR), EPOCH + 1);
    r.clock.advance(86_400 * SECOND);
    assert.equal(r.get(DR), EPOCH + 86_401);
  });

  test('a time with a fraction, or past 2106, starts at its whole seconds modulo 2^32', () => {
    assert.equal(rig(EPOCH + 0.75).get(DR), EPOCH);
    assert.equal(rig(2 ** 32 + 5).get(DR), 5);
    assert.equal(rig(-1).get(DR), 0xffff_ffff);
  });

  test('RTCLR sets the time and reads back as it was written (3.3.3)', () => {
    const r = rig();
    r.clock.advance(10 * SECOND);
    r.set(LR, 5);
    assert.equal(r.get(DR), 5);
    r.clock.advance(3 * SECOND);
    assert.equal(r.get(DR), 8);
    assert.equal(r.get(LR), 5);
  });

  test('the counter wraps (2.1)', () => {
    const r = rig();
    r.set(LR, 0xffff_ffff);
    r.clock.advance(2 * SECOND);
    assert.equal(r.get(DR), 1);
  });

  test('writing RTCCR does not stop it (3.3.4)', () => {
    const r = rig();
    r.set(CR, 0);
    r.clock.advance(SECOND);
    assert.equal(r.get(DR), EPOCH + 1);
    assert.equal(r.get(CR), 1);
  });

  test('a reset keeps the time', () => {
    const r = rig();
    r.set(LR, 77);
    r.clock.advance(SECOND);
    r.device.reset();
    assert.equal(r.get(DR), 78);
  });
});

describe('PL031 alarm', () => {
  test('the interrupt comes in the second in which the counter reaches RTCMR (2.1, 3.3.2)', () => {
    const r = rig();
    r.set(IMSC, 1);
    r.set(MR, EPOCH + 3);
    r.clock.advance(3 * SECOND - 1);
    assert.equal(r.level, false);
    r.clock.advance(1);
    assert.equal(r.level, true, 'without an access of the guest');
    assert.deepEqual([r.get(RIS), r.get(MIS)], [1, 1]);
  });

  test('RTCICR clears it, and it does not come again for the same match (3.3.8)', () => {
    const r = rig();
    r.set(IMSC, 1);
    r.set(MR, EPOCH + 1);
    r.clock.advance(SECOND);
    r.set(ICR, 1);
    assert.equal(r.level, false);
    assert.equal(r.get(RIS), 0);
    r.clock.advance(100 * SECOND);
    assert.equal(r.level, false);
  });

  test('a match with the present second counts at once', () => {
    const r = rig();
    r.set(IMSC, 1);
    r.set(MR, EPOCH);
    assert.equal(r.level, true);
  });

  test('setting the time moves the match', () => {
    const r = rig();
    r.set(IMSC, 1);
    r.set(MR, 1000);
    r.set(LR, 990);
    r.clock.advance(10 * SECOND - 1);
    assert.equal(r.level, false);
    r.clock.advance(1);
    assert.equal(r.level, true);
  });

  test('RTCIMSC masks the line, not the raw status (3.3.5 to 3.3.7)', () => {
    const r = rig();
    r.set(MR, EPOCH + 1);
    r.clock.advance(5 * SECOND);
    assert.equal(r.level, false);
    assert.deepEqual([r.get(RIS), r.get(MIS)], [1, 0]);
    r.set(IMSC, 1);
    assert.equal(r.level, true);
    r.set(IMSC, 0);
    assert.equal(r.level, false);
  });

  test('a match across the wrap of the counter', () => {
    const r = rig();
    r.set(IMSC, 1);
    r.set(LR, 0xffff_fffe);
    r.set(MR, 1);
    r.clock.advance(3 * SECOND - 1);
    assert.equal(r.level, false);
    r.clock.advance(1);
    assert.equal(r.level, true);
  });

  test('the reset value of RTCMR is no alarm for a time that begins at 0', () => {
    const r = rig(0);
    assert.equal(r.get(RIS), 0);
    r.clock.advance(SECOND);
    assert.equal(r.get(RIS), 0);
  });

  test('a reset takes the alarm back', () => {
    const r = rig();
    r.set(MR, EPOCH + 5);
    r.device.reset();
    r.clock.advance(10 * SECOND);
    assert.equal(r.get(RIS), 0);
    r.set(LR, 0);
    r.device.reset();
    assert.equal(r.get(RIS), 0, 'RTCMR is 0 now, and so is the time');
  });

  test('no timer runs but for an interrupt to come, so that virtual time does not jump to a masked match', () => {
    const r = rig();
    assert.equal(r.isTimerArmed(), false, 'at power-on');
    r.set(MR, EPOCH + 10);
    assert.equal(r.isTimerArmed(), false, 'masked');
    r.set(IMSC, 1);
    assert.equal(r.isTimerArmed(), true, 'an alarm is set');
    r.clock.advance(10 * SECOND);
    assert.equal(r.isTimerArmed(), false, 'it has come');
    r.set(ICR, 1);
    assert.equal(r.isTimerArmed(), false, 'the next one is 136 years away');
    r.set(MR, EPOCH + 20);
    assert.equal(r.isTimerArmed(), true);
    r.device.reset();
    assert.equal(r.isTimerArmed(), false, 'after reset');
  });
});

test('describe() is the node that QEMU gives its virt board', () => {
  assert.deepEqual(rig().device.describe({ base: 0x901_0000, spi: 2 }), [
    {
      name: 'pl031@9010000',
      properties: {
        compatible: ['arm,pl031', 'arm,primecell'],
        reg: { cells: [0, 0x901_0000, 0, 0x1000] },
        interrupts: { cells: [0, 2, 4] },
        clocks: { cells: [{ phandle: 'apb-pclk' }] },
        'clock-names': ['apb_pclk'],
      },
    },
  ]);
});
