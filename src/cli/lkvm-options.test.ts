import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { UserError } from '../base/index.js';
import { decodeFdt } from '../tables/fdt-decoder.js';
import { createMachine, type MachineOptions } from '../vm/index.js';
import { LKVM_COMMANDS, LKVM_RUN_OPTIONS, longName } from './lkvm-options.js';
import { buildProgram, type RunOptions } from './program.js';

/** What `v8a run` understands of a command line. */
async function parse(...args: readonly string[]): Promise<RunOptions> {
  let parsed: RunOptions | undefined;
  const program = buildProgram(
    '',
    (options) => {
      parsed = options;
      return Promise.resolve(0);
    },
    () => undefined,
  );
  await program.parseAsync(['run', ...args], { from: 'user' });
  return parsed!;
}

const program = buildProgram(
  '',
  () => Promise.resolve(0),
  () => undefined,
);
const ours = program.commands.find((command) => command.name() === 'run')!.options;
const taken = LKVM_RUN_OPTIONS.filter((option) => 'difference' in option);
const refused = LKVM_RUN_OPTIONS.filter((option) => 'refusal' in option);

describe('the table of the options of lkvm run', () => {
  test('has each of them once', () => {
    const names = LKVM_RUN_OPTIONS.map(longName);
    assert.deepEqual([...new Set(names)], names);
  });

  for (const option of taken) {
    test(`${longName(option)} is taken, by its short name too, with or without a value as there`, () => {
      const found = ours.find(({ long }) => long === longName(option));
      assert.ok(found, `v8a run has no ${option.flags}`);
      const value = option.flags.includes('<');
      assert.equal(found.flags.includes('<'), value);
      const [, short] = /^(-\w),/.exec(option.flags) ?? [];
      if (short === undefined) return;
      const attribute = found.attributeName();
      assert.ok(
        ours.some((candidate) => candidate.short === short && candidate.attributeName() === attribute),
        `${short} is not that option`,
      );
    });
  }

  for (const option of refused) {
    const name = longName(option);
    test(`${name} is refused, in one line with what to do instead`, async () => {
      const args = [name, ...(option.flags.includes('<') ? ['1'] : [])];
      const refusal = { code: 'usage', message: `${name}: ${option.refusal}` };
      await assert.rejects(parse('--kernel', 'Image', ...args), (error) => {
        assert.ok(error instanceof UserError);
        assert.equal(error.message, refusal.message);
        return true;
      });
      assert.match(option.refusal, /^[^\n]*[;:,] (leave it out|(?:or )?use |give |run |type |bind )/);
      // What it advises is there.
      for (const [advised] of option.refusal.matchAll(/--[\w-]+/g)) {
        assert.ok(
          ours.some(({ long }) => long === advised),
          advised,
        );
      }
    });
  }

  test('a value after = does not hide the name', async () => {
    await assert.rejects(
      parse('--hugetlbfs=/dev/hugepages'),
      /^UserError: --hugetlbfs=\/dev\/hugepages: RAM /,
    );
  });
});

describe('commands of kvmtool', () => {
  for (const [name, refusal] of Object.entries(LKVM_COMMANDS)) {
    test(`${name} is refused, in one line with what to do instead`, async () => {
      for (const args of [[name], [name, '--all'], [name, 'guest']]) {
        await assert.rejects(program.parseAsync(args, { from: 'user' }), (error) => {
          assert.ok(error instanceof UserError);
          assert.equal(error.message, `${name}: ${refusal}`);
          return true;
        });
      }
      assert.match(refusal, /^([^\n]*; )?(use|give|type|stop|let) /);
      for (const [advised] of refusal.matchAll(/--[\w-]+/g)) {
        assert.ok(advised === '--version' || ours.some(({ long }) => long === advised), advised);
      }
    });
  }
});

describe('names of lkvm run', () => {
  test('-p and --params are --append', async () => {
    for (const name of ['-p', '--params', '--append']) {
      assert.equal((await parse('-k', 'Image', name, 'quiet')).append, 'quiet');
    }
    await assert.rejects(parse('-k', 'Image', '--params', 'naïve'), /--params 'naïve': has other characters/);
  });

  test('what kvm-unit-tests gives lkvm is understood', async () => {
    const options = await parse(
      '--nodefaults',
      '--network',
      'mode=none',
      '--loglevel=warning',
      '-k',
      'test.flat',
    );
    assert.deepEqual(
      [options.nodefaults, options.network, options.loglevel, options.kernel],
      [true, 'none', 'warning', 'test.flat'],
    );
  });

  test('--kaslr-seed has 64 bits, in decimal or hexadecimal', async () => {
    const seedOf = async (text: string) => (await parse('--kaslr-seed', text)).kaslrSeed;
    assert.equal(await seedOf('0'), 0n);
    assert.equal(await seedOf('0xffffffffffffffff'), 2n ** 64n - 1n);
    assert.equal(await seedOf('18446744073709551615'), 2n ** 64n - 1n);
    for (const text of ['18446744073709551616', '0x10000000000000000', '-1', 'x', '']) {
      await assert.rejects(seedOf(text), /is no seed; accepted: 0 to 0xffffffffffffffff/);
    }
  });
});

describe('what a kernel is told', () => {
  async function chosen(options: MachineOptions) {
    const machine = await createMachine({ kernel: new Uint8Array(4), memoryBytes: 16 * 2 ** 20, ...options });
    try {
      const node = decodeFdt(machine.deviceTree).root.children?.find(({ name }) => name === 'chosen');
      return node!.properties;
    } finally {
      await machine.close();
    }
  }

  for (const machine of ['virt', 'kvmtool'] as const) {
    test(`the seed for KASLR, where there is one (${machine})`, async () => {
      assert.equal((await chosen({ machine })).get('kaslr-seed'), undefined);
      const seed = (await chosen({ machine, kaslrSeed: 0x1234_5678_9abc_def0n })).get('kaslr-seed');
      assert.deepEqual(seed, Uint8Array.of(0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde, 0xf0));
    });

    test(`its command line as it is, where nothing is to be added (${machine})`, async () => {
      const given = { machine, console: 'virtio', commandLine: 'quiet' } as const;
      const text = async (options: MachineOptions) =>
        new TextDecoder().decode((await chosen(options)).get('bootargs'));
      assert.equal(await text(given), 'quiet console=hvc0\0');
      assert.equal(await text({ ...given, isCommandLineComplete: true }), 'quiet\0');
    });
  }
});
