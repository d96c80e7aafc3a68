import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { NO_TRACE } from '../base/index.js';
import { ManualClock } from '../bus/index.js';
import { deviceSuite } from './device-suite.js';
import { Mc146818 } from './mc146818.js';

// Addresses as in the MC146818A data sheet, stated here independently of the device.
const [INDEX, DATA] = [0, 1];
const [SECONDS, MINUTES, HOURS, WEEKDAY, DAY, MONTH, YEAR, CENTURY] = [0, 2, 4, 6, 7, 8, 9, 0x32];
const [A, B, C, D] = [0x0a, 0x0b, 0x0c, 0x0d];
const [SET, BINARY, H24] = [0x80, 0x04, 0x02];
const SECOND = 1e9;
const EPOCH = Date.parse('2024-02-29T23:59:58Z') / 1000;

function rig(epochSeconds = EPOCH) {
  const clock = new ManualClock();
  const device = new Mc146818('rtc', epochSeconds, { clock, trace: NO_TRACE });
  const get = (address: number): number => {
    device.write(INDEX, 1, address);
    return device.read(DATA, 1);
  };
  const set = (address: number, value: number): void => {
    device.write(INDEX, 1, address);
    device.write(DATA, 1, value);
  };
  /** As a BCD clock of 24 hours is read: with the digits that hexadecimal shows. */
  const show = (): string => {
    const two = (address: number): string => get(address).toString(16).padStart(2, '0');
    return (
      `${two(CENTURY)}${two(YEAR)}-${two(MONTH)}-${two(DAY)} ` +
      `${two(HOURS)}:${two(MINUTES)}:${two(SECONDS)} day ${two(WEEKDAY)}`
    );
  };
  return { device, clock, get, set, show, observe: () => undefined };
}

type Rig = ReturnType<typeof rig>;

deviceSuite<ReturnType<Mc146818['saveState']>, Rig>({
  title: 'MC146818A',
  make: rig,
  // DATA is the time where INDEX is zero; what it reads and writes has tests of its own.
  registers: [{ name: 'INDEX', at: INDEX, size: 1, reset: 0, writable: 0x7f }],
  activity: (r) => {
    r.clock.advance(1.5 * SECOND);
    r.set(B, SET | H24);
    r.set(MINUTES, 0x30);
    r.set(0x40, 0x55);
  },
});

describe('MC146818A clock', () => {
  test('it shows UTC in BCD with 24 hours, and counts seconds of guest time', () => {
    const r = rig();
    assert.equal(r.show(), '2024-02-29 23:59:58 day 05');
    r.clock.advance(2 * SECOND - 1);
    assert.equal(r.show(), '2024-02-29 23:59:59 day 05');
    r.clock.advance(1);
    assert.equal(r.show(), '2024-03-01 00:00:00 day 06');
    r.clock.advance(366 * 86_400 * SECOND);
    assert.equal(r.show(), '2025-03-02 00:00:00 day 01');
  });

  test('a time with a fraction starts at its whole seconds; centuries change', () => {
    assert.equal(rig(EPOCH + 0.75).show(), '2024-02-29 23:59:58 day 05');
    assert.equal(rig(Date.parse('1999-12-31T23:59:59Z') / 1000).show(), '1999-12-31 23:59:59 day 06');
    assert.equal(rig(Date.parse('2100-01-01T00:00:00Z') / 1000).show(), '2100-01-01 00:00:00 day 06');
  });

  test('register B chooses binary numbers, and 12 hours with a bit for the afternoon', () => {
    const at = (hour: number): Rig => rig(Date.parse('2024-02-29T00:00:00Z') / 1000 + hour * 3600 + 59 * 60);
    const hours = (mode: number): number[] =>
      [0, 1, 11, 12, 13, 23].map((hour) => {
        const r = at(hour);
        r.set(B, mode);
        return r.get(HOURS);
      });
    assert.deepEqual(hours(H24), [0x00, 0x01, 0x11, 0x12, 0x13, 0x23]);
    assert.deepEqual(hours(H24 | BINARY), [0, 1, 11, 12, 13, 23]);
    assert.deepEqual(hours(0), [0x12, 0x01, 0x11, 0x92, 0x81, 0x91]);
    assert.deepEqual(hours(BINARY), [12, 1, 11, 0x8c, 0x81, 0x8b]);
    const r = at(0);
    r.set(B, BINARY);
    assert.deepEqual([r.get(MINUTES), r.get(YEAR), r.get(CENTURY)], [59, 24, 20]);
  });

  test('while SET is set the time stands still; then it goes on from what was written', () => {
    const r = rig();
    r.set(B, SET | H24);
    r.clock.advance(5 * SECOND);
    assert.equal(r.get(SECONDS), 0x58);
    for (const [address, value] of [
      [SECONDS, 0x59],
      [MINUTES, 0x59],
      [HOURS, 0x23],
      [DAY, 0x31],
      [MONTH, 0x12],
      [YEAR, 0x30],
      [CENTURY, 0x21],
    ] as const) {
      r.set(address, value);
      assert.equal(r.get(address), value);
    }
    r.clock.advance(5 * SECOND);
    r.set(B, H24);
    assert.equal(r.show(), '2130-12-31 23:59:59 day 01');
    r.clock.advance(SECOND);
    assert.equal(r.show(), '2131-01-01 00:00:00 day 02');
  });

  test('every format sets the time that it shows', () => {
    for (const mode of [H24, BINARY | H24, BINARY, 0]) {
      for (const hour of [0, 1, 11, 12, 13, 23]) {
        const from = rig(Date.parse('2031-07-09T00:34:56Z') / 1000 + hour * 3600);
        const to = rig();
        from.set(B, mode);
        to.set(B, SET | mode);
        for (const address of [SECONDS, MINUTES, HOURS, DAY, MONTH, YEAR, CENTURY]) {
          to.set(address, from.get(address));
        }
        to.set(B, mode);
        from.set(B, H24);
        to.set(B, H24);
        assert.equal(to.show(), from.show());
      }
    }
  });

  test('a part of the time written without SET takes effect at once', () => {
    const r = rig();
    r.set(MINUTES, 0x10);
    assert.equal(r.show(), '2024-02-29 23:10:58 day 05');
    r.clock.advance(2 * SECOND);
    assert.equal(r.show(), '2024-02-29 23:11:00 day 05');
  });

  test('what is no date becomes one', () => {
    const r = rig();
    r.set(DAY, 0x31);
    assert.equal(r.show(), '2024-03-02 23:59:58 day 07');
    for (const value of [0xff, 0x00, 0xaa]) {
      for (const address of [SECONDS, MINUTES, HOURS, WEEKDAY, DAY, MONTH, YEAR, CENTURY])
        r.set(address, value);
      assert.match(r.show(), /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d day 0[1-7]$/);
    }
  });

  test('a system reset keeps time and RAM, and disables what interrupts (Register B)', () => {
    const r = rig();
    r.set(YEAR, 0x30);
    r.set(0x7f, 0x5a);
    r.set(B, 0x78 | H24);
    r.clock.advance(SECOND);
    r.device.reset();
    assert.equal(r.show(), '2030-03-01 23:59:59 day 06');
    assert.equal(r.get(0x7f), 0x5a);
    assert.equal(r.get(B), H24);
  });
});

describe('MC146818A registers', () => {
  test('A: a divider that runs, and no update in progress, whatever is written', () => {
    const r = rig();
    assert.equal(r.get(A), 0x26);
    r.set(A, 0xff);
    assert.equal(r.get(A), 0x7f);
  });

  test('C shows no interrupt and D that the power has not failed; both are read-only', () => {
    const r = rig();
    for (const value of [0xff, 0]) {
      r.set(C, value);
      r.set(D, value);
      assert.deepEqual([r.get(C), r.get(D)], [0, 0x80]);
    }
  });

  test('the rest of 128 bytes is RAM, alarms included; bit 7 of the index is not part of the address', () => {
    const r = rig();
    const special = [SECONDS, MINUTES, HOURS, WEEKDAY, DAY, MONTH, YEAR, CENTURY, A, B, C, D];
    const plain = Array.from({ length: 128 }, (_, address) => address).filter(
      (address) => !special.includes(address),
    );
    assert.equal(plain.length, 116);
    for (const address of plain) r.set(address, address ^ 0xa5);
    for (const address of plain) assert.equal(r.get(address | 0x80), address ^ 0xa5);
  });
});

test('MC146818A describe() is the node that kvmtool gives its machine', () => {
  assert.deepEqual(rig().device.describe(0x101_0000), {
    name: 'rtc@1010000',
    properties: { compatible: 'motorola,mc146818', reg: { cells: [0, 0x101_0000, 0, 2] } },
  });
});
