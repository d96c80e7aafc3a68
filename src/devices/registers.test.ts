import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { InvariantError, NO_TRACE } from '../base/index.js';
import type { Trace, TraceChannel } from '../base/index.js';
import { RegisterBlock, registers, resetValues } from './registers.js';
import type { RegisterBehaviour, RegisterSpec, RegisterValues } from './registers.js';

const R = registers({
  CTRL: {
    at: 0x00,
    width: 16,
    access: 'rw',
    reset: 0x300,
    spec: 'test',
    fields: { ENABLE: [0, 1], BUSY: [1, 1, 'ro'], MODE: [8, 4] },
  },
  STATUS: { at: 0x04, width: 8, access: 'ro', reset: 0x5a, spec: 'test', fields: { LEVEL: [0, 8] } },
  COUNT: { at: 0x08, width: 32, access: 'ro', computed: true, spec: 'test' },
  CLEAR: { at: 0x0c, width: 4, access: 'wo', spec: 'test' },
  DATA: {
    at: 0x10,
    width: 12,
    access: 'rw',
    computed: true,
    spec: 'test',
    fields: { BYTE: [0, 8], ERR: [8, 4, 'ro'] },
  },
  PRIORITY: { at: 0x20, width: 32, access: 'rw', count: 4, reset: 0xa0, spec: 'test' },
  SPARSE: { at: 0x40, width: 32, access: 'rw', count: 2, stride: 0x10, spec: 'test' },
  PeriphID: { at: 0x60, width: 8, access: 'id', count: 2, reset: [0x11, 0x10], spec: 'test' },
  RSR: { at: 0x70, width: 4, access: 'ro', spec: 'test' },
  ECR: { at: 0x70, width: 4, access: 'wo', spec: 'test' },
});

type Values = RegisterValues<typeof R>;

interface Rig {
  values: Values;
  readonly calls: string[];
  readonly events: string[];
  readonly block: RegisterBlock<typeof R>;
}

function rig(listening: readonly TraceChannel[] = []): Rig {
  const calls: string[] = [];
  const events: string[] = [];
  const trace: Trace = {
    on: (channel) => listening.includes(channel),
    event: (channel, text) => events.push(`${channel} ${text}`),
  };
  const result: { values: Values } & Omit<Rig, 'block'> = { values: resetValues(R), calls, events };
  const block = new RegisterBlock<typeof R>(
    'dev0',
    R,
    () => result.values,
    {
      read: { COUNT: () => -1, DATA: () => 0xffff },
      write: {
        CLEAR: (value) => calls.push(`CLEAR ${value}`),
        DATA: (value) => calls.push(`DATA ${value}`),
        ECR: (value) => calls.push(`ECR ${value}`),
      },
    },
    trace,
  );
  return Object.assign(result, { block });
}

describe('register values', () => {
  test('a field is read out of, tested in and put into its own bits', () => {
    const value = R.CTRL.value(0x0a01);
    assert.equal(R.CTRL.get(value, 'MODE'), 0xa);
    assert.equal(R.CTRL.has(value, 'ENABLE'), true);
    assert.equal(R.CTRL.has(value, 'BUSY'), false);
    assert.equal(R.CTRL.with(value, 'MODE', 0x15), 0x501, 'bits above the field do not spill');
    assert.equal(R.CTRL.of({ ENABLE: true, MODE: 3 }), 0x301);
  });

  test('a value has only the bits that the register has, and is unsigned', () => {
    assert.equal(R.CTRL.value(-1), 0x0f03);
    assert.equal(R.PRIORITY.value(-1), 0xffff_ffff);
    assert.equal(R.CTRL.mask, 0x0f03);
    assert.equal(R.CTRL.writeMask, 0x0f01);
    assert.equal(R.STATUS.writeMask, 0);
    const top = registers({
      X: { at: 0, width: 32, access: 'rw', spec: 'test', fields: { TOP: [31, 1] } },
    }).X;
    assert.equal(top.of({ TOP: 1 }), 0x8000_0000);
    assert.equal(top.get(top.of({ TOP: 1 }), 'TOP'), 1);
  });

  test('the stored registers at reset: rw and ro, not computed, wo or id', () => {
    assert.deepEqual(resetValues(R), {
      CTRL: 0x300,
      STATUS: 0x5a,
      PRIORITY: [0xa0, 0xa0, 0xa0, 0xa0],
      SPARSE: [0, 0],
      RSR: 0,
    });
  });
});

describe('what does not compile', () => {
  const values = resetValues(R);

  test('a field of another register', () => {
    // @ts-expect-error LEVEL is a field of STATUS
    assert.throws(() => R.CTRL.get(values.CTRL, 'LEVEL'), InvariantError);
    // @ts-expect-error LEVEL is a field of STATUS
    assert.throws(() => R.CTRL.of({ LEVEL: 1 }), InvariantError);
    // @ts-expect-error COUNT has no fields
    assert.throws(() => R.COUNT.has(R.COUNT.value(0), 'ENABLE'), InvariantError);
  });

  test('the value of another register, or a bare number', () => {
    // @ts-expect-error a value of STATUS is none of CTRL
    assert.equal(R.CTRL.get(values.STATUS, 'ENABLE'), 0);
    // @ts-expect-error a number is no value of CTRL
    assert.equal(R.CTRL.get(0x301, 'ENABLE'), 1);
    // @ts-expect-error a value of CTRL cannot be stored in STATUS
    values.STATUS = values.CTRL;
    // @ts-expect-error an array of registers is no single value
    assert.equal(R.PRIORITY.resetValue() === values.PRIORITY, false);
  });

  test('stored state of a register that stores nothing', () => {
    // @ts-expect-error computed
    assert.equal(values.COUNT, undefined);
    // @ts-expect-error write-only
    assert.equal(values.CLEAR, undefined);
    // @ts-expect-error constant
    assert.equal(values.PeriphID, undefined);
  });

  test('a device that leaves a computed or a write-only register without behaviour', () => {
    const nothing = () => undefined;
    // @ts-expect-error COUNT has to be computed
    const withoutRead: RegisterBehaviour<typeof R>['read'] = { DATA: () => 0 };
    // @ts-expect-error CLEAR has to do something
    const withoutWrite: RegisterBehaviour<typeof R>['write'] = { DATA: nothing, ECR: nothing };
    // @ts-expect-error an id register reads as its reset value
    const withId: RegisterBehaviour<typeof R>['read'] = { COUNT: () => 0, DATA: () => 0, PeriphID: () => 0 };
    assert.deepEqual(
      [withoutRead, withoutWrite, withId].map((on) => Object.keys(on).length),
      [1, 2, 3],
    );
  });
});

describe('a wrong table throws when the module is loaded', () => {
  const row: RegisterSpec = { at: 0, width: 8, access: 'rw', spec: 'test' };
  const wrong: readonly (readonly [string, Record<string, RegisterSpec>])[] = [
    ['a field outside the width', { X: { ...row, fields: { F: [7, 2] } } }],
    ['fields that overlap', { X: { ...row, fields: { F: [0, 2], G: [1, 1] } } }],
    ['a reset value outside the width', { X: { ...row, reset: 0x100 } }],
    ['a reset value in reserved bits', { X: { ...row, reset: 2, fields: { F: [0, 1] } } }],
    ['a list of reset values of another length', { X: { ...row, count: 3, reset: [1, 2] } }],
    ['a width of more than 32 bits', { X: { ...row, width: 33 } }],
  ];
  for (const [title, table] of wrong) {
    test(title, () => assert.throws(() => registers(table), InvariantError));
  }

  const misplaced: readonly (readonly [string, Record<string, RegisterSpec>])[] = [
    ['two registers at one offset', { X: row, Y: row }],
    ['an array that runs into another register', { X: { ...row, count: 3 }, Y: { ...row, at: 8 } }],
    ['an offset that is no multiple of four', { X: { ...row, at: 2 } }],
  ];
  for (const [title, table] of misplaced) {
    test(title, () => {
      const X = registers(table);
      const build = () =>
        new RegisterBlock('dev0', X, () => resetValues(X), { read: {}, write: {} }, NO_TRACE);
      assert.throws(build, InvariantError);
    });
  }
});

describe('dispatch', () => {
  test('registers may lie one byte apart, and are no wider then', () => {
    const bytes = registers({
      A: { at: 0, width: 8, access: 'rw', spec: 'test' },
      B: { at: 1, width: 8, access: 'rw', count: 2, spec: 'test' },
    });
    const values = resetValues(bytes);
    const block = new RegisterBlock('dev0', bytes, () => values, { read: {}, write: {} }, NO_TRACE, 1);
    for (const at of [0, 1, 2]) block.write(at, 1, 0x10 + at);
    assert.deepEqual(values, { A: 0x10, B: [0x11, 0x12] });
    assert.deepEqual(
      [0, 1, 2, 3].map((at) => block.read(at, 1)),
      [0x10, 0x11, 0x12, 0],
    );
    const wide = registers({ A: { at: 0, width: 9, access: 'rw', spec: 'test' } });
    assert.throws(
      () => new RegisterBlock('dev0', wide, () => resetValues(wide), { read: {}, write: {} }, NO_TRACE, 1),
      InvariantError,
    );
  });

  test('a stored register reads back the bits that can be written; the others keep their reset values', () => {
    const { block, values } = rig();
    assert.equal(block.read(0x00, 4), 0x300);
    block.write(0x00, 4, 0xffff_ffff);
    assert.equal(block.read(0x00, 4), 0x0f01, 'BUSY is read-only, the rest is reserved');
    assert.equal(values.CTRL, 0x0f01);
    values.CTRL = R.CTRL.with(values.CTRL, 'BUSY', 1);
    block.write(0x00, 4, 0);
    assert.equal(block.read(0x00, 4), 0x0002, 'a write leaves BUSY as it is');
  });

  test('writes to ro and id registers do nothing; wo registers read as zero', () => {
    const { block, calls } = rig();
    block.write(0x04, 4, 0xff);
    assert.equal(block.read(0x04, 4), 0x5a);
    block.write(0x64, 4, 0xff);
    assert.equal(block.read(0x60, 4), 0x11);
    assert.equal(block.read(0x64, 4), 0x10);
    assert.equal(block.read(0x0c, 4), 0);
    block.write(0x0c, 4, 0xff);
    assert.deepEqual(calls, ['CLEAR 15']);
  });

  test('a computed register reads what the device makes up, masked, and stores nothing', () => {
    const { block, calls } = rig();
    assert.equal(block.read(0x08, 4), 0xffff_ffff);
    assert.equal(block.read(0x10, 4), 0x0fff);
    block.write(0x10, 4, 0xfff);
    assert.deepEqual(calls, ['DATA 255'], 'read-only fields are not passed on');
  });

  test('an ro and a wo register may share an offset', () => {
    const { block, values, calls } = rig();
    values.RSR = R.RSR.value(8);
    block.write(0x70, 4, 3);
    assert.equal(block.read(0x70, 4), 8);
    assert.deepEqual(calls, ['ECR 3']);
  });

  test('the elements of an array are registers of their own, at their stride', () => {
    const { block, values } = rig();
    block.write(0x28, 4, 0x1234_5678);
    block.write(0x50, 4, 7);
    assert.deepEqual(values.PRIORITY, [0xa0, 0xa0, 0x1234_5678, 0xa0]);
    assert.deepEqual(values.SPARSE, [0, 7]);
    assert.equal(block.read(0x44, 4), 0, 'between two elements is nothing');
  });

  test('narrow reads take their bytes; narrow writes keep the other bytes of a stored register', () => {
    const { block, values, calls } = rig();
    block.write(0x20, 4, 0x8899_aabb);
    assert.deepEqual(
      [0, 1, 2, 3].map((lane) => block.read(0x20 + lane, 1)),
      [0xbb, 0xaa, 0x99, 0x88],
    );
    assert.deepEqual([block.read(0x20, 2), block.read(0x22, 2)], [0xaabb, 0x8899]);
    block.write(0x23, 1, 0xff);
    block.write(0x20, 2, 0x1234);
    assert.equal(values.PRIORITY[0], 0xff99_1234);
    block.write(0x0d, 1, 0xff);
    assert.deepEqual(calls, ['CLEAR 0'], 'the lane above the register carries no bit of it');
  });

  test('what no register claims reads as zero and ignores writes', () => {
    const { block, values } = rig();
    const before = structuredClone(values);
    block.write(0x14, 4, 0xffff_ffff);
    block.write(0xffc, 4, 0xffff_ffff);
    assert.equal(block.read(0x14, 4), 0);
    assert.equal(block.read(0xffc, 4), 0);
    assert.deepEqual(values, before);
  });

  test('the block follows the state when a snapshot replaces it', () => {
    const r = rig();
    r.values = { ...resetValues(R), CTRL: R.CTRL.of({ MODE: 9 }) };
    assert.equal(r.block.read(0x00, 4), 0x900);
  });
});

describe('traces', () => {
  test('mmio events carry register names and values', () => {
    const { block, events } = rig(['mmio']);
    block.write(0x00, 4, 0x301);
    block.read(0x61, 1);
    block.read(0x64, 2);
    assert.deepEqual(events, [
      'mmio dev0: CTRL <- 0x301',
      'mmio dev0: PeriphID0 -> 0x0',
      'mmio dev0: PeriphID1 -> 0x10',
    ]);
  });

  test('guest-errors events name what the guest should not have done', () => {
    const { block, events } = rig(['guest-errors']);
    block.write(0x04, 4, 1);
    block.read(0x0c, 4);
    block.read(0x14, 4);
    assert.deepEqual(events, [
      'guest-errors dev0: write of STATUS, which is read-only',
      'guest-errors dev0: read of CLEAR, which is write-only',
      'guest-errors dev0: read of offset 0x14, where no register is',
    ]);
  });
});
