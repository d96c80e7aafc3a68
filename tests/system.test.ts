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
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, suite, test } from 'node:test';

import { CPU_MODEL_NAMES } from '#v8a/cpu/models.js';
import { v8a } from './support/cli.js';
import { scratch } from './support/guests.js';
import { QEMU, hasQemu } from './support/qemu.js';
import type { SystemGuest } from './support/system-guests.js';
import { COMPILER, SOURCES, buildGuest, hasCompiler, runGuestOnQemu } from './support/system-guests.js';

const isUpdate = process.env['V8A_UPDATE_EXPECTED'] === '1';

interface Guest extends SystemGuest {
  readonly name: string;
  readonly requirement: string;
  /** File of the output to be expected, without extension. Outputs that must be the same are kept once. */
  readonly expected: string;
  readonly v8aArguments?: readonly string[];
  /** Messages of PCI devices: with GICv3 it needs an ITS. */
  readonly takesMessages?: true;
}

type Program = Omit<Guest, 'expected' | 'model' | 'irqchip' | 'qemuCpu'> & {
  /** Runs on this model alone, with this interrupt controller alone. */
  readonly only?: Partial<Pick<Guest, 'model' | 'qemuCpu' | 'irqchip'>>;
  /** What it prints depends on the interrupt controller, on the CPU model. */
  readonly usesGic?: true;
  readonly showsModel?: true;
};

/** QEMU's Cortex-A57 lacks the 16K granule, which ours has. */
const WITH_16K = { only: { model: 'cortex-a57', qemuCpu: 'neoverse-n1' } } as const;

/** At EL2, with EL2's own translation and exceptions under the names of EL1's registers. */
const AS_HOST = { defines: ['HOST=1'], only: { model: 'max', irqchip: 'gicv3' }, el2: true } as const;

/** A virtio entropy device in slot 1 of the PCI bus, QEMU's test device in slot 2. */
const PCI_DEVICES = {
  v8aArguments: ['--rng', '--virtio-transport', 'pci', '--device', 'pci-testdev'],
  qemuArguments: ['-device', 'virtio-rng-pci,disable-legacy=on', '-device', 'pci-testdev'],
} as const;

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
    name: 'walks-of-model',
    requirement: 'hardware updates of descriptors, hierarchical permissions (FEAT_HAFDBS, FEAT_HPDS)',
    source: 'walks.c',
    defines: ['OF_MODEL=1'],
    showsModel: true,
  },
  {
    name: 'asids',
    requirement: 'address spaces by ASID, TLB maintenance by ASID and address (DDI0487 D8.13, D8.15)',
    source: 'asids.c',
  },
  {
    name: 'features',
    requirement: 'PSTATE.PAN, UAO, DIT and SSBS, E0PD, speculation restrictions (DDI0487 A2)',
    source: 'features.c',
    showsModel: true,
  },
  {
    name: 'exceptions',
    requirement: 'exception classes, syndromes, saved state, returns, alignment (DDI0487 D1.3)',
    source: 'exceptions.c',
    showsModel: true,
  },
  {
    name: 'debug',
    requirement: 'self-hosted debug: breakpoints, watchpoints, software step, locks (DDI0487 D2)',
    source: 'debug.c',
    showsModel: true,
  },
  {
    name: 'debug-el2',
    requirement: 'self-hosted debug with EL2: routing, EL2 itself, contexts of guests (DDI0487 D2)',
    source: 'debug-el2.c',
    defines: ['EL2=1'],
    only: { irqchip: 'gicv3' },
    el2: true,
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
    name: 'el2',
    requirement:
      'EL2: exceptions, what it traps, interrupts by level, its translation and timer (DDI0487 D1.3, D8, D11, D19.2)',
    source: 'el2.c',
    defines: ['EL2=1'],
    only: { model: 'cortex-a57', irqchip: 'gicv3' },
    cpus: 2,
    el2: true,
  },
  {
    name: 'el2-of-model',
    requirement: 'hardware updates of EL2’s descriptors, hierarchical permissions (FEAT_HAFDBS, FEAT_HPDS)',
    source: 'el2.c',
    defines: ['EL2=1', 'OF_MODEL=1'],
    only: { irqchip: 'gicv3' },
    showsModel: true,
    el2: true,
  },
  {
    name: 'vhe',
    requirement: 'a host at EL2 and its guests: names, traps, interrupts, timers, translation (FEAT_VHE)',
    source: 'vhe.c',
    ...AS_HOST,
  },
  // The programs of EL1, as a host's.
  ...(['walks', 'exceptions', 'code', 'interrupts', 'features'] as const).map((name) => ({
    name: `${name}-host`,
    requirement: 'the same at EL2 with HCR_EL2.E2H and TGE (FEAT_VHE)',
    source: `${name}.c`,
    ...AS_HOST,
  })),
  {
    name: 'walks-of-model-host',
    requirement: 'hardware updates at EL2 with HCR_EL2.E2H and TGE (FEAT_HAFDBS, FEAT_VHE)',
    source: 'walks.c',
    ...AS_HOST,
    defines: [...AS_HOST.defines, 'OF_MODEL=1'],
  },
  {
    name: 'smp-below-el2',
    requirement: 'four CPUs that start at EL2 and go on at EL1',
    source: 'smp.c',
    only: { irqchip: 'gicv3' },
    cpus: 4,
    el2: true,
  },
  {
    name: 'pmu',
    requirement:
      'performance monitors: registers, counts, filters, access from EL0, overflow (DDI0487 D13, D19.5)',
    source: 'pmu.c',
    qemuArguments: ['-icount', 'shift=0'],
  },
  {
    name: 'pmu-el2',
    requirement: 'performance monitors with EL2: traps, reserved counters, filters (DDI0487 D13, D19.5)',
    source: 'pmu-el2.c',
    defines: ['EL2=1'],
    only: { irqchip: 'gicv3' },
    qemuArguments: ['-icount', 'shift=0'],
    el2: true,
  },
  {
    name: 'pcie',
    requirement:
      'PCI Express: configuration space, BARs, interrupts by pin and MSI-X, pci-testdev (PCI 6, VIRTIO 1.2 4.1)',
    source: 'pcie.c',
    usesGic: true,
    takesMessages: true,
    ...PCI_DEVICES,
  },
  {
    name: 'its',
    requirement:
      'Interrupt Translation Service: tables, commands, LPIs on two CPUs, messages of a PCI device (IHI0069 5)',
    source: 'its.c',
    only: { irqchip: 'gicv3' },
    cpus: 2,
    takesMessages: true,
    ...PCI_DEVICES,
  },
  {
    name: 'flash',
    requirement: 'code and data in flash, in array mode and out of it',
    source: 'flash.c',
  },
];

/** Each program on both CPU models and both interrupt controllers. */
const GUESTS: readonly Guest[] = PROGRAMS.flatMap(({ only = {}, usesGic, showsModel, ...program }) =>
  CPU_MODEL_NAMES.filter((model) => only.model === undefined || only.model === model).flatMap((model) =>
    (['gicv2', 'gicv3'] as const)
      .filter((irqchip) => only.irqchip === undefined || only.irqchip === irqchip)
      .map((irqchip) => {
        const ofModel = model === 'cortex-a57' || only.model === model ? [] : [model];
        return {
          ...program,
          ...(only.qemuCpu === undefined ? {} : { qemuCpu: only.qemuCpu }),
          name: [program.name, ...(usesGic || irqchip === 'gicv2' ? [irqchip] : []), ...ofModel].join('-'),
          expected: [program.name, ...(usesGic ? [irqchip] : []), ...(showsModel ? ofModel : [])].join('-'),
          model,
          irqchip,
          defines: [
            ...(program.defines ?? []),
            `GIC=${irqchip.slice(-1)}`,
            ...(model === 'max' ? ['CPU_MAX=1'] : []),
          ],
        };
      }),
  ),
);

const isCompared = (line: string): boolean => !line.startsWith('~');

suite('system level', { skip: !hasCompiler && `${COMPILER} is missing` }, () => {
  const { path, remove } = scratch();
  after(remove);

  for (const guest of GUESTS)
    test(`${guest.name}: ${guest.requirement}`, async (t) => {
      const image = path(`${guest.name}.bin`);
      buildGuest(guest, image);
      const run = async (jit: string): Promise<string> => {
        const result = await v8a([
          ...['run', '--firmware', image, '-m', '512M', '--clock', 'virtual', '--timeout', '60s'],
          // QEMU's GICv3 has an ITS unless told otherwise.
          ...['--irqchip', guest.takesMessages && guest.irqchip === 'gicv3' ? 'gicv3-its' : guest.irqchip],
          ...['--cpu', guest.model, '--cpus', `${guest.cpus ?? 1}`],
          ...['--jit', jit],
          ...(guest.el2 ? ['--nested'] : []),
          ...(guest.v8aArguments ?? []),
        ]);
        const output = result.stdout.replaceAll('\r', '');
        assert.equal(result.status, 0, `--jit ${jit}: ${result.stderr}\n${output.slice(-500)}`);
        return output;
      };
      const ours = await run('off');
      assert.equal(await run('always'), ours, '--jit always');

      if (hasQemu) {
        const theirs = await runGuestOnQemu(guest, image);
        assert.deepEqual(ours.split('\n').filter(isCompared), theirs.split('\n').filter(isCompared));
      } else {
        t.diagnostic(`${QEMU} is missing: compared with what it printed once`);
      }
      const expected = join(SOURCES, 'expected', `${guest.expected}.txt`);
      if (isUpdate) {
        mkdirSync(join(SOURCES, 'expected'), { recursive: true });
        writeFileSync(expected, ours);
      }
      assert.equal(ours, readFileSync(expected, 'utf8'));
    });
});
