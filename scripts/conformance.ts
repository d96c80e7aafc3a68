/**
 * `npm run docs`: writes docs/conformance.md, what v8a implements, from the tables that the machine itself is made of
 * and the `@deviation` tags of the sources, and docs/lkvm-run.md. `--check` writes nothing and ends with status 1 when a
 * page is not what it would write.
 *
 * A tag's text goes to the next tag, an empty line or the end of its comment; Markdown is as in the source.
 */
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { hex } from '#v8a/base/index.js';
import { KVMTOOL, kvmtoolGic } from '#v8a/boards/kvmtool.js';
import type { BoardRow } from '#v8a/boards/layout.js';
import { VIRT } from '#v8a/boards/virt.js';
import { CPU_MODELS, hasFeature, implementsRow, withEl2 } from '#v8a/cpu/models.js';
import { TIMER_REGISTERS } from '#v8a/devices/generic-timer.js';
import { ICC_REGISTERS } from '#v8a/devices/gic/gicv3.js';
import { monitorRegisters } from '#v8a/devices/performance-monitors.js';
import { A64_GROUPS } from '#v8a/isa/a64.js';
import { ABSENT_SYSTEM_ENCODINGS, ABSENT_SYSTEM_SPACES } from '#v8a/isa/absent-system-encodings.js';
import { FEATURES } from '#v8a/isa/features.js';
import type { Row, Status } from '#v8a/isa/row.js';
import {
  EVENT_COUNTERS, SYSTEM_OPERATIONS, SYSTEM_REGISTERS, systemEncodingText,
} from '#v8a/isa/system-registers.js'; // prettier-ignore
import type { SystemOperation, SystemRegister } from '#v8a/isa/system-registers.js';

import { DEPARTURES } from '../tests/oracle/departures.js';
import { EXPLANATIONS as SWEEP_EXPLANATIONS } from '../tests/oracle/sweep.js';
import { lkvmPage } from './lkvm-page.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

const code = (text: string): string => `\`${text}\``;
const isDone = (row: Row): boolean => row.status === 'done';

// ---- CPU models

function models(): string {
  return `## CPU models

What \`--cpu\` selects. Instructions of a feature that a model lacks are undefined on it; the identification registers
have the value of the model's features, and those of AArch32, which no model has, are zero.

${table(
  ['FEAT_', ...CPU_MODELS.map(({ name }) => name)],
  FEATURES.map((feature) => [
    feature,
    ...CPU_MODELS.map((model) =>
      hasFeature(model, feature) ? 'yes' : hasFeature(withEl2(model), feature) ? 'with `--nested`' : '',
    ),
  ]),
)}`;
}

// ---- instructions

/** What the statuses of rows are called here. */
const STATUS_TEXT: Readonly<Record<Status, string>> = {
  done: '',
  trapped: 'trapped',
  'not advertised': 'not advertised',
};
const STATUSES = ['done', 'trapped', 'not advertised'] as const;

/** Empty where every model has the instruction. */
function statusText(row: Row): string {
  if (!isDone(row)) return STATUS_TEXT[row.status];
  const having = CPU_MODELS.filter((model) => implementsRow(model, row));
  if (having.length === CPU_MODELS.length) return '';
  return having.length === 0 ? 'on no model yet' : `${having.map(({ name }) => name).join(', ')} only`;
}

function instructions(): string {
  const all = A64_GROUPS.flatMap(({ rows }) => rows);
  const present = STATUSES.filter((status) => all.some((row) => row.status === status));
  const counts = (rows: readonly Row[]): string[] =>
    present.map((status) => `${rows.filter((row) => row.status === status).length}`);
  const groups = A64_GROUPS.map(
    ({ title, rows }) =>
      `### ${title}\n\n${table(
        ['Instruction', 'Encoding', 'Clause', ''],
        rows.map((row) => [row.name, code(row.bits), row.spec, statusText(row)]),
      )}`,
  );
  return `## Instructions

One row is one definition: an instruction of the manual, a variant of one, or several that share an encoding. Together
they are meant to be all encodings of DDI0487 issue J.a, and every other word is unallocated. What has been checked is
that binutils 2.40 and QEMU 7.2 take the same words for instructions (\`npm test\` for a sample, \`npm run test:sweep\`
for words from all over), apart from the differences that are listed below and encodings that neither of them knows yet,
which nothing has checked. _Trapped_: raises Undefined, as the
architecture has it, since the state that the instruction needs cannot be reached here. _Not advertised_: belongs to a
feature that no CPU model has, and raises Undefined.

${table(
  ['Group', ...present],
  [...A64_GROUPS.map(({ title, rows }) => [title, ...counts(rows)]), ['All', ...counts(all)]],
)}

${groups.join('\n\n')}`;
}

// ---- system registers and operations

/** `EL2` where the CPU must have it, `no EL2` where it must not. */
function condition({ feature, absentWith }: SystemRegister | SystemOperation): string {
  return feature ?? (absentWith === undefined ? '' : `no ${absentWith}`);
}

function el2Traps({ el2Traps = [] }: SystemRegister | SystemOperation): string {
  return el2Traps
    .map(({ register, bits, bitsWithE2h, allows, on }) =>
      [
        `${allows ? 'unless ' : ''}${register} bit ${bits.join(' or ')}`,
        bitsWithE2h ? ` (with E2H ${bitsWithE2h.join(' or ')})` : '',
        on === undefined ? '' : `, ${on}s`,
      ].join(''),
    )
    .join('; ');
}

function el0Access({ minEl, el0 }: SystemRegister | SystemOperation): string {
  if (minEl > 0) return 'no';
  if (el0 === undefined) return 'yes';
  if (el0 === 'read-only') return 'reads';
  const reads = el0.readBits ? `, to read also ${el0.readBits.join(' or ')}` : '';
  const bits = `${el0.register} bit ${el0.bits.join(' or ')}${reads}`;
  return `${el0.isReadOnly ? 'reads, ' : ''}${el0.isTrap ? `unless ${bits}` : bits}`;
}

const EXTERNAL: ReadonlyMap<string, string> = new Map([
  ...TIMER_REGISTERS.map((name) => [name, 'generic timers'] as const),
  ...monitorRegisters(EVENT_COUNTERS).map((name) => [name, 'performance monitors'] as const),
  ...ICC_REGISTERS.map((name) => [name, 'GICv3; undefined with a GICv2'] as const),
]);

/** Identification registers that aren't one number. */
const VARIABLE_IDENTIFICATION: Readonly<Record<string, string>> = {
  MPIDR_EL1: 'the affinity that the board gives the CPU',
  CCSIDR_EL1: 'the cache that CSSELR_EL1 selects',
};

/** Fields that depend on the machine. */
const VARIABLE_FIELDS: Readonly<Record<string, string>> = {
  ID_AA64PFR0_EL1: '; GIC (bits 27:24) is 1 with a GICv3 and without EL2',
};

/** What self-hosted debug's registers that aren't plain storage do. */
const DEBUG_TEXT: Readonly<Record<string, string>> = {
  MDCCSR_EL0: 'bits `0x60000000` of MDSCR_EL1',
  OSLAR_EL1: 'sets OSLSR_EL1.OSLK',
  DBGCLAIMSET_EL1: 'reads `0xff`, sets claim tags',
  DBGCLAIMCLR_EL1: 'claim tags, clears them',
};

/** By model where they differ. */
function identificationText(name: string): string {
  const values = CPU_MODELS.map((model) => ({
    model: model.name,
    text: code(hex(model.identification[name] ?? 0n)),
  }));
  const isSame = new Set(values.map(({ text }) => text)).size === 1;
  return values
    .slice(0, isSame ? 1 : undefined)
    .map(({ model, text }) => (isSame ? text : `${model} ${text}`))
    .join(', ');
}

function behindText({ name, access, behind }: SystemRegister): string {
  switch (behind.kind) {
    case 'storage': {
      const reset = behind.reset === 0n ? '' : `, reset ${code(hex(behind.reset))}`;
      if (behind.writable === 0n) return code(hex(behind.reset));
      const more = Object.entries(behind.featureBits ?? {})
        .map(([feature, bits]) => `, with ${feature} ${code(hex(bits))}`)
        .join('');
      const underLock = behind.writableUnderLock;
      const locked = underLock === undefined ? '' : `, with the OS Lock ${code(hex(underLock))}`;
      return behind.writable === BigInt.asUintN(64, -1n)
        ? `64 bits${reset}`
        : `bits ${code(hex(behind.writable))}${more}${locked}${reset}`;
    }
    case 'identification':
      return VARIABLE_IDENTIFICATION[name] ?? identificationText(name) + (VARIABLE_FIELDS[name] ?? '');
    case 'external':
      return EXTERNAL.get(name) ?? 'on no board: undefined';
    case 'pstate':
      return 'PSTATE';
    case 'debug':
      return DEBUG_TEXT[name] ?? '';
    case 'zero':
      return access === 'ro' ? code('0x0') : access === 'wo' ? 'ignores writes' : 'reads 0, ignores writes';
    case 'alias':
      return `${behind.of} of EL1, where HCR_EL2.E2H is set`;
  }
}

function effectText({ effect }: SystemOperation): string {
  if (typeof effect === 'string') return effect;
  if ('maintain' in effect)
    return `none: checks that the address may be ${effect.maintain === 'read' ? 'read' : 'written'}`;
  return `translate for a ${effect.translate} from EL${effect.el}`;
}

function systemRegisters(): string {
  const isReservedId = ({ name }: SystemRegister): boolean => /^S\d/.test(name);
  const named = SYSTEM_REGISTERS.filter((register) => !isReservedId(register));
  const reserved = SYSTEM_REGISTERS.filter(isReservedId).length;
  return `## System registers

${named.length} registers with a name; ${reserved} reserved encodings of the identification space read as zero; all others are
undefined. _With_: a feature that the CPU must have, otherwise the register is undefined. _EL0_ says whether EL0 has
access: a bit is one that must be set for it, otherwise the access traps to EL1 (for a host's EL0: the bit of the
register that the name means at EL2 with HCR_EL2.E2H, and the trap is to EL2). _Trapped to EL2_: by what, from EL1 and EL0.
_Behind it_: the bits that can be written, the
value that is always read, or who serves the register.

${table(
  ['Register', 'Encoding', 'With', 'Access', 'EL0', 'Trapped to EL2', 'Behind it'],
  named.map((register) => [
    register.name,
    systemEncodingText(register.encoding),
    condition(register),
    register.access.toUpperCase(),
    el0Access(register),
    el2Traps(register),
    behindText(register),
  ]),
)}

## System operations

Caches are not modelled: _none_ is a permission check without further effect.

${table(
  ['Operation', 'Encoding', 'With', 'EL0', 'Trapped to EL2', 'Effect'],
  SYSTEM_OPERATIONS.map((operation) => [
    operation.name,
    systemEncodingText(operation.encoding),
    condition(operation),
    el0Access(operation),
    el2Traps(operation),
    effectText(operation),
  ]),
)}

## System registers and operations that are not advertised

Accesses to them are undefined. All other encodings are unallocated, and undefined as well.

${table(
  ['Name', 'Encoding', 'Belongs to'],
  [
    ...ABSENT_SYSTEM_ENCODINGS.map(({ name, feature, encodings }) => [
      name,
      [...new Set([encodings[0], encodings.at(-1)])]
        .map((encoding) => systemEncodingText(encoding ?? 0))
        .join(' … '),
      feature,
    ]),
    ...ABSENT_SYSTEM_SPACES.map(({ name, feature }) => [name, '', feature]),
  ],
)}`;
}

// ---- board

function addressMap(name: string, rows: readonly BoardRow[], text: string): string {
  return `## Address map of the \`${name}\` board

${table(
  ['Base', 'Size', 'Device', 'Shared interrupts'],
  [...rows]
    .sort((a, b) => a.base - b.base)
    .map(({ base, sizeBytes, count, spi, spiCount, device }) => [
      code(hex(base)),
      code(hex(sizeBytes)),
      count === undefined ? device : `${device}, ${count} times`,
      spi === undefined ? '' : spiCount === undefined ? `${spi}` : `${spi} to ${spi + spiCount - 1}`,
    ]),
)}

${text}`;
}

function addressMaps(): string {
  const virt =
    "Which of the interrupt controller's rows are there depends on `--irqchip`; RAM is as large as `-m` says.";
  const kvmtool =
    "Which of the interrupt controller's rows are there depends on `--irqchip`, and redistributors and ITS start further" +
    ' down with more CPUs: this is with one. RAM is as large as `-m` says, and where.';
  const { gicc, gicv2m } = kvmtoolGic('gicv2m', 1).rows as Record<string, BoardRow>;
  const rows = [...Object.values(KVMTOOL), ...Object.values(kvmtoolGic('gicv3-its', 1).rows), gicc!, gicv2m!];
  return `${addressMap('virt', Object.values(VIRT), virt)}

${addressMap('kvmtool', rows, kvmtool)}`;
}

// ---- deviations

interface Deviation {
  readonly file: string;
  readonly text: string;
}

function sourceFiles(): string[] {
  return readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts') && !path.endsWith('.test.ts'))
    .map((path) => `src/${path.replaceAll('\\', '/')}`)
    .sort();
}

function deviationsIn(file: string): Deviation[] {
  const found: Deviation[] = [];
  for (const [comment] of readFileSync(join(ROOT, file), 'utf8').matchAll(/\/\*\*[\s\S]*?\*\//g)) {
    let words: string[] | undefined;
    const close = (): void => {
      if (words) found.push({ file, text: words.join(' ') });
      words = undefined;
    };
    for (const line of comment.slice(3, -2).split('\n')) {
      const text = line.replace(/^\s*\* ?/, '').trim();
      if (text === '' || text.startsWith('@')) close();
      const tagged = /^@deviation\s+(.*)$/.exec(text)?.[1];
      if (tagged !== undefined) words = [tagged];
      else if (words) words.push(text);
    }
    close();
  }
  return found;
}

function deviations(all: readonly Deviation[]): string {
  const sections = [...new Set(all.map(({ file }) => file))].map((file) => {
    const items = all.filter((one) => one.file === file).map(({ text }) => `- ${text}`);
    return `[${file}](../${file}):\n\n${items.join('\n')}`;
  });
  return `## Deviations

Where v8a does something else than the document of the part, or than QEMU's board, and a guest could notice.

${sections.join('\n\n')}`;
}

// ---- the oracle

function oracle(): string {
  return `## Compared with QEMU

\`npm run test:oracle\` compares every instruction with QEMU 7.2 in random cases. Where they differ, and QEMU is what
departs from the architecture or the architecture leaves the choice:

${DEPARTURES.map(({ title, clause }) => `- ${title} (${clause})`).join('\n')}

\`npm run test:sweep\` asks of words whether they are instructions at all:

${SWEEP_EXPLANATIONS.map(({ why }) => `- ${why}`).join('\n')}

Not compared is what a vector access that aborts has loaded or stored by then, which the architecture leaves open. What
QEMU does otherwise at system level is beside each such line of the guests in tests/system: those begin with \`~\`.`;
}

const allDeviations = sourceFiles().flatMap(deviationsIn);
const rows = A64_GROUPS.flatMap((group) => group.rows);

const page = `<!-- Written by \`npm run docs\` (scripts/conformance.ts); changes belong into the sources. -->

# What is implemented

From the tables that the machine is made of. DDI0487 is the Arm Architecture Reference Manual for A-profile.

- [CPU models](#cpu-models) and their features.
- [Instructions](#instructions): ${rows.filter(isDone).length} of ${rows.length} rows done; the others raise Undefined, as does every encoding that is not
  listed; \`v8a run --trace guest-errors\` names each that a guest executes.
- [System registers](#system-registers) and [system operations](#system-operations): ${SYSTEM_REGISTERS.length} and ${SYSTEM_OPERATIONS.length}.
- [Deviations](#deviations): ${allDeviations.length} places where a guest could notice that v8a isn't the part.
- [Compared with QEMU](#compared-with-qemu): where QEMU departs from the architecture.
- [Address map](#address-map-of-the-virt-board) of the board.

${deviations(allDeviations)}

${models()}

${instructions()}

${systemRegisters()}

${oracle()}

${addressMaps()}
`;

const isCheck = process.argv.includes('--check');
for (const [name, text] of [
  ['docs/conformance.md', page],
  ['docs/lkvm-run.md', lkvmPage()],
] as const) {
  const path = join(ROOT, name);
  if (!isCheck) {
    writeFileSync(path, text);
  } else if (!existsSync(path) || readFileSync(path, 'utf8') !== text) {
    console.error(`${name} is not what the sources say: npm run docs`);
    process.exitCode = 1;
  }
}
