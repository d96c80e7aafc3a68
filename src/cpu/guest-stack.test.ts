import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { GuestMemory } from './guest-memory.js';
import { GuestStackReader } from './guest-stack.js';
import { STATE } from './layout.js';
import { sysregAddress } from './state.js';

const RAM = 0x4000_0000;
const RAM_BYTES = 0x10_0000;
const TABLE = 0x3;
const PAGE = 0x3;
const BLOCK = 0x1;

interface Cpu {
  readonly view: DataView;
  readonly reader: GuestStackReader;
  /** Writes a doubleword at a physical address. */
  readonly put: (address: number, value: bigint | number) => void;
  readonly setX: (index: number, value: bigint | number) => void;
  readonly setRegister: (name: string, value: bigint | number) => void;
  readonly setLevel: (el: number) => void;
}

function cpu(): Cpu {
  const memory = new GuestMemory([RAM_BYTES]);
  const hostAddress = memory.addressOf(0);
  const { view } = memory;
  const setRegister = (name: string, value: bigint | number): void => {
    view.setBigUint64(sysregAddress(name), BigInt(value), true);
  };
  const setLevel = (el: number): void => {
    view.setInt32(STATE.EL.at, el, true);
  };
  setLevel(1);
  return {
    ...{ view, setRegister, setLevel },
    reader: new GuestStackReader(memory, [{ base: RAM, sizeBytes: RAM_BYTES, hostAddress }]),
    put: (address, value) => {
      view.setBigUint64(hostAddress + address - RAM, BigInt(value), true);
    },
    setX: (index, value) => {
      view.setBigUint64(STATE.X.at + index * 8, BigInt(value), true);
    },
  };
}

describe('the stack of a guest without an MMU', () => {
  test('is PC, and the calls that frame records tell (AAPCS64 6.4.6)', () => {
    const { view, reader, put, setX } = cpu();
    view.setBigUint64(STATE.PC.at, 0x4000_1000n, true);
    setX(30, 0x4000_2004);
    setX(29, RAM + 0x8000);
    put(RAM + 0x8000, RAM + 0x8040);
    put(RAM + 0x8008, 0x4000_3004);
    put(RAM + 0x8040, 0);
    put(RAM + 0x8048, 0x4000_4004);
    const { pc, link, calls, exceptionLevel, space } = reader.read();
    assert.deepEqual([pc, link, exceptionLevel, space], [0x4000_1000n, 0x4000_2000n, 1, 0n]);
    assert.deepEqual(calls, [0x4000_3000n, 0x4000_4000n]);
  });

  test('ends where there is no record, and where records lead in a circle', () => {
    const { reader, put, setX } = cpu();
    for (const fp of [0, 1, RAM - 8, RAM + RAM_BYTES, RAM + 0x8004]) {
      setX(29, fp);
      assert.deepEqual(reader.read().calls, [], `${fp}`);
    }
    setX(29, RAM + 0x8000);
    put(RAM + 0x8008, 0x4000_3004);
    put(RAM + 0x8000, RAM + 0x8000);
    assert.equal(reader.read().calls.length, 1);
    put(RAM + 0x8000, RAM + 0x8010);
    put(RAM + 0x8010, RAM + 0x8000);
    put(RAM + 0x8018, 0x4000_3004);
    assert.ok(reader.read().calls.length <= 96);
  });

  test('has the address of an instruction that the interpreter is at', () => {
    const { view, reader } = cpu();
    view.setBigUint64(STATE.DELTA.at, 0xffff_8000_0000_0000n, true);
    assert.equal(reader.read(0x1234).pc, 0xffff_8000_0000_1234n);
  });
});

describe('addresses are translated (DDI0487 D8.2)', () => {
  const L0 = RAM + 0x1_0000;
  const L1 = RAM + 0x1_1000;
  const L2 = RAM + 0x1_2000;
  const L3 = RAM + 0x1_3000;

  /** 48 bits of addresses in both halves, with granules of 4 KiB. */
  function translating(): Cpu {
    const made = cpu();
    made.setRegister('SCTLR_EL1', 1);
    made.setRegister('TCR_EL1', 16n | (16n << 16n) | (2n << 30n));
    made.setRegister('TTBR0_EL1', L0);
    made.setRegister('TTBR1_EL1', L0);
    made.put(L0, L1 | TABLE);
    made.put(L1, L2 | TABLE);
    return made;
  }

  test('by pages, in both halves', () => {
    const { put, reader } = translating();
    put(L2 + 8, L3 | TABLE);
    put(L3 + 5 * 8, (RAM + 0x4000) | PAGE);
    put(RAM + 0x4010, 0x1234_5678);
    for (const half of [0n, 0xffff_0000_0000_0000n]) {
      reader.read();
      assert.equal(reader.word(half + 0x20_5010n), 0x1234_5678);
      assert.equal(reader.word(half + 0x20_6010n), undefined);
      assert.equal(reader.word(half + 0x20_5012n), undefined);
    }
  });

  test('by blocks', () => {
    const { put, reader } = translating();
    put(L2 + 16, RAM | BLOCK);
    put(RAM + 0x4010, 0x1234_5678);
    reader.read();
    assert.equal(reader.word(0x40_4010n), 0x1234_5678);
  });

  test('by granules of 64 KiB, and with fewer bits', () => {
    const { put, reader, setRegister } = cpu();
    setRegister('SCTLR_EL1', 1);
    // TG0 64 KiB, 36 bits: two levels.
    setRegister('TCR_EL1', 28n | (1n << 14n));
    setRegister('TTBR0_EL1', L0);
    const leaf = RAM + 0x2_0000;
    put(L0 + 8, leaf | TABLE);
    put(leaf + 3 * 8, (RAM + 0x3_0000) | PAGE);
    put(RAM + 0x3_4010, 0x1234_5678);
    reader.read();
    assert.equal(reader.word(0x2003_4010n), 0x1234_5678);
  });

  test('by the tables of EL2 there', () => {
    const { put, reader, setRegister, setLevel } = cpu();
    put(RAM + 0x10, 0x1234_5678);
    setRegister('SCTLR_EL2', 0);
    setRegister('SCTLR_EL1', 1);
    setLevel(2);
    reader.read();
    assert.equal(reader.word(BigInt(RAM) + 0x10n), 0x1234_5678);
    setLevel(1);
    reader.read();
    assert.equal(reader.word(BigInt(RAM) + 0x10n), undefined);
  });

  test('and the space is that of the lower half', () => {
    assert.equal(translating().reader.read().space, BigInt(L0));
  });
});
