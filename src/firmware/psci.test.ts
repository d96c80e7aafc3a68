import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { NO_TRACE } from '../base/index.js';
import { Psci, describePsci, type CpuPowerState } from './psci.js';

const NOT_SUPPORTED = 2n ** 64n - 1n;
const INVALID_PARAMETERS = 2n ** 64n - 2n;
const ALREADY_ON = 2n ** 64n - 4n;
const ON_PENDING = 2n ** 64n - 5n;
const INVALID_ADDRESS = 2n ** 64n - 9n;

/** Two clusters of two CPUs; CPU 0 calls. */
function rig() {
  const states: CpuPowerState[] = ['on', 'off', 'off', 'off'];
  const calls: unknown[][] = [];
  const psci = new Psci(
    {
      cpus: {
        state: (cpu) => states[cpu] ?? 'off',
        on: (...call) => calls.push(['on', ...call]),
        off: (cpu) => calls.push(['off', cpu]),
      },
      power: { powerOff: () => calls.push(['powerOff']), reset: () => calls.push(['reset']) },
      trace: NO_TRACE,
    },
    [0n, 1n, 0x100n, 0x1_0000_0001n],
  );
  const call = (id: number, x1 = 0n, x2 = 0n, x3 = 0n) => psci.call(0, [BigInt(id), x1, x2, x3]);
  const result = (id: number, x1 = 0n, x2 = 0n, x3 = 0n): bigint => {
    const { x0, next } = call(id, x1, x2, x3);
    assert.equal(next, 'return');
    return x0;
  };
  return { psci, states, calls, call, result };
}

test('PSCI_VERSION is 1.1 (DEN0022D)', () => {
  assert.equal(rig().result(0x8400_0000), 0x1_0001n);
});

test('PSCI_FEATURES: 0 for what is there, NOT_SUPPORTED for the rest (PSCI PSCI_FEATURES)', () => {
  const { result } = rig();
  const present = [
    0x8400_0000, 0x8400_0001, 0xc400_0001, 0x8400_0002, 0x8400_0003, 0xc400_0003, 0x8400_0004, 0xc400_0004,
    0x8400_0006, 0x8400_0008, 0x8400_0009, 0x8400_000a, 0x8400_0012, 0xc400_0012, 0x8000_0000,
  ];
  for (const id of present) assert.equal(result(0x8400_000a, BigInt(id)), 0n, id.toString(16));
  for (const id of [
    0x8400_0005, 0x8400_0007, 0xc400_0000, 0xc400_0002, 0x8400_000b, 0x8400_000e, 0x8000_0001, 0,
  ]) {
    assert.equal(result(0x8400_000a, BigInt(id)), NOT_SUPPORTED, id.toString(16));
  }
});

test('an identifier that means nothing returns NOT_SUPPORTED in W0 and X0 (SMCCC 5)', () => {
  const { psci, calls, result } = rig();
  for (const id of [0, 0x8400_0005, 0xc400_0008, 0xc400_0002, 0x8500_0000, 0x0400_0008, 0xffff_ffff]) {
    assert.equal(result(id), NOT_SUPPORTED);
  }
  assert.deepEqual(calls, []);
  assert.equal(psci.call(0, [0xdead_beef_8400_0000n, 0n, 0n, 0n]).x0, 0x1_0001n, 'only W0 is the identifier');
});

test('SMCCC_VERSION is 1.1 and SMCCC_ARCH_FEATURES knows the two (SMCCC 7.2, 7.3)', () => {
  const { result } = rig();
  assert.equal(result(0x8000_0000), 0x1_0001n);
  assert.equal(result(0x8000_0001, 0x8000_0000n), 0n);
  assert.equal(result(0x8000_0001, 0x8000_0001n), 0n);
  assert.equal(result(0x8000_0001, 0x8000_8000n), NOT_SUPPORTED);
  assert.equal(result(0x8000_0001, 0x8400_0000n), NOT_SUPPORTED);
});

test('CPU_SUSPEND waits and returns SUCCESS, for stand-by and power-down (PSCI CPU_SUSPEND)', () => {
  const { call } = rig();
  for (const id of [0x8400_0001, 0xc400_0001]) {
    assert.deepEqual(call(id, 0n), { x0: 0n, next: 'wait' });
    assert.deepEqual(call(id, 0x1_1234n, 0x4000_0000n), { x0: 0n, next: 'wait' });
  }
});

test('CPU_SUSPEND refuses levels and reserved bits of power_state (PSCI 5.4.2.1)', () => {
  const { result } = rig();
  for (const bit of [17n, 23n, 24n, 25n, 26n, 31n]) {
    assert.equal(result(0xc400_0001, 1n << bit), INVALID_PARAMETERS);
  }
});

test('CPU_OFF stops the caller (PSCI CPU_OFF)', () => {
  const { psci, calls } = rig();
  assert.equal(psci.call(2, [0x8400_0002n, 0n, 0n, 0n]).next, 'stop');
  assert.deepEqual(calls, [['off', 2]]);
});

test('CPU_ON starts the target with entry point and context (PSCI CPU_ON)', () => {
  const { calls, result } = rig();
  assert.equal(result(0xc400_0003, 0x100n, 0x1_4000_0000n, 0xfedc_ba98_7654_3210n), 0n);
  assert.equal(result(0xc400_0003, 0x1_0000_0001n, 0x4000_0000n, 1n), 0n);
  assert.deepEqual(calls, [
    ['on', 2, 0x1_4000_0000, 0xfedc_ba98_7654_3210n],
    ['on', 3, 0x4000_0000, 1n],
  ]);
});

test('the 32-bit CPU_ON takes 32-bit arguments and ignores the upper halves (SMCCC 2.5)', () => {
  const { calls, result } = rig();
  assert.equal(
    result(0x8400_0003, 0xffff_ffff_0000_0001n, 0xffff_ffff_4000_0000n, 0xffff_ffff_0000_0009n),
    0n,
  );
  assert.deepEqual(calls, [['on', 1, 0x4000_0000, 9n]]);
});

test('CPU_ON errors: unknown target, already on, pending, bad entry point (PSCI CPU_ON, 5.2.2)', () => {
  const { states, calls, result } = rig();
  states[2] = 'on-pending';
  assert.equal(result(0xc400_0003, 2n, 0x4000_0000n), INVALID_PARAMETERS);
  assert.equal(result(0xc400_0003, 0x8000_0001n, 0x4000_0000n), INVALID_PARAMETERS);
  assert.equal(result(0xc400_0003, 0n, 0x4000_0000n), ALREADY_ON);
  assert.equal(result(0xc400_0003, 0x100n, 0x4000_0000n), ON_PENDING);
  assert.equal(result(0xc400_0003, 1n, 0x4000_0002n), INVALID_ADDRESS);
  assert.equal(result(0xc400_0003, 1n, 1n << 52n), INVALID_ADDRESS);
  assert.deepEqual(calls, []);
});

test('AFFINITY_INFO of a CPU: 0 on, 1 off, 2 pending (PSCI AFFINITY_INFO)', () => {
  const { states, result } = rig();
  states[2] = 'on-pending';
  assert.equal(result(0xc400_0004, 0n, 0n), 0n);
  assert.equal(result(0xc400_0004, 1n, 0n), 1n);
  assert.equal(result(0x8400_0004, 0x100n, 0n), 2n);
});

test('AFFINITY_INFO of a group: on if any CPU is, else pending if any is (PSCI AFFINITY_INFO)', () => {
  const { states, result } = rig();
  assert.equal(result(0xc400_0004, 0x1n, 1n), 0n, 'cluster 0 has CPU 0');
  assert.equal(result(0xc400_0004, 0x1ffn, 1n), 1n);
  states[2] = 'on-pending';
  assert.equal(result(0xc400_0004, 0x100n, 1n), 2n);
  assert.equal(result(0xc400_0004, 0x100n, 2n), 0n, 'level 2 takes in cluster 0');
  assert.equal(result(0xc400_0004, 0x1_0000_0000n, 3n), 1n);
});

test('AFFINITY_INFO errors: no such CPU, level or bits (PSCI AFFINITY_INFO)', () => {
  const { result } = rig();
  assert.equal(result(0xc400_0004, 5n, 0n), INVALID_PARAMETERS);
  assert.equal(result(0xc400_0004, 0n, 4n), INVALID_PARAMETERS);
  assert.equal(result(0xc400_0004, 0x8000_0000n, 0n), INVALID_PARAMETERS);
});

test('MIGRATE_INFO_TYPE: no trusted OS to migrate (PSCI MIGRATE_INFO_TYPE)', () => {
  assert.equal(rig().result(0x8400_0006), 2n);
});

test('SYSTEM_OFF, SYSTEM_RESET and SYSTEM_RESET2 act and do not return', () => {
  for (const [id, action] of [
    [0x8400_0008, 'powerOff'],
    [0x8400_0009, 'reset'],
    [0x8400_0012, 'reset'],
    [0xc400_0012, 'reset'],
  ] as const) {
    const { calls, call } = rig();
    assert.equal(call(id).next, 'stop');
    assert.deepEqual(calls, [[action]]);
  }
});

test('SYSTEM_RESET2 refuses types it does not know, vendors’ among them (PSCI SYSTEM_RESET2)', () => {
  const { calls, result } = rig();
  assert.equal(result(0xc400_0012, 1n), INVALID_PARAMETERS);
  assert.equal(result(0xc400_0012, 0x8000_0000n), INVALID_PARAMETERS);
  assert.deepEqual(calls, []);
});

test('calls are traced with name, arguments and result', () => {
  const lines: string[] = [];
  const psci = new Psci(
    {
      cpus: { state: () => 'on', on: () => undefined, off: () => undefined },
      power: { powerOff: () => undefined, reset: () => undefined },
      trace: { on: (channel) => channel === 'psci', event: (_, text) => lines.push(text) },
    },
    [0n],
  );
  psci.call(0, [0xc400_0003n, 0n, 0x4000_0000n, 5n]);
  psci.call(0, [0x8400_0008n, 0n, 0n, 0n]);
  assert.deepEqual(lines, [
    'cpu0 CPU_ON (0xc4000003) 0x0 0x40000000 0x5 -> -4',
    'cpu0 SYSTEM_OFF (0x84000008) 0x0 0x0 0x0 -> no return',
  ]);
});

test('no call throws and every result is an unsigned 64-bit number', () => {
  const id = fc.oneof(
    fc.integer({ min: 0, max: 0x20 }).chain((low) => fc.constantFrom(0x8400_0000 + low, 0xc400_0000 + low)),
    fc.nat(0xffff_ffff),
  );
  const x = fc.bigInt(0n, 2n ** 64n - 1n);
  fc.assert(
    fc.property(id, x, x, x, (number, x1, x2, x3) => {
      const { x0 } = rig().call(number, x1, x2, x3);
      assert.ok(x0 >= 0n && x0 < 2n ** 64n);
    }),
    { seed: 20_260_104, numRuns: 500 },
  );
});

test('node: PSCI 1.0 and older with the identifiers that 0.1 guests need (psci.yaml)', () => {
  const { properties } = describePsci('hvc');
  assert.deepEqual(properties['compatible'], ['arm,psci-1.0', 'arm,psci-0.2', 'arm,psci']);
  assert.equal(properties['method'], 'hvc');
  assert.deepEqual(properties['cpu_on'], { cells: [0xc400_0003] });
  assert.deepEqual(properties['cpu_suspend'], { cells: [0xc400_0001] });
  assert.deepEqual(properties['cpu_off'], { cells: [0x8400_0002] });
});
