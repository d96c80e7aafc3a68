import { strict as assert } from 'node:assert';
import { suite, test } from 'node:test';
import { NO_TRACE } from '../base/index.js';
import { AddressSpace } from '../bus/index.js';
import { A64 } from '../isa/a64.js';
import { bareEnginePorts } from './engine-suite.js';
import { GuestMemory } from './guest-memory.js';
import { generateCore } from './interpreter.js';
import { CORTEX_A57 } from './models.js';
import type { TranslationPolicy } from './translation-policy.js';
import { WasmEngine } from './wasm-engine.js';
import type { Sampler } from './wasm-engine.js';

const RAM = 0x4000_0000;
const RAM_BYTES = 0x20000;
const DEVICE = 0x1000;

const NOP = 0xd503_201f;
const WFI = 0xd503_207f;
const ADD_X0_1 = 0x9100_0400;
const ADD_X0_2 = 0x9100_0800;
const LDR_W1_X2 = 0xb940_0041;
const RET = 0xd65f_03c0;
const ERET = 0xd69f_03e0;
const SVC = 0xd400_0001;
const UDF = 0;
const MSR_SPSR_XZR = 0xd518_401f;
const MSR_TCR_X3 = 0xd518_2043;
const MSR_VBAR_X4 = 0xd518_c004;
const MSR_DAIFCLR = 0xd503_4fff;
const BR_X2 = 0xd61f_0040;
const MRS_X0_ELR = 0xd538_4020;
const MSR_ELR_X5 = 0xd518_4025;
/** B by a number of instructions. */
const branch = (distance: number): number => (0x1400_0000 | (distance & 0x3ff_ffff)) >>> 0;

const CORE = generateCore(A64, CORTEX_A57);

/** A CPU with RAM and a device of one word at DEVICE that calls `onRead`. */
function machine(
  jit: TranslationPolicy,
  onRead: () => void = () => undefined,
  affinities?: readonly bigint[],
  sampler?: Sampler,
) {
  const memory = new GuestMemory([RAM_BYTES]);
  const addressSpace = new AddressSpace(NO_TRACE);
  addressSpace.add(DEVICE, {
    name: 'probe',
    sizeBytes: 0x1000,
    maxAccess: 4,
    read: () => {
      onRead();
      return 0;
    },
    write: () => undefined,
    reset: () => undefined,
  });
  const ports = { ...bareEnginePorts(addressSpace), ...(sampler ? { sampler } : {}) };
  const engine = new WasmEngine(memory, CORTEX_A57, CORE, ports, affinities, jit);
  engine.setMapped({ base: RAM, sizeBytes: RAM_BYTES, block: 0, isReadOnly: false }, true);
  const program = (words: readonly number[], at = RAM): void => {
    const bytes = new Uint8Array(words.length * 4);
    words.forEach((word, i) => {
      new DataView(bytes.buffer).setUint32(i * 4, word, true);
    });
    assert.ok(engine.dma.write(at, bytes));
  };
  engine.reset(RAM, 0);
  return { engine, program };
}

for (const jit of ['off', 'always'] as const)
  suite(`engine, --jit ${jit}`, () => {
    test('instructions are counted exactly, and a run passes its budget only up to the next branch', () => {
      const { engine, program } = machine(jit);
      program([ADD_X0_1, NOP, NOP, branch(-3)]);
      assert.equal(engine.run(1000), 'budget');
      assert.equal(engine.instructions, 1000);
      assert.equal(engine.x(0), 250n);
      assert.equal(engine.run(1), 'budget');
      assert.equal(engine.instructions, 1004);
      assert.equal(engine.x(0), 251n);
    });

    test('code without a branch passes the budget by a page at most', () => {
      const { engine, program } = machine(jit);
      program(Array.from({ length: 4096 }, () => NOP));
      engine.run(1);
      assert.ok(engine.instructions <= 1 + 1024, `${engine.instructions}`);
      assert.equal(engine.pc(), BigInt(RAM + 4 * engine.instructions));
    });

    test('WFI ends the run with its own instruction counted, and a pending interrupt passes it', () => {
      const { engine, program } = machine(jit);
      program([NOP, WFI, ADD_X0_1, WFI, branch(0)]);
      assert.equal(engine.run(1000), 'idle');
      assert.equal(engine.instructions, 2);
      assert.equal(engine.pc(), BigInt(RAM + 8));
      engine.setIrq(0, true); // masked: DAIF is set at reset
      assert.equal(engine.run(10), 'budget');
      assert.equal(engine.x(0), 1n);
    });

    test('kick from a device ends the run, and the count is exact inside the device and after it', () => {
      let seen = -1;
      const { engine, program } = machine(jit, () => {
        seen = engine.instructions;
        engine.kick();
        assert.equal(engine.instructions, seen);
      });
      engine.setX(2, BigInt(DEVICE));
      program([NOP, NOP, LDR_W1_X2, ADD_X0_1, branch(-4)]);
      assert.equal(engine.run(1_000_000), 'budget');
      assert.equal(seen, 3);
      assert.equal(engine.instructions, 5);
      assert.equal(engine.x(0), 1n);
    });

    test('a sampler is called when so many instructions have been executed, which a run does not show', () => {
      const samples: number[] = [];
      const sampler: Sampler = {
        sample: (instructions) => {
          samples.push(instructions);
          assert.equal(instructions, engine.instructions);
          assert.equal(engine.pc(), BigInt(RAM));
          return instructions + 400;
        },
        decoded: () => undefined,
      };
      const { engine, program } = machine(jit, undefined, undefined, sampler);
      program([ADD_X0_1, NOP, NOP, branch(-3)]);
      assert.equal(engine.run(998), 'budget');
      assert.equal(engine.instructions, 1000);
      assert.deepEqual(samples, [4, 404, 804]);
    });

    test('a sampler is not called where a device or the guest itself ended the slice', () => {
      const samples: number[] = [];
      const sampler: Sampler = {
        sample: (instructions) => samples.push(instructions) + instructions + 6,
        decoded: () => undefined,
      };
      const { engine, program } = machine(jit, () => engine.kick(), undefined, sampler);
      engine.setX(2, BigInt(DEVICE));
      program([NOP, branch(1), NOP, NOP, LDR_W1_X2, NOP, WFI, branch(0)]);
      engine.run(4);
      assert.equal(engine.run(1000), 'idle');
      assert.deepEqual(samples, [2]);
    });

    test('a kick in the instructions that pass the budget of a part of a run ends the run', () => {
      const sampler: Sampler = { sample: (instructions) => instructions + 2, decoded: () => undefined };
      const { engine, program } = machine(jit, () => engine.kick(), undefined, sampler);
      engine.setX(2, BigInt(DEVICE));
      program([branch(1), NOP, NOP, NOP, LDR_W1_X2, branch(-5)]);
      assert.equal(engine.run(1000), 'budget');
      assert.equal(engine.instructions, 6);
    });

    test('an interrupt after a branch to a tagged address saves the address without its tag (DDI0487 D8.8.2)', () => {
      const { engine, program } = machine(jit);
      program([MSR_TCR_X3, MSR_VBAR_X4, MSR_DAIFCLR, BR_X2]);
      program([MRS_X0_ELR, branch(0)], RAM + 0x1000 + 0x280);
      engine.setX(2, 0xab00_0000_0000_0000n | BigInt(RAM + 0x100));
      engine.setX(3, 1n << 37n); // TBI0
      engine.setX(4, BigInt(RAM + 0x1000));
      engine.run(4);
      assert.equal(engine.instructions, 4);
      engine.setIrq(0, true);
      engine.run(2);
      assert.equal(engine.x(0), BigInt(RAM + 0x100));
    });

    test('vectors that cannot be fetched use up the budget instead of hanging', () => {
      const { engine } = machine(jit);
      engine.reset(0x7000_0000, 0); // nothing is there, nor at VBAR_EL1, which is 0
      assert.equal(engine.run(5000), 'budget');
      assert.equal(engine.instructions, 5000);
    });

    test('an alarm comes at the first branch after its instruction, set before or inside the run', () => {
      const alarms: number[] = [];
      const { engine, program } = machine(jit, () => {
        activity.setAlarm(activity.begun + 10);
      });
      const activity = engine.activity(0);
      activity.observe({
        onAlarm: () => alarms.push(activity.begun),
        onLevelChange: () => undefined,
        onReset: () => undefined,
      });
      program([NOP, NOP, branch(-2)]);
      activity.setAlarm(100);
      assert.equal(engine.run(1000), 'budget');
      assert.deepEqual(alarms, [102]);
      assert.ok(engine.instructions >= 1000, 'the run goes on');
      activity.setAlarm(Infinity);
      engine.run(1000);
      assert.equal(alarms.length, 1);

      program([LDR_W1_X2, NOP, branch(1), NOP, branch(-1)]);
      engine.reset(RAM, 0);
      engine.setX(2, BigInt(DEVICE));
      const before = engine.instructions;
      for (let ran = 0; ran < 1000; ran = engine.instructions - before) engine.run(1000 - ran);
      assert.deepEqual(alarms.slice(1), [before + 1 + 10]);
    });

    test('each CPU counts its own instructions, and those that were not executed', () => {
      const { engine, program } = machine(jit, undefined, [0n, 1n]);
      program([NOP, NOP, UDF]);
      program([NOP, branch(-1)], RAM + 0x1000);
      engine.powerOn(1, RAM + 0x1000, 0n);
      engine.run(100_000);
      const [first, second] = [engine.activity(0), engine.activity(1)];
      assert.equal(first.begun + second.begun, engine.instructions);
      // The vectors are nowhere: each try to fetch them counts, none is executed.
      assert.equal(first.retired, 2);
      assert.ok(second.begun >= 10_000);
      assert.equal(second.retired, second.begun);
    });

    test('changes of the exception level are told where they are watched, with the count between them', () => {
      const { engine, program } = machine(jit);
      const activity = engine.activity(0);
      const seen: [level: number, begun: number][] = [];
      activity.observe({
        onAlarm: () => undefined,
        onLevelChange: () => seen.push([activity.exceptionLevel, activity.begun]),
        onReset: () => undefined,
      });
      for (const isWatched of [false, true]) {
        engine.reset(RAM, 0);
        program([MSR_SPSR_XZR, MSR_ELR_X5, ERET]);
        program([NOP, NOP, NOP, SVC], RAM + 0x1000);
        engine.setX(5, BigInt(RAM + 0x1000));
        activity.watchLevel(isWatched);
        const before = engine.instructions;
        engine.run(1000);
        assert.deepEqual(
          seen,
          isWatched
            ? [
                [0, before + 3],
                [1, before + 7],
              ]
            : [],
        );
      }
    });

    test('a DMA write drops the decoded instructions it overwrites', () => {
      const { engine, program } = machine(jit);
      program([ADD_X0_1, branch(-1)]);
      engine.run(2);
      program([ADD_X0_2]);
      engine.run(2);
      assert.equal(engine.x(0), 3n);
    });

    test('BR to an address that is not a multiple of 4 is a PC alignment fault, reported before its translation', () => {
      const { engine, program } = machine(jit);
      engine.setX(30, 0x7000_0002n);
      program([RET]);
      engine.run(2);
      assert.equal(engine.pc(), 0x200n); // VBAR_EL1 0, synchronous, current EL with SP_ELx
    });
  });
