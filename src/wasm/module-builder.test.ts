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
});
