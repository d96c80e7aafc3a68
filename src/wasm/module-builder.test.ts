import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { add, i64 } from './expr.js';
import { FunctionBuilder } from './function-builder.js';
import { call } from './function-ref.js';
import { webAssembly } from './host.js';
import { ModuleBuilder } from './module-builder.js';

/** Several functions that were generated before their module: each adds its number to what an import returns. */
function module(): ModuleBuilder {
  const mb = new ModuleBuilder();
  const five = mb.importFunction('env', 'five', [], 'i64');
  for (const number of [1, 2, 3]) {
    const fb = new FunctionBuilder(['i64'], ['i64']);
    fb.return(add(add(fb.get(fb.param(0, 'i64')), call(five)), i64(number)));
    fb.unreachable();
    mb.export(`f${number}`, mb.add(`a name for profilers, ${number}`, fb, 'i64'));
  }
  return mb;
}

suite('ModuleBuilder', () => {
  for (const names of [true, false])
    test(`functions of one module, ${names ? 'with' : 'without'} names`, () => {
      const bytes = module().build({ names });
      assert.equal(Buffer.from(bytes).includes('a name for profilers'), names);
      const { exports } = new webAssembly.Instance(new webAssembly.Module(bytes), {
        env: { five: () => 5n },
      });
      assert.deepEqual(
        [1, 2, 3].map((number) => (exports[`f${number}`] as (value: bigint) => bigint)(100n)),
        [106n, 107n, 108n],
      );
    });

  test('a local that is set and read at once is set on the way', () => {
    const instance = (isReadAtOnce: boolean): { bytes: number; value: unknown } => {
      const mb = new ModuleBuilder();
      const fb = new FunctionBuilder(['i64'], ['i64']);
      const local = fb.let(add(fb.get(fb.param(0, 'i64')), i64(1)));
      if (!isReadAtOnce) fb.block('nothing', () => undefined);
      fb.return(add(local, local));
      fb.unreachable();
      mb.export('f', mb.add('f', fb, 'i64'));
      const bytes = mb.build({ names: false });
      const { exports } = new webAssembly.Instance(new webAssembly.Module(bytes));
      return { bytes: bytes.length, value: (exports['f'] as (value: bigint) => bigint)(20n) };
    };
    const [tee, get] = [instance(true), instance(false)];
    assert.deepEqual([tee.value, get.value], [42n, 42n]);
    // An empty block has three bytes, `local.get` two.
    assert.equal(get.bytes - tee.bytes, 3 + 2);
  });

  test('branch hints say where branches are, in functions by their index', () => {
    const mb = new ModuleBuilder();
    const f = mb.importFunction('env', 'f', [], 'none');
    mb.function('plain', ['i32'], 'none', (fb) => {
      fb.call(f);
    });
    mb.function('hinted', ['i32'], 'none', (fb) => {
      const condition = fb.get(fb.param(0, 'i32'));
      fb.set(fb.local('i64'), i64(1));
      fb.block('end', (end) => {
        fb.if(condition, () => {
          fb.call(f);
        });
        fb.if(
          condition,
          () => {
            fb.call(f);
          },
          undefined,
          'taken',
        );
        fb.brIf(end, condition, 'not taken');
      });
    });
    const bytes = mb.build({ names: false });
    // All numbers in so small a module have one byte.
    const sections = new Map<number | string, { readonly at: number; readonly bytes: Uint8Array }>();
    const order: (number | string)[] = [];
    for (let at = 8; at < bytes.length;) {
      const [id = 0, size = 0] = bytes.subarray(at, at + 2);
      const body = bytes.subarray(at + 2, at + 2 + size);
      const nameBytes = body.subarray(1, 1 + (body[0] ?? 0));
      const key = id === 0 ? new TextDecoder().decode(nameBytes) : id;
      sections.set(key, { at: at + 2, bytes: id === 0 ? body.subarray(1 + nameBytes.length) : body });
      order.push(key);
      at += 2 + size;
    }
    assert.deepEqual(order.slice(-2), ['metadata.code.branch_hint', 10]);
    const hints = [...(sections.get('metadata.code.branch_hint')?.bytes ?? [])];
    const [functions, index, count, ifAt = 0, , isTaken, brIfAt = 0, , isBrTaken] = hints;
    assert.deepEqual([functions, index, count, isTaken, isBrTaken], [1, 2, 2, 1, 0]);
    const code = sections.get(10)?.bytes ?? new Uint8Array();
    const hinted = code.subarray(2 + (code[1] ?? 0) + 1);
    const [anIf, aBrIf] = [0x04, 0x0d];
    assert.deepEqual([hinted[ifAt], hinted[brIfAt]], [anIf, aBrIf]);
    assert.notEqual([...hinted].indexOf(anIf), ifAt, 'the first `if` has no hint');
  });
});
