import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { CallTree } from './call-tree.js';
import { GuestSamples } from './guest-samples.js';
import { hostState, KINDS } from './host-kinds.js';
import type { HostNode, Kind } from './host-kinds.js';
import { makeProfile } from './report.js';
import { SymbolTable } from './symbols.js';

const CORE = 'wasm://wasm/00000001';
const CODE = 'wasm://wasm/00000002';
const own = (file: string): string => `file:///usr/src/v8a/src/${file}.ts`;

type Frame = readonly [functionName: string, url: string];

const RUN: Frame = ['run', CORE];
const ENGINE: Frame = ['run', own('cpu/wasm-engine')];
const REGION: Frame = ['region 12340', CODE];

describe('what the host does', () => {
  /** The innermost frame first. */
  const states: readonly (readonly [
    what: string,
    frames: readonly Frame[],
    kind: Kind,
    detail: string,
    isGuest: boolean,
  ])[] = [
    ['the interpreter', [RUN, ENGINE], 'interpreted', 'run', true],
    ['a handler of it', [['MRS', CORE], RUN, ENGINE], 'interpreted', 'MRS', true],
    ['translated code', [REGION, ['runTranslated', CORE], RUN], 'translated', '', true],
    ['what leads from one piece to the next', [['runTranslated', CORE], RUN], 'translated', 'runTranslated', true],
    ['a handler that translated code calls', [['MRS', CORE], ['callCold', CORE], REGION, RUN], 'helpers', 'MRS', true],
    ['a page walk', [['walk', CORE], ['slowLoad', CORE], RUN], 'helpers', 'walk', true],
    ['a device', [['#read', own('devices/pl011')], ['read', own('bus/address-space')], ['slowLoad', CORE], RUN], 'devices', 'pl011', true],
    ['what a device has done by others', [['hex', own('base/bits')], ['x', own('devices/gic/its')], RUN], 'devices', 'its', true],
    ['files of a disk', [['readSync', 'node:fs'], ['read', own('host/node/image-file')], ['x', own('devices/virtio/virtio-blk')]], 'devices', 'virtio-blk', false],
    ['the engine on the way to a device', [['deviceRead', own('cpu/wasm-engine')], RUN], 'devices', 'wasm-engine', true],
    ['decoding', [['#find', own('cpu/interpreter')], ['#decode', own('cpu/wasm-engine')], ['decode', own('cpu/wasm-engine')], RUN], 'decoding', '#find', true],
    ['compiling', [['Module', ''], ['#translate', own('cpu/translations')], ENGINE], 'translating', 'Module', false],
    ['translating', [['exec', own('isa/groups/branches')], ['x', own('cpu/translator')], ENGINE], 'translating', 'exec', false],
    ['the loop', [['#step', own('vm/machine')]], 'run loop', '#step', false],
    ['the profiler', [['word', own('cpu/guest-stack')], ['add', own('profile/guest-samples')], ENGINE], 'profiling', 'word', false],
    ['garbage', [['(garbage collector)', ''], ['#step', own('vm/machine')]], 'garbage collection', '(garbage collector)', false],
    ['nothing', [['(idle)', '']], 'idle', '(idle)', false],
    ['Node', [['processImmediate', 'node:internal/timers']], 'other', 'processImmediate', false],
  ]; // prettier-ignore
  test('is known from compiled code, where there are no maps', () => {
    const frame = { functionName: '#read', url: 'file:///opt/dist/v8a/dist/devices/pl011.js', lineNumber: 0 };
    assert.deepEqual(hostState([frame]), { kind: 'devices', detail: 'pl011', isGuest: false });
  });

  for (const [what, frames, kind, detail, isGuest] of states) {
    test(`${what}: ${kind}`, () => {
      const stack = frames.map(([functionName, url]) => ({ functionName, url, lineNumber: 0 }));
      assert.deepEqual(hostState(stack), { kind, detail, isGuest });
    });
  }
});

interface SpeedscopeProfile {
  readonly type: string;
  readonly name: string;
  readonly unit: string;
  readonly startValue: number;
  readonly endValue: number;
  readonly samples: readonly (readonly number[])[];
  readonly weights: readonly number[];
}

interface SpeedscopeFile {
  readonly $schema: string;
  readonly shared: { readonly frames: readonly { readonly name: string }[] };
  readonly profiles: readonly SpeedscopeProfile[];
}

/** Nodes 1 to n of a profile of V8's below its root, each with the frames given, the innermost last. */
function hostNodes(stacks: readonly (readonly Frame[])[]): { nodes: HostNode[]; leaves: number[] } {
  const nodes: HostNode[] = [];
  const roots: number[] = [];
  const leaves: number[] = [];
  for (const stack of stacks) {
    stack.forEach(([functionName, url], index) => {
      const id = nodes.length + 2;
      const children = index + 1 < stack.length ? [id + 1] : [];
      nodes.push({ id, callFrame: { functionName, url, lineNumber: 9 }, children });
      if (index === 0) roots.push(id);
    });
    leaves.push(nodes.length + 1);
  }
  const root = { functionName: '(root)', url: '', lineNumber: -1 };
  return { nodes: [{ id: 1, callFrame: root, children: roots }, ...nodes], leaves };
}

describe('a profile', () => {
  const tree = new CallTree();
  const list = ['0000000000001000 T f', '0000000000002000 T g'].join('\n');
  const guest = new GuestSamples(tree, [SymbolTable.parse(new TextEncoder().encode(list), 'list')]);
  const point = { cpu: 0, exceptionLevel: 1, space: 0n, link: 0n, calls: [] };
  guest.add({ ...point, pc: 0x1000n }, 2000, 300);
  guest.add({ ...point, pc: 0x1008n }, 3000, 700);
  guest.add({ ...point, pc: 0x2000n }, 4000);
  guest.add({ ...point, pc: 0x2004n }, 5000, 800);
  const { nodes, leaves } = hostNodes([
    [['createMachine', own('vm/create-machine')]],
    [ENGINE, RUN],
    [ENGINE, RUN, REGION],
    [ENGINE, RUN, ['slowLoad', CORE], ['read', own('devices/pl011')]],
    [['(idle)', '']],
  ]);
  const [starting, interpreted, translated, device, idle] = leaves;
  const { file, summary } = makeProfile({
    ...{ name: 'v8a run letter.bin', tree, guest },
    host: {
      nodes,
      samples: [starting!, interpreted!, translated!, device!, device!, idle!],
      timesNs: [0, 1000, 2500, 3500, 4500, 5500],
      endNs: 7500,
    },
    guestAddress: (hostAddress) => (hostAddress === 0x1_2340 ? 0x1004n : undefined),
  });
  const { $schema, shared, profiles } = JSON.parse(file) as SpeedscopeFile;
  const stacks = ({ samples, weights }: SpeedscopeProfile): string[] =>
    samples.map(
      (sample, i) => `${sample.map((frame) => shared.frames[frame]!.name).join(';')} ${weights[i]}`,
    );

  test('is a file of speedscope, whose weights make up the whole', () => {
    assert.equal($schema, 'https://www.speedscope.app/file-format-schema.json');
    for (const { type, startValue, endValue, samples, weights } of profiles) {
      assert.deepEqual([type, startValue, samples.length], ['sampled', 0, weights.length]);
      assert.equal(
        endValue,
        weights.reduce((sum, weight) => sum + weight, 0),
      );
    }
    assert.deepEqual(
      profiles.map(({ unit }) => unit),
      ['microseconds', 'none', 'microseconds'],
    );
  });

  test('gives time to where the guest was seen next, and says what was done for it', () => {
    assert.deepEqual(stacks(profiles[0]!), [
      '[starting] 1',
      'EL1;f;[interpreted] 1.5',
      'EL1;f;[translated] 1',
      'EL1;g;[devices] pl011 2',
      '[idle] 2',
    ]);
  });

  test('counts instructions, of samples that are taken by instructions', () => {
    assert.deepEqual(stacks(profiles[1]!), ['EL1;f 700', 'EL1;g 100']);
  });

  test('has our functions, and translated code by what it is of the guest', () => {
    assert.deepEqual(stacks(profiles[2]!).slice(1, 3), [
      'run (cpu/wasm-engine:10);run 1.5',
      'run (cpu/wasm-engine:10);run;translated f+0x4 1',
    ]);
  });

  test('is summed up by kinds and by functions', () => {
    const shown = summary.join('\n');
    assert.match(shown, /^ +26\.7 {2}devices +pl011 26\.7$/m);
    for (const kind of ['starting', 'interpreted', 'translated', 'idle'] satisfies Kind[]) {
      assert.match(shown, new RegExp(`^ +\\d+\\.\\d {2}${kind}\\b`, 'm'));
    }
    for (const kind of KINDS.filter((name) => /decoding|other|run loop/.test(name))) {
      assert.ok(!shown.includes(`  ${kind} `), kind);
    }
    assert.match(shown, /^ +55\.6 +87\.5 +60\.0 +40\.0 +0\.0 +0\.0 +0\.0 {2}EL1 f$/m);
    assert.match(shown, /^ +44\.4 +12\.5 +0\.0 +0\.0 +0\.0 +100\.0 +0\.0 {2}EL1 g$/m);
  });
});
