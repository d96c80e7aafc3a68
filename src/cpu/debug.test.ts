import { strict as assert } from 'node:assert';
import { suite, test } from 'node:test';
import { A64 } from '../isa/a64.js';
import { randomSource, randomWord } from '../isa/random-encoder.js';
import type { Row } from '../isa/row.js';
import { bareEnginePorts } from './engine-suite.js';
import { GuestMemory } from './guest-memory.js';
import { HOT_HANDLERS } from './hot-handlers.js';
import { generateCore } from './interpreter.js';
import { STATE } from './layout.js';
import { CORTEX_A57 } from './models.js';
import { sysregAddress } from './state.js';
import { WasmEngine } from './wasm-engine.js';

const RAM = 0x4000_0000;
const RAM_BYTES = 0x4_0000;
const VECTORS = RAM + 0x1_0000;
const DATA = RAM + 0x2_0000;

const NOP = 0xd503_201f;
const WFI = 0xd503_207f;
const ISB = 0xd503_3fdf;
const ERET = 0xd69f_03e0;
const ADD_X0_1 = 0x9100_0400;
const ADD_X0_2 = 0x9100_0800;
const ADD_X10_1 = 0x9100_054a;
/** MSR with register X`t`. */
const msr = (t: number, op0: number, crn: number, crm: number, op2: number): number =>
  (0xd500_0000 | (op0 << 19) | (crn << 12) | (crm << 8) | (op2 << 5) | t) >>> 0;
const mrs = (t: number, crn: number, crm: number, op2: number): number =>
  (0xd538_0000 | (crn << 12) | (crm << 8) | (op2 << 5) | t) >>> 0;
const MSR_MDSCR = (t: number): number => msr(t, 2, 0, 2, 2);
const MSR_OSLAR = (t: number): number => msr(t, 2, 1, 0, 4);
const MSR_DBGBVR0 = (t: number): number => msr(t, 2, 0, 0, 4);
const MSR_DBGBCR0 = (t: number): number => msr(t, 2, 0, 0, 5);
const MSR_VBAR = (t: number): number => msr(t, 3, 12, 0, 0);
const MSR_ELR = (t: number): number => msr(t, 3, 4, 0, 1);
const MSR_SPSR = (t: number): number => msr(t, 3, 4, 0, 0);
const MSR_DAIF = (t: number): number => 0xd51b_4220 | t;
const branch = (distance: number): number => (0x1400_0000 | (distance & 0x3ff_ffff)) >>> 0;

const SS = 1n;
const KDE = 1n << 13n;
const MDE = 1n << 15n;
const PSTATE_SS = 1n << 21n;
const PSTATE_D = 1n << 9n;
const EL1H = 5n;
const EC = { breakpoint: 0x31n, step: 0x33n, stepOfEl0: 0x32n };
/** At EL0 and EL1, enabled. */
const BREAKPOINT = 0x1e7n;

const CORE = generateCore(A64, CORTEX_A57);

function machine(cpus = 1) {
  const memory = new GuestMemory([RAM_BYTES]);
  const engine = new WasmEngine(
    memory,
    CORTEX_A57,
    CORE,
    bareEnginePorts(),
    Array.from({ length: cpus }, (_, n) => BigInt(n)),
  );
  engine.setMapped({ base: RAM, sizeBytes: RAM_BYTES, block: 0, isReadOnly: false }, true);
  engine.reset(RAM, 0);
  const program = (words: readonly number[], at = RAM): void => {
    const bytes = new Uint8Array(words.length * 4);
    words.forEach((word, i) => {
      new DataView(bytes.buffer).setUint32(i * 4, word, true);
    });
    assert.ok(engine.dma.write(at, bytes));
  };
  const register = (name: string): bigint => memory.view.getBigUint64(sysregAddress(name), true);
  /** Sets X0 … in order. */
  const setRegisters = (values: readonly bigint[]): void => {
    values.forEach((value, n) => {
      engine.setX(n, value);
    });
  };
  return { memory, engine, program, register, setRegisters };
}

/** Handles an exception at EL1: a step goes on, other instructions are skipped. */
const GO_ON = [
  msr(0, 3, 13, 0, 4), // TPIDR_EL1
  mrs(0, 5, 2, 0), // ESR_EL1
  0xd35a_fc00, // LSR X0, X0, #26
  0xd100_cc00, // SUB X0, X0, #0x33
  0xb500_00a0, // CBNZ X0, +20
  mrs(0, 4, 0, 0), // SPSR_EL1
  0xb26b_0000, // ORR X0, X0, #1 << 21
  MSR_SPSR(0),
  branch(4),
  mrs(0, 4, 0, 1), // ELR_EL1
  0x9100_1000, // ADD X0, X0, #4
  MSR_ELR(0),
  mrs(0, 13, 0, 4),
  ERET,
];

suite('self-hosted debug (DDI0487 D2)', () => {
  test('software step: what an exception return to each state leads to (DDI0487 D2.12)', () => {
    const target = RAM + 0x100;
    const eret = RAM + 6 * 4;
    const { engine, program, register, setRegisters } = machine();
    for (let n = 0; n < 128; n++) {
      const bit = (at: number): boolean => ((n >> at) & 1) === 1;
      const [ss, kde, isLocked, isMaskedHere, isMaskedThere, spsrSs, toEl0] = [0, 1, 2, 3, 4, 5, 6].map(bit) as [
        boolean, boolean, boolean, boolean, boolean, boolean, boolean,
      ]; // prettier-ignore
      engine.reset(RAM, 0);
      program([MSR_SPSR(4), MSR_VBAR(0), MSR_MDSCR(1), MSR_OSLAR(2), MSR_ELR(3), MSR_DAIF(5), ERET]);
      program([NOP, NOP, WFI], target);
      for (const vector of [0x200, 0x400]) program([WFI], VECTORS + vector);
      const spsr = (toEl0 ? 0n : EL1H) | (isMaskedThere ? PSTATE_D : 0n) | (spsrSs ? PSTATE_SS : 0n);
      setRegisters([
        BigInt(VECTORS),
        (ss ? SS : 0n) | (kde ? KDE : 0n),
        isLocked ? 1n : 0n,
        BigInt(target),
        spsr,
        isMaskedHere ? PSTATE_D : 0n,
      ]);
      assert.equal(engine.run(1000), 'idle');

      const isEnabled = (el: 0 | 1, isMasked: boolean): boolean =>
        !isLocked && (el === 0 || (kde && !isMasked));
      const name = `SS ${ss} KDE ${kde} lock ${isLocked} D ${isMaskedHere}, ${isMaskedThere} SPSR.SS ${spsrSs} EL0 ${toEl0}`;
      const ec = register('ESR_EL1') >> 26n;
      const isv = (register('ESR_EL1') >> 24n) & 1n;
      if (ss && isEnabled(1, isMaskedHere)) {
        assert.deepEqual([ec, isv, register('ELR_EL1')], [EC.step, 0n, BigInt(eret)], name);
      } else if (ss && isEnabled(toEl0 ? 0 : 1, isMaskedThere)) {
        const at = BigInt(spsrSs ? target + 4 : target);
        assert.deepEqual(
          [ec, isv, register('ELR_EL1')],
          [toEl0 ? EC.stepOfEl0 : EC.step, spsrSs ? 1n : 0n, at],
          name,
        );
        assert.equal(register('SPSR_EL1') & PSTATE_SS, 0n, name);
      } else {
        assert.equal(ec, 0n, name);
        assert.equal(engine.pc(), BigInt(target + 12), name);
      }
    }
  });

  test('hot instructions do the same stepped as at full speed', () => {
    const random = randomSource(7);
    const rows = new Map(A64.rows.map((row) => [row.name, row]));
    const hot = [...new Set(HOT_HANDLERS.map((name) => name.slice(0, name.indexOf('/'))))]
      .map((name) => rows.get(name))
      .filter((row): row is Row => row !== undefined);
    // No branches, waits, changes of the stack pointer in use.
    const isStraight = ({ fields, name }: Row): boolean =>
      !fields.some(({ kind }) => kind === 'label') && !/^(BL?R|RET|HINT|MSR .*)$/.test(name);
    const straight = hot.filter(isStraight);
    assert.ok(straight.length > 30, `${straight.length} rows`);
    const machines = [machine(), machine()];
    for (let round = 0; round < 40; round++) {
      const words = Array.from({ length: 100 }, () => {
        const row = straight[random() % straight.length];
        assert.ok(row);
        return randomWord(row, random);
      });
      const values = Array.from({ length: 31 }, () => BigInt(DATA + (random() % 0x8000)));
      const [plain, stepped] = machines.map(({ memory, engine, program, setRegisters }, which) => {
        const ss = which === 1 ? PSTATE_SS : 0n;
        engine.reset(RAM, 0);
        program([MSR_VBAR(0), MSR_MDSCR(1), MSR_OSLAR(31), MSR_ELR(3), MSR_SPSR(4), ERET]);
        const start = RAM + 0x100;
        program([...words, MSR_MDSCR(31), WFI, branch(-1)], start);
        program(GO_ON, VECTORS + 0x200);
        setRegisters([BigInt(VECTORS), ss === 0n ? 0n : SS | KDE, 0n, BigInt(start), EL1H | ss]);
        engine.run(6);
        assert.equal(engine.pc(), BigInt(start));
        setRegisters(values);
        engine.setX(31, BigInt(DATA + 0x100));
        assert.equal(engine.run(100_000), 'idle');
        const { bytes } = memory;
        const ram = memory.addressOf(0);
        return {
          x: Array.from({ length: 32 }, (_, n) => engine.x(n)),
          v: bytes.slice(STATE.V.at, STATE.V.at + 512),
          ram: bytes.slice(ram, ram + RAM_BYTES),
          pc: engine.pc(),
        };
      });
      assert.deepEqual(stepped?.x, plain?.x);
      assert.deepEqual(stepped?.v, plain?.v);
      assert.equal(stepped?.pc, plain?.pc);
      assert.ok(stepped && plain && Buffer.compare(stepped.ram, plain.ram) === 0, 'memory');
    }
  });

  test('instructions that are stepped are counted exactly, whatever the slices', () => {
    const runInSlicesOf = (slice: number): readonly unknown[] => {
      const { engine, program, setRegisters } = machine();
      program([MSR_VBAR(0), MSR_MDSCR(1), MSR_OSLAR(31), MSR_ELR(3), MSR_SPSR(4), ERET]);
      program([ADD_X0_1, ADD_X0_1, branch(-2)], RAM + 0x100);
      program(
        [ADD_X10_1, mrs(9, 4, 0, 0), 0xb26b_0129 /* ORR X9, X9, #1 << 21 */, MSR_SPSR(9), ERET],
        VECTORS + 0x200,
      );
      setRegisters([BigInt(VECTORS), SS | KDE, 0n, BigInt(RAM + 0x100), EL1H | PSTATE_SS]);
      engine.run(6);
      engine.setX(0, 0n);
      while (engine.instructions < 6000) engine.run(Math.min(slice, 6000 - engine.instructions));
      return [engine.instructions, engine.x(0), engine.x(10), engine.pc()];
    };
    // Six of the 5,994 are a step and its handler.
    assert.deepEqual(runInSlicesOf(6000), [6000, 666n, 999n, BigInt(RAM + 0x100)]);
    for (const slice of [1, 2, 5, 7, 100])
      assert.deepEqual(runInSlicesOf(slice), runInSlicesOf(6000), `${slice}`);
  });

  test('WFI that is stepped is complete at once, and the next exception comes with it', () => {
    const { engine, program, register, setRegisters } = machine();
    program([MSR_VBAR(0), MSR_MDSCR(1), MSR_OSLAR(31), MSR_ELR(3), MSR_SPSR(4), ERET]);
    program([WFI, NOP], RAM + 0x100);
    program([branch(0)], VECTORS + 0x200);
    setRegisters([BigInt(VECTORS), SS | KDE, 0n, BigInt(RAM + 0x100), EL1H | PSTATE_SS]);
    assert.equal(engine.run(100), 'budget');
    assert.equal(register('ESR_EL1') >> 26n, EC.step);
    assert.equal(register('ELR_EL1'), BigInt(RAM + 0x104));
  });

  /** A breakpoint on the second of three instructions that add 1 to X0; its handler adds 1 to X10 and skips it. */
  function withBreakpoint(cpus = 1) {
    const all = machine(cpus);
    const { program, setRegisters } = all;
    program([
      MSR_VBAR(0),
      MSR_MDSCR(1),
      MSR_OSLAR(31),
      MSR_DBGBVR0(3),
      MSR_DBGBCR0(4),
      MSR_DAIF(31),
      ISB,
      branch(0x39),
    ]);
    program([ADD_X0_1, ADD_X0_1, ADD_X0_1, WFI, branch(-4)], RAM + 0x100);
    program(
      [ADD_X10_1, mrs(9, 4, 0, 1), 0x9100_1129 /* ADD X9, X9, #4 */, MSR_ELR(9), ERET],
      VECTORS + 0x200,
    );
    setRegisters([BigInt(VECTORS), MDE | KDE, 0n, BigInt(RAM + 0x104), BREAKPOINT]);
    return all;
  }

  test('an instruction that a breakpoint stops is not counted', () => {
    const { engine, register } = withBreakpoint();
    const x0 = engine.x(0);
    assert.equal(engine.run(1000), 'idle');
    assert.equal(engine.x(0), x0 + 2n);
    assert.equal(engine.x(10), 1n);
    assert.equal(register('ESR_EL1') >> 26n, EC.breakpoint);
    assert.equal(engine.instructions, 8 + 1 + 5 + 2);
  });

  test('a breakpoint stays when the word under it changes, and goes when it is disabled', () => {
    const { engine, program } = withBreakpoint();
    program([branch(-3)], RAM + 0x10c);
    const x0 = engine.x(0);
    // A round is three instructions and the handler's five.
    engine.run(8 + 8 * 10);
    assert.deepEqual([engine.x(0) - x0, engine.x(10)], [20n, 10n]);
    program([ADD_X0_2], RAM + 0x104);
    engine.run(8 * 10);
    assert.deepEqual([engine.x(0) - x0, engine.x(10)], [40n, 20n]);
    program([MSR_DBGBCR0(31)], RAM + 0x108);
    engine.run(8 + 4 * 10);
    assert.deepEqual([engine.x(0) - x0, engine.x(10)], [41n + 30n, 21n]);
  });

  test('breakpoints are those of the CPU that executes', () => {
    const { engine, memory } = withBreakpoint(2);
    assert.equal(engine.run(1000), 'idle');
    engine.powerOn(1, RAM + 0x100, 0n);
    assert.equal(engine.run(1000), 'idle');
    assert.equal(engine.currentCpu, 1);
    assert.equal(engine.x(0), 3n);
    assert.equal(memory.view.getBigUint64(sysregAddress('ESR_EL1'), true), 0n);
  });
});
