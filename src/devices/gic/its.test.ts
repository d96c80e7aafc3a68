import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { NO_TRACE, type Trace } from '../../base/index.js';
import type { AccessSize, DmaPort, MmioDevice, Snapshottable } from '../../bus/index.js';
import { deviceSuite } from '../device-suite.js';
import { Gicv3 } from './gicv3.js';
import { Its } from './its.js';

// Offsets as IHI0069 tables 12-27, 12-28 and 12-32 give them.
const GITS = {
  CTLR: 0x0000,
  TYPER: 0x0008,
  CBASER: 0x0080,
  CWRITER: 0x0088,
  CREADR: 0x0090,
  BASER: 0x0100,
} as const;
const GICR = { CTLR: 0x0000, TYPER: 0x0008, PROPBASER: 0x0070, PENDBASER: 0x0078 } as const;
const GICR_STRIDE = 0x20000;
const GICD_CTLR = 0;
const GICD_TYPER = 4;
const VALID = 1n << 63n;
const INDIRECT = 1n << 62n;
const SPURIOUS = 1023;
const FIRST = 8192;

const RAM_BASE = 0x4000_0000;
/** What the guest has where. */
const AT = {
  queue: RAM_BASE,
  devices: RAM_BASE + 0x1_0000,
  collections: RAM_BASE + 0x2_0000,
  translations: RAM_BASE + 0x3_0000,
  properties: RAM_BASE + 0x4_0000,
  pending: RAM_BASE + 0x5_0000,
} as const;
const RAM_BYTES = 0x8_0000;
const QUEUE_BYTES = 4096;

class Memory implements DmaPort {
  readonly bytes = new Uint8Array(RAM_BYTES);
  readonly view = new DataView(this.bytes.buffer);
  accesses = 0;

  read(address: number, into: Uint8Array): boolean {
    this.accesses++;
    const at = address - RAM_BASE;
    if (at < 0 || at + into.length > RAM_BYTES) return false;
    into.set(this.bytes.subarray(at, at + into.length));
    return true;
  }

  write(address: number, from: Uint8Array): boolean {
    this.accesses++;
    const at = address - RAM_BASE;
    if (at < 0 || at + from.length > RAM_BYTES) return false;
    this.bytes.set(from, at);
    return true;
  }
}

type Words = readonly [bigint | number, bigint | number, bigint | number, bigint | number];

/** An ITS with the GIC that it belongs to, two CPUs of it, and a guest's memory. */
class Rig {
  readonly memory = new Memory();
  readonly errors: string[] = [];
  readonly levels = [false, false];
  readonly gic: Gicv3;
  readonly its: Its;
  #queueAt = 0;

  constructor() {
    const trace: Trace = {
      on: (channel) => channel === 'guest-errors',
      event: (_channel, text) => void this.errors.push(text),
    };
    this.gic = new Gicv3(32, {
      cpus: this.levels.map((_, cpu) => ({
        irq: { set: (level) => void (this.levels[cpu] = level) },
        fiq: { set: () => undefined },
        affinity: cpu,
      })),
      lpiTables: this.memory,
      trace,
    });
    this.its = new Its({ dma: this.memory, lpis: this.gic.lpiPort, trace });
  }

  get(at: number): bigint {
    return this.its.frames.read64!(at);
  }

  set(at: number, value: bigint | number): void {
    this.its.frames.write64!(at, BigInt(value));
  }

  setR(cpu: number, at: number, value: bigint | number): void {
    this.gic.redistributors.write64!(cpu * GICR_STRIDE + at, BigInt(value));
  }

  /** As a driver does it; collection n is CPU n, and LPIs are enabled at priority 0xa0. */
  start(): this {
    this.gic.distributor.write(GICD_CTLR, 4, 2);
    for (const cpu of [0, 1]) {
      this.icc(cpu, 'ICC_PMR_EL1', 0xf0);
      this.icc(cpu, 'ICC_IGRPEN1_EL1', 1);
      this.setR(cpu, GICR.PROPBASER, BigInt(AT.properties) | 13n);
      this.setR(cpu, GICR.PENDBASER, BigInt(AT.pending + 0x1_0000 * cpu));
      this.setR(cpu, GICR.CTLR, 1);
    }
    this.memory.bytes.fill(0xa1, AT.properties - RAM_BASE, AT.properties - RAM_BASE + 8192);
    this.set(GITS.CBASER, BigInt(AT.queue) | VALID);
    this.set(GITS.BASER, BigInt(AT.devices) | VALID | 0xfn);
    this.set(GITS.BASER + 8, BigInt(AT.collections) | VALID);
    this.set(GITS.CTLR, 1);
    this.run(...[0, 1].map((cpu) => mapc(cpu, cpu)));
    return this;
  }

  icc(cpu: number, name: string, value: number): void {
    this.gic.writeSystemRegister(name, cpu, BigInt(value));
  }

  put(...commands: readonly Words[]): void {
    for (const command of commands) {
      command.forEach((word, index) => {
        this.memory.view.setBigUint64(
          AT.queue - RAM_BASE + this.#queueAt + 8 * index,
          BigInt.asUintN(64, BigInt(word)),
          true,
        );
      });
      this.#queueAt = (this.#queueAt + 32) % QUEUE_BYTES;
    }
  }

  run(...commands: readonly Words[]): void {
    this.put(...commands);
    this.set(GITS.CWRITER, this.#queueAt);
    assert.equal(this.get(GITS.CREADR), BigInt(this.#queueAt));
  }

  /** What a CPU takes, in order. */
  take(cpu = 0): number[] {
    const taken: number[] = [];
    for (;;) {
      const intid = Number(this.gic.readSystemRegister('ICC_IAR1_EL1', cpu));
      if (intid === SPURIOUS) break;
      taken.push(intid - FIRST);
      this.icc(cpu, 'ICC_EOIR1_EL1', intid);
    }
    assert.equal(this.levels[cpu], false);
    return taken;
  }

  configure(lpi: number, value: number): void {
    this.memory.bytes[AT.properties - RAM_BASE + lpi] = value;
  }
}

const device = (id: number): bigint => BigInt(id) << 32n;
const mapd = (id: number, bits: number, table: number = AT.translations): Words =>
  [device(id) | 8n, bits - 1, BigInt(table) | VALID, 0]; // prettier-ignore
const mapc = (collection: number, cpu: number): Words => [9, 0, BigInt(cpu << 16 | collection) | VALID, 0]; // prettier-ignore
const mapti = (id: number, event: number, lpi: number, collection = 0): Words => [
  device(id) | 0xan,
  (BigInt(FIRST + lpi) << 32n) | BigInt(event),
  collection,
  0,
];
const onEvent = (code: number) => (id: number, event: number): Words => [device(id) | BigInt(code), event, 0, 0]; // prettier-ignore
const int = onEvent(3);
const clear = onEvent(4);
const inv = onEvent(0xc);
const discard = onEvent(0xf);
const movi = (id: number, event: number, collection: number): Words => [
  device(id) | 1n,
  event,
  collection,
  0,
];
const invall = (collection: number): Words => [0xd, 0, collection, 0];
const movall = (from: number, to: number): Words => [0xe, 0, from << 16, to << 16];

/** ITS frames, then the redistributors, as one device, with what is in memory. */
function asDevice(rig: Rig): MmioDevice & Snapshottable<unknown> {
  const { its, gic, memory } = rig;
  const split = its.frames.sizeBytes;
  const at = (offset: number): [MmioDevice, number] =>
    offset < split ? [its.frames, offset] : [gic.redistributors, offset - split];
  return {
    name: 'its and redistributors',
    sizeBytes: split + gic.redistributors.sizeBytes,
    maxAccess: 8,
    read: (offset: number, size: AccessSize) => {
      const [frame, inside] = at(offset);
      return frame.read(inside, size);
    },
    write: (offset: number, size: AccessSize, value: number) => {
      const [frame, inside] = at(offset);
      frame.write(inside, size, value);
    },
    read64: (offset: number) => {
      const [frame, inside] = at(offset);
      return frame.read64!(inside);
    },
    write64: (offset: number, value: bigint) => {
      const [frame, inside] = at(offset);
      frame.write64!(inside, value);
    },
    reset: () => {
      its.reset();
      gic.reset();
    },
    saveState: () => ({ its: its.saveState(), gic: gic.saveState(), memory: memory.bytes.slice() }),
    restoreState: (state) => {
      const saved = state as {
        its: ReturnType<Its['saveState']>;
        gic: ReturnType<Gicv3['saveState']>;
        memory: Uint8Array;
      };
      memory.bytes.set(saved.memory);
      its.restoreState(saved.its);
      gic.restoreState(saved.gic);
    },
  };
}

const REDISTRIBUTORS = 0x20000;
deviceSuite({
  title: 'ITS and LPIs (IHI0069 12.11, 12.19)',
  make: () => {
    const rig = new Rig();
    return {
      rig,
      device: asDevice(rig),
      observe: () => ({ levels: [...rig.levels], memory: rig.memory.bytes.slice() }),
    };
  },
  registers: [
    { name: 'GITS_CTLR', at: GITS.CTLR, size: 4, reset: 0x8000_0000 },
    { name: 'GITS_TYPER', at: GITS.TYPER, size: 8, reset: 0x1f_0001_ef71n, writable: 0 },
    { name: 'GITS_CBASER', at: GITS.CBASER, size: 8, reset: 0, writable: 0xb8ef_ffff_ffff_fcffn },
    { name: 'GITS_CWRITER', at: GITS.CWRITER, size: 8, reset: 0, writable: 0xf_ffe0 },
    { name: 'GITS_CREADR', at: GITS.CREADR, size: 8, reset: 0, writable: 0 },
    { name: 'GITS_BASER0', at: GITS.BASER, size: 8, reset: 0x0107n << 48n, writable: 0xf8e0_ffff_ffff_ffffn },
    { name: 'GITS_BASER1', at: GITS.BASER + 8, size: 8, reset: 0x0407n << 48n, writable: 0xf8e0_ffff_ffff_ffffn },
    { name: 'GITS_BASER2', at: GITS.BASER + 16, size: 8, reset: 0, writable: 0 },
    { name: 'GITS_PIDR2', at: 0xffe8, size: 4, reset: 0x3b, writable: 0 },
    { name: 'GITS_TRANSLATER', at: 0x1_0040, size: 4, reset: 0, writable: 0 },
    { name: 'GICR_CTLR', at: REDISTRIBUTORS, size: 4, reset: 2, writable: 1 },
    { name: 'GICR_TYPER', at: REDISTRIBUTORS + GICR.TYPER, size: 8, reset: 1, writable: 0 },
    {
      name: 'GICR_PROPBASER',
      at: REDISTRIBUTORS + GICR.PROPBASER,
      size: 8,
      reset: 0,
      writable: 0x070f_ffff_ffff_ff9fn,
    },
    {
      name: 'GICR_PENDBASER',
      at: REDISTRIBUTORS + GICR.PENDBASER,
      size: 8,
      reset: 0,
      writable: 0x070f_ffff_ffff_0f80n,
    },
  ], // prettier-ignore
  activity: ({ rig }) => {
    rig.start();
    rig.run(mapd(5, 5), mapti(5, 0, 3), mapti(5, 1, 4, 1), int(5, 0), int(5, 1));
    rig.put(int(5, 0));
  },
  stimulate: ({ rig }, seed) => {
    rig.its.translate(5, seed % 3);
    if (seed % 5 === 0) rig.gic.readSystemRegister('ICC_IAR1_EL1', seed % 2);
  },
});

test('GICD_TYPER tells of LPIs and 16 bits of INTID (12.9)', () => {
  assert.equal(new Rig().gic.distributor.read(GICD_TYPER, 4) & 0x00ff_0000, 0x7a_0000);
});

describe('messages (5.1, 5.2)', () => {
  test('a message becomes the LPI that its event is mapped to, on the CPU of its collection', () => {
    const rig = new Rig().start();
    rig.run(mapd(5, 5), mapd(6, 5, AT.translations + 0x100), mapti(5, 2, 10), mapti(6, 2, 20, 1));
    rig.its.translate(5, 2);
    rig.its.translate(6, 2);
    assert.deepEqual(rig.levels, [true, true]);
    assert.deepEqual([rig.take(0), rig.take(1)], [[10], [20]]);
    assert.deepEqual(rig.errors, []);
  });

  test('messages of unknown devices and events, and those to a disabled ITS, do nothing', () => {
    const rig = new Rig().start();
    rig.run(mapd(5, 2), mapti(5, 1, 10));
    for (const [id, event] of [
      [4, 1],
      [5, 0],
      [5, 4],
      [5, 0xffff_ffff],
      [0xffff, 1],
      [0x1_0005, 1],
    ] as const) {
      rig.its.translate(id, event);
    }
    rig.set(GITS.CTLR, 0);
    rig.its.translate(5, 1);
    assert.deepEqual(rig.take(), []);
    assert.equal(rig.errors.length, 6);
  });

  test('a write by a CPU to GITS_TRANSLATER does nothing', () => {
    const rig = new Rig().start();
    rig.run(mapd(0, 2), mapti(0, 1, 10));
    rig.its.frames.write(0x1_0040, 4, 1);
    assert.deepEqual(rig.take(), []);
    assert.equal(rig.errors.length, 1);
  });
});

describe('commands (5.3)', () => {
  const mapped = (): Rig => {
    const rig = new Rig().start();
    rig.run(mapd(5, 5), ...Array.from({ length: 8 }, (_, event) => mapti(5, event, event)));
    return rig;
  };

  test('INT, CLEAR, DISCARD', () => {
    const rig = mapped();
    rig.run(int(5, 1), int(5, 2), int(5, 3), clear(5, 2), discard(5, 3), int(5, 3));
    assert.deepEqual(rig.take(), [1]);
  });

  test('INV and INVALL: the configuration is read again, and not before', () => {
    const rig = mapped();
    rig.configure(1, 0xa0);
    rig.run(int(5, 1), int(5, 2));
    assert.deepEqual(rig.take(), [2]);
    rig.configure(1, 0xa1);
    assert.deepEqual(rig.take(), []);
    rig.run(inv(5, 1));
    assert.deepEqual(rig.take(), [1]);
    rig.run(int(5, 3), int(5, 4), int(5, 5));
    for (const lpi of [3, 4, 5]) rig.configure(lpi, 0x81 - 0x10 * lpi);
    rig.run(invall(0));
    assert.deepEqual(rig.take(), [5, 4, 3]);
  });

  test('MOVI takes what is pending along', () => {
    const rig = mapped();
    rig.run(int(5, 1), movi(5, 1, 1));
    assert.deepEqual([rig.take(0), rig.take(1)], [[], [1]]);
    rig.run(int(5, 1));
    assert.deepEqual([rig.take(0), rig.take(1)], [[], [1]]);
  });

  test('MOVALL moves what is pending, whether or not something is already there', () => {
    const rig = mapped();
    rig.run(mapti(5, 9, 9, 1), int(5, 1), int(5, 2), movall(0, 1));
    assert.deepEqual(rig.levels, [false, true]);
    rig.run(movall(1, 0), int(5, 9), movall(0, 1), movall(1, 1));
    assert.deepEqual([rig.take(0), rig.take(1)], [[], [1, 2, 9]]);
  });

  test('the queue goes round, any number of times', () => {
    const rig = mapped();
    for (let i = 0; i < 1000; i++) {
      rig.run(int(5, i % 8));
      assert.deepEqual(rig.take(), [i % 8]);
    }
  });

  test('a write of GITS_CWRITER makes at most as many commands known as the queue has room for', () => {
    const rig = mapped();
    rig.set(GITS.CTLR, 0);
    rig.set(GITS.CBASER, BigInt(AT.queue) | VALID | 0xfn);
    rig.set(GITS.CWRITER, 0);
    rig.set(GITS.CTLR, 1);
    rig.memory.bytes.fill(0, 0, 0x1_0000);
    rig.memory.accesses = 0;
    rig.set(GITS.CWRITER, 0xffe0);
    assert.equal(rig.get(GITS.CREADR), 0xffe0n);
    assert.equal(rig.memory.accesses, 0x1_0000 / 32 - 1);
    rig.set(GITS.CWRITER, 0x1_0000);
    assert.equal(rig.get(GITS.CREADR), 0xffe0n, 'an offset beyond the queue is none');
  });

  test('a queue that is no memory stalls the ITS until it is told to retry (5.3.2)', () => {
    const rig = mapped();
    rig.set(GITS.CTLR, 0);
    rig.set(GITS.CBASER, 0x1000n | VALID);
    rig.set(GITS.CWRITER, 64);
    rig.set(GITS.CTLR, 1);
    assert.equal(rig.get(GITS.CREADR), 1n);
    rig.set(GITS.CWRITER, 96);
    assert.equal(rig.get(GITS.CREADR), 1n);
    rig.set(GITS.CWRITER, 97);
    assert.equal(rig.get(GITS.CREADR), 1n, 'still no memory');
    assert.equal(rig.errors.length, 2);
    rig.set(GITS.CTLR, 0);
    rig.set(GITS.CBASER, BigInt(AT.queue) | VALID);
    assert.equal(rig.get(GITS.CREADR), 0n);
  });

  test('tables and the queue cannot be moved while the ITS is enabled (12.19.1, 12.19.2)', () => {
    const rig = mapped();
    for (const at of [GITS.CBASER, GITS.BASER, GITS.BASER + 8]) {
      const before = rig.get(at);
      rig.set(at, 0);
      assert.equal(rig.get(at), before);
    }
  });

  for (const [title, command] of [
    ['MAPD of a device beyond the table', mapd(0x2000, 4)],
    ['MAPD with more bits of EventID than there are', mapd(5, 17)],
    ['MAPC of no processor', mapc(2, 2)],
    ['MAPC of a collection beyond the table', mapc(0x200, 0)],
    ['MAPTI of an unknown device', mapti(7, 0, 1)],
    ['MAPTI of an event that the device has no room for', mapti(5, 32, 1)],
    ['MAPTI of an INTID below the LPIs', mapti(5, 0, -1)],
    ['MAPTI of an INTID beyond 16 bits', mapti(5, 0, 0xe000)],
    ['MAPI of an event that is no LPI', [device(5) | 0xbn, 3, 0, 0]],
    ['MOVI to an unknown collection', movi(5, 0, 9)],
    ['INT of an unknown event', int(5, 20)],
    ['INVALL of an unknown collection', invall(9)],
    ['MOVALL to no processor', movall(0, 2)],
    ['no command', [0, 0, 0, 0]],
    ['a command of virtual LPIs', [0x2a, 0, 0, 0]],
  ] as const satisfies readonly (readonly [string, Words])[]) {
    test(`${title}: nothing happens, a guest error, and the next command is executed`, () => {
      const rig = mapped();
      rig.run(command, int(5, 0));
      assert.equal(rig.errors.length, 1, rig.errors.join('\n'));
      assert.deepEqual(rig.take(), [0]);
    });
  }

  test('a table that is no memory, or not there', () => {
    for (const base of [0n, 0x1000n | VALID, 0x1000n | VALID | INDIRECT]) {
      for (const table of [GITS.BASER, GITS.BASER + 8]) {
        const rig = mapped();
        rig.set(GITS.CTLR, 0);
        rig.set(table, base);
        rig.set(GITS.CTLR, 1);
        rig.run(mapd(6, 2), mapc(1, 1), int(5, 1), movi(5, 1, 1), mapti(6, 0, 1), discard(5, 2));
        assert.deepEqual([...rig.take(0), ...rig.take(1)], []);
        assert.ok(rig.errors.length > 0);
      }
    }
  });
});

test('a table of two levels: pages where the first says they are (5.2.1)', () => {
  const rig = new Rig();
  const page = AT.translations + 0x8000;
  rig.set(GITS.BASER, BigInt(AT.devices) | VALID | INDIRECT);
  rig.memory.view.setBigUint64(AT.devices - RAM_BASE + 8 * 3, BigInt(page) | VALID, true);
  rig.start();
  rig.set(GITS.CTLR, 0);
  rig.set(GITS.BASER, BigInt(AT.devices) | VALID | INDIRECT);
  rig.set(GITS.CTLR, 1);
  const id = 3 * 512 + 7;
  rig.run(mapd(id, 5), mapti(id, 1, 30), int(id, 1), mapd(7, 5));
  assert.deepEqual(rig.take(), [30]);
  assert.equal(rig.errors.length, 1, 'there is no page for device 7');
  assert.notEqual(rig.memory.view.getBigUint64(page - RAM_BASE + 8 * 7, true), 0n);
});

describe('LPIs (5.1, 4.8)', () => {
  const mapped = (): Rig => {
    const rig = new Rig().start();
    rig.run(mapd(5, 5), ...Array.from({ length: 32 }, (_, event) => mapti(5, event, event)));
    return rig;
  };

  test('without being enabled they are not taken; what is pending is in memory then', () => {
    const rig = mapped();
    rig.run(int(5, 3), int(5, 12));
    rig.setR(0, GICR.CTLR, 0);
    assert.deepEqual(rig.levels, [false, false]);
    const table = rig.memory.bytes.subarray(AT.pending - RAM_BASE + 1024, AT.pending - RAM_BASE + 1026);
    assert.deepEqual([...table], [1 << 3, 1 << 4]);
    rig.run(int(5, 4));
    table[0]! |= 1 << 5;
    rig.setR(0, GICR.CTLR, 1);
    assert.deepEqual(rig.take(), [3, 5, 12]);
  });

  test('the range is what GICR_PROPBASER says; below 14 bits there is none', () => {
    const rig = mapped();
    rig.run(mapti(5, 0, 0x1fff), mapti(5, 1, 0x2000), int(5, 0), int(5, 1));
    assert.deepEqual(rig.take(), [0x1fff]);
    rig.setR(0, GICR.CTLR, 0);
    rig.setR(0, GICR.PROPBASER, BigInt(AT.properties) | 12n);
    rig.setR(0, GICR.CTLR, 1);
    rig.run(int(5, 2));
    assert.deepEqual(rig.take(), []);
  });

  test('without memory behind the tables nothing is enabled', () => {
    const rig = mapped();
    rig.setR(0, GICR.CTLR, 0);
    rig.setR(0, GICR.PROPBASER, 15n);
    rig.setR(0, GICR.PENDBASER, 0n);
    rig.setR(0, GICR.CTLR, 1);
    rig.run(int(5, 2));
    assert.deepEqual(rig.take(), []);
    rig.setR(0, GICR.CTLR, 0);
  });

  test('they are of Group 1, have no active state, and come again while running at their priority is over', () => {
    const rig = mapped();
    rig.run(int(5, 2));
    rig.gic.distributor.write(GICD_CTLR, 4, 1);
    assert.deepEqual(rig.levels, [false, false]);
    rig.gic.distributor.write(GICD_CTLR, 4, 2);
    const acknowledge = (): bigint => rig.gic.readSystemRegister('ICC_IAR1_EL1', 0);
    assert.equal(acknowledge(), BigInt(FIRST + 2));
    rig.run(int(5, 2));
    assert.equal(acknowledge(), BigInt(SPURIOUS));
    rig.icc(0, 'ICC_EOIR1_EL1', FIRST + 2);
    assert.deepEqual(rig.take(), [2]);
    assert.equal(rig.gic.readSystemRegister('ICC_RPR_EL1', 0), 0xffn);
  });

  test('priority decides, then the lower INTID, SPIs included', () => {
    const rig = mapped();
    rig.gic.distributor.write(0x84, 4, 0xffff_ffff);
    rig.gic.distributor.write(0x104, 4, 1);
    rig.gic.distributor.write(0x420, 1, 0x90);
    rig.configure(7, 0x81);
    rig.run(int(5, 9), int(5, 8), int(5, 7));
    rig.gic.spi(0).set(true);
    const taken = [0, 1, 2, 3].map(() => {
      const intid = rig.gic.readSystemRegister('ICC_IAR1_EL1', 0);
      if (intid === 32n) rig.gic.spi(0).set(false);
      rig.icc(0, 'ICC_EOIR1_EL1', Number(intid));
      return Number(intid);
    });
    assert.deepEqual(taken, [FIRST + 7, 32, FIRST + 8, FIRST + 9]);
  });
});

test('a GIC without LPIs says so, and nothing can enable them', () => {
  const input = { set: () => undefined };
  const gic = new Gicv3(32, { cpus: [{ irq: input, fiq: input, affinity: 0 }], trace: NO_TRACE });
  for (const at of [GICR.CTLR, GICR.PROPBASER, GICR.PENDBASER]) {
    gic.redistributors.write64!(at, 0xffff_ffff_ffff_ffffn);
    assert.equal(gic.redistributors.read64!(at) & 0xffff_ffffn, 0n);
  }
  assert.equal(gic.redistributors.read(GICR.TYPER, 4) & 1, 0);
});

test('random command queues and tables: no exception, and a bounded amount of work', () => {
  let seed = 12345;
  const random = (limit: number): number => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return Math.floor((seed / 2 ** 32) * limit);
  };
  for (let round = 0; round < 60; round++) {
    const rig = new Rig().start();
    const codes = [1, 3, 4, 5, 8, 9, 0xa, 0xb, 0xc, 0xd, 0xe, 0xf, 0x40];
    for (let piece = 0; piece < 8; piece++) {
      for (let i = 0; i < 60; i++) {
        const isSmall = random(4) > 0;
        const word = (): bigint =>
          isSmall ? BigInt(random(64)) : (BigInt(random(2 ** 32)) << 32n) | BigInt(random(2 ** 32));
        const address = BigInt(RAM_BASE + random(RAM_BYTES)) & ~0xffn;
        rig.put([
          (word() << 32n) | BigInt(codes[random(codes.length)]!),
          (BigInt(FIRST + random(64)) << 32n) | word(),
          random(2) === 0 ? address | VALID : word() | (random(2) === 0 ? VALID : 0n),
          word(),
        ]);
      }
      rig.memory.accesses = 0;
      rig.run();
      assert.ok(rig.memory.accesses < 60 * 20, `${rig.memory.accesses} accesses`);
      for (let i = 0; i < 20; i++) rig.its.translate(random(64), random(64));
      rig.memory.bytes[random(RAM_BYTES)] = random(256);
      rig.take(0);
      rig.take(1);
      if (random(3) === 0) rig.setR(random(2), GICR.CTLR, random(2));
    }
  }
});
