/** What every UART's tests have in common: the rig, and how the receiver tells that it has room. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { NO_TRACE } from '../base/index.js';
import { ManualClock, type AccessSize, type ByteReceiver, type MmioDevice } from '../bus/index.js';
import type { UartPorts } from './uart.js';

/** A UART with its line, its clock and what it has sent; registers are accessed with `size` bytes. */
export function uartRig<Device extends MmioDevice & ByteReceiver>(
  Model: new (name: string, ports: UartPorts) => Device,
  size: AccessSize,
) {
  const clock = new ManualClock();
  const sent: number[] = [];
  let level = false;
  const device = new Model('uart0', {
    irq: { set: (value) => (level = value) },
    clock,
    output: { write: (byte) => sent.push(byte) },
    trace: NO_TRACE,
  });
  return {
    device,
    clock,
    sent,
    isHigh: () => level,
    observe: () => ({ level, sent: sent.splice(0) }),
    get: (at: number) => device.read(at, size),
    set: (at: number, value: number) => device.write(at, size, value),
    type: (text: string) => device.receive(Buffer.from(text, 'latin1')),
  };
}

interface Receiving {
  readonly device: MmioDevice & ByteReceiver;
  type(text: string): number;
  /** Takes all characters there are. */
  readText(): string;
}

/** `make` sets a UART up with a FIFO of 16 characters. */
export function uartSuite<Rig extends Receiving>(options: {
  readonly title: string;
  readonly make: () => Rig;
  /** Takes one character. */
  readonly take: (rig: Rig) => void;
  /** Empties the receiver by a control register. */
  readonly empty: (rig: Rig) => void;
  readonly setLoopback: (rig: Rig, isOn: boolean) => void;
}): void {
  const { title, make, take, empty, setLoopback } = options;
  describe(`${title}, filled from outside`, () => {
    test('onReceiveRoom is called each time room appears after the receiver was full, and only then', () => {
      const r = make();
      let calls = 0;
      r.device.onReceiveRoom = () => calls++;
      r.type('0123456789abcde');
      take(r);
      assert.equal(calls, 0, 'it was not full');
      r.type('fg');
      take(r);
      take(r);
      assert.equal(calls, 1);
      r.type('hi');
      empty(r);
      assert.equal(calls, 2, 'emptied by a control register');
      r.type('0123456789abcdef');
      r.device.reset();
      assert.equal(calls, 3, 'emptied by reset');
    });

    test('a host that refills from onReceiveRoom loses and reorders nothing', () => {
      const r = make();
      const text = Array.from({ length: 500 }, (_, index) => String.fromCharCode(32 + (index % 90))).join('');
      let at = 0;
      const push = () => (at += r.type(text.slice(at)));
      r.device.onReceiveRoom = push;
      push();
      assert.equal(r.readText(), text);
    });

    test('the outside waits until loopback ends', () => {
      const r = make();
      setLoopback(r, true);
      let calls = 0;
      r.device.onReceiveRoom = () => calls++;
      assert.equal(r.type('a'), 0);
      setLoopback(r, false);
      assert.equal(calls, 1);
      assert.equal(r.type('a'), 1);
    });
  });
}
