/**
 * The processor at system level: small guests (tests/system) that print what translation, exceptions, changing code,
 * interrupts and firmware calls do. Each runs here and under QEMU. What QEMU printed is kept in
 * tests/system/expected, so that a host without QEMU compares with that.
 *
 * Lines that start with `~` show something that QEMU 7.2 doesn't model, as the guest's source says there; they are
 * held to the Arm ARM by hand and compared with the kept file only. To write the files anew (from our output, after
 * QEMU agreed with all other lines): `V8A_UPDATE_EXPECTED=1 node --test dist/tests/system.test.js`.
 */
import { strict as assert } from 'node:assert';
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, suite, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import type { CpuModelName } from '#v8a/cpu/models.js';
import { CPU_MODEL_NAMES } from '#v8a/cpu/models.js';
import { endWithTests } from './support/child.js';
import { finished, v8a } from './support/cli.js';
import { scratch } from './support/guests.js';
import { QEMU, hasQemu } from './support/qemu.js';

const SOURCES = fileURLToPath(new URL('../../tests/system/', import.meta.url));
const COMPILER = 'aarch64-linux-gnu-gcc';
const OBJCOPY = 'aarch64-linux-gnu-objcopy';
const hasCompiler = spawnSync(COMPILER, ['--version'], { stdio: 'ignore' }).status === 0;
const isUpdate = process.env['V8A_UPDATE_EXPECTED'] === '1';

interface Guest {
  readonly name: string;
  readonly requirement: string;
  readonly source: string;
  readonly defines?: readonly string[];
  /** QEMU's, where it has no CPU like our model. */
  readonly qemuCpu?: string;
  readonly model: CpuModelName;
  readonly irqchip: 'gicv2' | 'gicv3';
  readonly cpus?: number;
}

type Program = Omit<Guest, 'model' | 'irqchip' | 'qemuCpu'> & {
  /** Runs on this model alone. */
  readonly only?: Pick<Guest, 'model' | 'qemuCpu'>;
  /** What it prints depends on the interrupt controller, on the CPU model. */
  readonly usesGic?: true;
  readonly showsModel?: true;
};

/** QEMU's Cortex-A57 lacks the 16K granule, which ours has. */
const WITH_16K = { only: { model: 'cortex-a57', qemuCpu: 'neoverse-n1' } } as const;

const PROGRAMS: readonly Program[] = [
  {
    name: 'walks',
    requirement: 'stage 1 translation, 4K and 64K granules: faults, permissions, AT (DDI0487 D8)',
    source: 'walks.c',
    ...WITH_16K,
  },
  {
    name: 'walks-16k',
    requirement: 'stage 1 translation, 16K granule (DDI0487 D8.2)',
    source: 'walks.c',
    defines: ['GRANULE_16K=1'],
    ...WITH_16K,
  },
  {
    name: 'exceptions',
    requirement: 'exception classes, syndromes, saved state, returns, alignment (DDI0487 D1.3)',
    source: 'exceptions.c',
    showsModel: true,
  },
  {
    name: 'code',
    requirement: 'changing code, TLB maintenance, exclusives (DDI0487 B2.4, D8.13, B2.9)',
    source: 'code.c',
  },
  {
    name: 'interrupts',
    requirement: 'timers, WFI, priorities, preemption, end of interrupt (DDI0487 D11, IHI0048, IHI0069)',
    source: 'interrupts.c',
    usesGic: true,
  },
  {
    name: 'psci',
    requirement: 'firmware calls (DEN0022D, DEN0028C)',
    source: 'psci.c',
  },
  {
    name: 'smp',
    requirement:
      'four CPUs: power, exclusives, events, interrupts, TLB maintenance (DEN0022D 5, DDI0487 B2.9, D8.13)',
    source: 'smp.c',
    usesGic: true,
    cpus: 4,
  },
  {
    name: 'flash',
    requirement: 'code and data in flash, in array mode and out of it',
    source: 'flash.c',
  },
];

/** Each program on both CPU models and both interrupt controllers. */
const GUESTS: readonly Guest[] = PROGRAMS.flatMap(({ only, usesGic, ...program }) =>
  CPU_MODEL_NAMES.filter((model) => only === undefined || only.model === model).flatMap((model) =>
    (['gicv2', 'gicv3'] as const).map((irqchip) => ({
      ...program,
      ...(only?.qemuCpu === undefined ? {} : { qemuCpu: only.qemuCpu }),
      name: [
        program.name,
        ...(usesGic || irqchip === 'gicv2' ? [irqchip] : []),
        ...(model === 'cortex-a57' ? [] : [model]),
      ].join('-'),
      model,
      irqchip,
      defines: [
        ...(program.defines ?? []),
        `GIC=${irqchip.slice(-1)}`,
        ...(model === 'max' ? ['CPU_MAX=1'] : []),
      ],
    })),
  ),
);

/** Outputs that must be the same are kept once. */
function expectedName({ name, source }: Guest): string {
  const program = PROGRAMS.find((candidate) => candidate.source === source);
  const kept = program?.usesGic ? name : name.replace('-gicv2', '');
  return program?.showsModel ? kept : kept.replace('-max', '');
}

/** Compiles a guest to an image that starts at the address it is loaded at. */
function build({ source, defines = [] }: Guest, image: string): void {
  const file = (name: string): string => join(SOURCES, name);
  const elf = `${image}.elf`;
  const flags = [
    ...['-O1', '-std=gnu11', '-Wall', '-Wextra', '-Werror', '-mgeneral-regs-only', '-mstrict-align'],
    ...['-ffreestanding', '-nostdlib', '-static', '-fno-pic', '-fno-stack-protector'],
    ...['-fno-tree-loop-distribute-patterns', '-fno-optimize-sibling-calls', '-mno-outline-atomics'],
    `-Wl,-T,${file('image.ld')},--build-id=none,--no-warn-rwx-segments`,
    ...defines.map((name) => `-D${name}`),
  ];
  for (const [tool, ...arguments_] of [
    [COMPILER, ...flags, ...['start.S', 'guest.c', source].map(file), '-o', elf],
    [OBJCOPY, '-O', 'binary', elf, image],
  ] as const) {
    const result = spawnSync(tool, arguments_, { encoding: 'utf8' });
    assert.equal(result.status, 0, result.stderr);
  }
}

async function onQemu({ model, qemuCpu, irqchip, cpus = 1 }: Guest, image: string): Promise<string> {
  const child = endWithTests(
    spawn(
      QEMU,
      [
        ...[
          '-M',
          `virt,gic-version=${irqchip.slice(-1)}`,
          '-cpu',
          qemuCpu ?? model,
          '-smp',
          `${cpus}`,
          '-m',
          '512',
          '-nic',
          'none',
        ],
        ...['-display', 'none', '-monitor', 'none', '-serial', 'stdio', '-bios', image],
      ],
      { stdio: ['ignore', 'pipe', 'pipe'] },
    ),
  );
  const { status, stdout, stderr } = await finished(child);
  assert.equal(status, 0, stderr);
  return stdout.replaceAll('\r', '');
}

const isCompared = (line: string): boolean => !line.startsWith('~');

suite('system level', { skip: !hasCompiler && `${COMPILER} is missing` }, () => {
  const { path, remove } = scratch();
  after(remove);

  for (const guest of GUESTS)
    test(`${guest.name}: ${guest.requirement}`, async (t) => {
      const image = path(`${guest.name}.bin`);
      build(guest, image);
      const result = await v8a([
        ...['run', '--firmware', image, '-m', '512M', '--clock', 'virtual', '--timeout', '20s'],
        ...['--irqchip', guest.irqchip, '--cpu', guest.model, '--cpus', `${guest.cpus ?? 1}`],
      ]);
      const ours = result.stdout.replaceAll('\r', '');
      assert.equal(result.status, 0, `${result.stderr}\n${ours.slice(-500)}`);

      if (hasQemu) {
        const theirs = await onQemu(guest, image);
        assert.deepEqual(ours.split('\n').filter(isCompared), theirs.split('\n').filter(isCompared));
      } else {
        t.diagnostic(`${QEMU} is missing: compared with what it printed once`);
      }
      const expected = join(SOURCES, 'expected', `${expectedName(guest)}.txt`);
      if (isUpdate) {
        mkdirSync(join(SOURCES, 'expected'), { recursive: true });
        writeFileSync(expected, ours);
      }
      assert.equal(ours, readFileSync(expected, 'utf8'));
    });
});
