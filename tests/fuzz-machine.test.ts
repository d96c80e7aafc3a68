/**
 * Machines whose firmware is random instructions: whatever a guest does, it gets an architectural result; the machine
 * never throws, never hangs and never reaches outside its memory (WebAssembly would trap).
 */
import { strict as assert } from 'node:assert';
import { suite, test } from 'node:test';

import { NO_TRACE } from '#v8a/base/index.js';
import { CPU_MODELS } from '#v8a/cpu/models.js';
import { A64 } from '#v8a/isa/a64.js';
import { randomSource, randomWord } from '#v8a/isa/random-encoder.js';
import { buildHardware } from '#v8a/vm/build-hardware.js';
import { designVirt } from '#v8a/vm/virt-machine.js';
import { VirtualClock } from '#v8a/vm/clock.js';
import { coreImage } from '#v8a/vm/core-image.js';
import { PowerLatch } from '#v8a/vm/machine.js';
import { OutsideWorld } from '#v8a/vm/outside-world.js';

const cores = CPU_MODELS.map((cpu) => ({ cpu, core: coreImage(cpu) }));

const FIRMWARE_WORDS = 0x4000;
const INSTRUCTIONS = 60_000;
const SLICE = 2_000;

/** Rows that matter most where things can go wrong: they are drawn as often as all others together. */
const DANGEROUS = A64.rows.filter(({ name }) => /LD|ST|MSR|MRS|SYS|ERET|DC|HVC|B/.test(name));

/** Flash, devices, RAM and nothing, on the virt board. */
const PLACES = [
  0x0000_0000, 0x0400_0000, 0x0800_0000, 0x0801_0000, 0x080a_0000, 0x0900_0000, 0x0901_0000, 0x0902_0000, 0x0903_0000,
  0x0a00_0000, 0x0802_0000, 0x0808_0000, 0x0809_0000, 0x1000_0000, 0x3eff_0000, 0x40_1000_0000, 0x40_1000_8000, 0x80_0000_0000, 0x4000_0000, 0x4000_0ff0, 0x40ff_ff00, 0x5000_0000,
]; // prettier-ignore

/** Behind the vectors, which are at 0 after reset. */
const PROLOGUE_AGAIN = 0x800;

const MOVZ = 0xd280_0000;
const MOVK = 0xf280_0000;
const HALFWORDS = [0, 1, 2] as const;

function moveWide(opcode: number, register: number, halfword: 0 | 1 | 2, value: number): number {
  const bits = Math.floor(value / 2 ** (16 * halfword)) % 2 ** 16;
  return opcode | (halfword << 21) | (bits << 5) | register;
}

function branch(distance: number): number {
  return 0x1400_0000 | ((distance >> 2) & 0x3ff_ffff);
}

function randomFirmware(seed: number): Uint8Array {
  const random = randomSource(seed);
  const below = (limit: number): number => Math.floor((random() / 2 ** 32) * limit);
  const words = new Uint32Array(FIRMWARE_WORDS);
  for (let i = 0; i < words.length; i++) {
    const rows = below(2) === 0 ? DANGEROUS : A64.rows;
    const row = rows[below(rows.length)];
    // Some words are nothing at all.
    words[i] = row && below(16) !== 0 ? randomWord(row, random) : below(2 ** 32);
  }
  // From reset, and again after each exception, registers point to where something is.
  const prologue = Array.from({ length: 31 }, (_, register) => {
    const address = (PLACES[below(PLACES.length)] ?? 0) + below(0x1000);
    return HALFWORDS.map((halfword) => moveWide(halfword === 0 ? MOVZ : MOVK, register, halfword, address));
  }).flat();
  words.set(prologue, 0);
  words.set(prologue, PROLOGUE_AGAIN / 4);
  for (const vector of [0x200, 0x280, 0x300, 0x400]) words[vector / 4] = branch(PROLOGUE_AGAIN - vector);
  return new Uint8Array(words.buffer);
}

/** Runs a random machine; a digest of what it did. */
async function run(seed: number, gicVersion: 2 | 3): Promise<string> {
  const clock = new VirtualClock();
  const power = new PowerLatch();
  const hardware = await buildHardware(
    {
      firmware: randomFirmware(seed),
      flashCommit: 'quiet',
      isFlashDirect: true,
      ...cores[(seed >> 1) % cores.length]!,
      // The same machines with both: they must not throw.
      jit: seed % 3 === 0 ? 'always' : 'off',
      cpuCount: 1 + (seed % 3),
      memoryBytes: 16 * 1024 * 1024,
      irqchip: gicVersion === 2 ? 'gicv2' : seed % 4 < 2 ? 'gicv3-its' : 'gicv3',
      hasAcpi: true,
      commandLine: '',
      epochSeconds: 0,
      clock,
      trace: NO_TRACE,
      power,
      serialOutput: { write: () => undefined },
      disks: [],
      shares: [],
      virtioTransport: seed % 2 === 0 ? 'pci' : 'mmio',
      virtioAccessPlatform: false,
      pciTestdevCount: seed % 2,
      hasRng: true,
      seed,
      isRealTime: false,
      outside: new OutsideWorld(),
    },
    designVirt,
  );
  const { engine } = hardware;
  clock.connect(engine);
  hardware.reset();
  let idle = 0;
  let resets = 0;
  while (engine.instructions < INSTRUCTIONS && idle + resets < 50) {
    clock.fireDue();
    const before = engine.instructions;
    const exit = engine.run(Math.min(SLICE, clock.beginSlice()));
    clock.endSlice();
    assert.ok(engine.instructions - before <= SLICE + 1_024, 'a run ends near its budget');
    if (exit === 'idle') {
      idle++;
      if (!clock.skipIdle()) hardware.reset();
    }
    if (exit === 'stopped' || power.take() !== undefined) {
      resets++;
      hardware.reset();
    }
  }
  const digest = `${engine.instructions} ${clock.nowNs()} ${idle} ${resets}`;
  hardware.close();
  return digest;
}

suite('a machine that executes random words', () => {
  for (const gicVersion of [2, 3] as const)
    test(`survives, with a GICv${gicVersion}`, async () => {
      for (let seed = 1; seed <= 12; seed++) await run(seed * gicVersion, gicVersion);
    });

  test('does the same in every run', async () => {
    for (let seed = 100; seed < 104; seed++) assert.equal(await run(seed, 3), await run(seed, 3));
  });
});
