import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { A64 } from '../isa/a64.js';
import { bareEnginePorts } from './engine-suite.js';
import { GuestMemory } from './guest-memory.js';
import { generateCore } from './interpreter.js';
import { CORTEX_A57 } from './models.js';
import { WasmEngine } from './wasm-engine.js';

const PAGE = 4096;
const RAM = 0x4000_0000;
const FLASH = 0x400_0000;
const FLASH_BYTES = 16 * PAGE;
/** ldr x0, [x1]; b . - 4 */
const LOADS = Uint32Array.of(0xf940_0020, 0x17ff_ffff);

const core = generateCore(A64, CORTEX_A57, { hot: [] });

function make() {
  const engine = new WasmEngine(new GuestMemory([PAGE, FLASH_BYTES]), CORTEX_A57, core, bareEnginePorts());
  engine.setMapped({ base: RAM, sizeBytes: PAGE, block: 0, isReadOnly: false }, true);
  engine.dma.write(RAM, new Uint8Array(LOADS.buffer));
  engine.reset(RAM, 0);
  const map = engine.directMap({ base: FLASH, sizeBytes: FLASH_BYTES, block: 1, isReadOnly: true });
  map.setMapped(true);
  return { engine, map };
}

/** What the guest loads from `offset` of the array. It goes on where it was, and its TLB keeps. */
function guestLoad(engine: WasmEngine, offset: number): bigint {
  engine.setX(1, BigInt(FLASH + offset));
  assert.equal(engine.run(10), 'budget');
  return engine.x(0);
}

describe('array that the CPU sees directly', () => {
  test('is all ones at first', () => {
    const { engine } = make();
    for (let offset = 0; offset < FLASH_BYTES; offset += PAGE) {
      assert.equal(guestLoad(engine, offset), 0xffff_ffff_ffff_ffffn);
    }
  });

  test('a change is seen where the guest has looked before, and only there', () => {
    const { engine, map } = make();
    guestLoad(engine, 0);
    guestLoad(engine, PAGE);
    map.bytes(PAGE, 8).fill(0x12);
    map.changed(PAGE, 8);
    assert.equal(guestLoad(engine, PAGE), 0x1212_1212_1212_1212n);
    assert.equal(guestLoad(engine, PAGE + 8), 0xffff_ffff_ffff_ffffn);
    assert.equal(guestLoad(engine, 0), 0xffff_ffff_ffff_ffffn);
  });

  test('loaded and changed at random, CPU, device and bus masters see the same as in plain memory', () => {
    const part = fc
      .record({
        offset: fc.nat(FLASH_BYTES - 1),
        isPage: fc.boolean(),
        length: fc.nat(3 * PAGE),
        // Zeros and ones are the pages that cost nothing.
        fill: fc.constantFrom(0, 0xff, 0x5a),
        isLoad: fc.boolean(),
      })
      .map(({ offset, isPage, length, fill, isLoad }) => {
        const start = isPage ? offset - (offset % PAGE) : offset;
        const wanted = isPage ? Math.ceil(length / PAGE) * PAGE : length;
        return { start, length: Math.min(wanted, FLASH_BYTES - start), fill, isLoad };
      });
    fc.assert(
      fc.property(fc.array(part, { maxLength: 6 }), (parts) => {
        const { engine, map } = make();
        const expected = new Uint8Array(FLASH_BYTES).fill(0xff);
        for (const { start, length, fill, isLoad } of parts) {
          expected.fill(fill, start, start + length);
          if (isLoad) map.load(start, new Uint8Array(length).fill(fill));
          else map.bytes(start, length).fill(fill);
        }
        const view = new DataView(expected.buffer);
        for (let offset = 0; offset < FLASH_BYTES; offset += PAGE / 2) {
          assert.equal(guestLoad(engine, offset), view.getBigUint64(offset, true));
        }
        const seen = new Uint8Array(FLASH_BYTES);
        assert.ok(engine.dma.read(FLASH, seen));
        assert.deepEqual(seen, expected);
        assert.deepEqual(new Uint8Array(map.bytes(0, FLASH_BYTES)), expected);
      }),
      { seed: 1, numRuns: 20 },
    );
  });
});
