import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { MIB, NO_TRACE, UserError } from '../base/index.js';
import { AddressSpace } from '../bus/index.js';
import type { BlockStorage, FileShare, LendingDmaPort } from '../bus/index.js';
import { SYSTEM_REGISTERS } from '../isa/system-registers.js';
import { deviceTreeProblems } from '../tables/device-tree-suite.js';
import { decodeFdt } from '../tables/fdt-decoder.js';
import { encodeFdt } from '../tables/fdt.js';
import { CORTEX_A57, MAX, withEl2 } from '../cpu/models.js';
import type { VirtConfig } from './virt.js';
import type { VirtioEquipment } from './virtio.js';
import { GICS, rig } from './virt-suite.js';
import { VIRT } from './virt.js';

test('the table: no two rows share an address or an interrupt', () => {
  const rows = Object.entries(VIRT).map(([name, row]) => ({ name, count: 1, ...row }));
  const taken: { name: string; from: number; to: number }[] = [];
  for (const { name, base, sizeBytes, count } of rows) {
    const [from, to] = [base, base + count * sizeBytes];
    for (const other of taken) {
      assert.ok(to <= other.from || from >= other.to, `${name} overlaps ${other.name}`);
    }
    taken.push({ name, from, to });
  }
  const spis = rows.flatMap((row) =>
    'spi' in row
      ? Array.from({ length: 'spiCount' in row ? row.spiCount : 1 }, (_, index) => row.spi + index)
      : [],
  );
  assert.equal(new Set(spis).size, spis.length);
});

test('the map is that of QEMU 7.2 (info mtree)', () => {
  const places = (config: Partial<VirtConfig>): string[] =>
    rig({ ...config, cpuCount: 2 })
      .board.map.filter(({ device }) => !/^virtio-mmio([1-9]|[12]\d|30)$/.test(device.name))
      .sort((a, b) => a.base - b.base)
      .map(({ base, device }) => `${base.toString(16)} ${device.name}`);
  const common = [
    '9000000 uart0',
    '9010000 rtc',
    '9020000 fw-cfg',
    '9030000 gpio',
    '9080000 ged',
    'a000000 virtio-mmio0',
    'a003e00 virtio-mmio31',
    '10000000 pcie-memory32',
    '3eff0000 pcie-io',
    '4010000000 pcie-ecam',
    '8000000000 pcie-memory64',
  ];
  const flash = ['0 flash0', '4000000 flash1'];
  assert.deepEqual(places({ gicVersion: 2 }), [
    ...flash,
    '8000000 gicd',
    '8010000 gicc',
    '8020000 v2m',
    ...common,
  ]);
  assert.deepEqual(places({ gicVersion: 3 }), [...flash, '8000000 gicd', '80a0000 gicr', ...common]);
  assert.deepEqual(places({ gicVersion: 3, hasIts: true }), [
    ...flash,
    '8000000 gicd',
    '8080000 its',
    '80a0000 gicr',
    ...common,
  ]);
});

test('an address space takes the whole map', () => {
  for (const { gicVersion, hasIts } of GICS) {
    const space = new AddressSpace(NO_TRACE);
    const { map } = rig({ gicVersion, hasIts, cpuCount: 8 }).board;
    for (const { base, device } of map) space.add(base, device);
    assert.equal(space.accesses().length, map.length);
  }
});

test('the firmware bank cannot be written, the variables bank can, and both are mapped from the start', () => {
  const { mapped, write, read } = rig();
  assert.deepEqual(
    mapped.map(([base, , isMapped]) => [base, isMapped]),
    [
      [0, true],
      [0x400_0000, true],
    ],
  );
  // Ready; the firmware bank adds program error and locked.
  for (const [base, status] of [
    [0, 0x0092_0092],
    [0x400_0000, 0x0080_0080],
  ] as const) {
    write(base, 0x0040_0040);
    write(base, 0x1234_5678);
    assert.equal(read(base), status, `bank at ${base.toString(16)}`);
  }
});

/** Bit of GICD_ISPENDR for an SPI, read through the map. */
function isPending(read: (address: number) => number, spi: number): boolean {
  const intid = 32 + spi;
  return (read(VIRT.gicd.base + 0x200 + 4 * (intid >> 5)) & (1 << (intid & 31))) !== 0;
}

for (const { gic, gicVersion, hasIts } of GICS) {
  test(`UART, RTC and power key reach their interrupts (${gic})`, () => {
    const { board, clock, read, write } = rig({ gicVersion, hasIts });
    assert.equal(isPending(read, 1), false);
    write(VIRT.uart0.base + 0x30, 0x301); // UARTCR: UARTEN, RXE, TXE
    write(VIRT.uart0.base + 0x38, 0x10); // UARTIMSC.RXIM
    assert.equal(board.serialInput.receive(Uint8Array.of(65)), 1);
    assert.equal(isPending(read, 1), true);
    assert.equal(read(VIRT.uart0.base) & 0xff, 65);

    assert.equal(read(VIRT.rtc.base), 1_700_000_000);
    write(VIRT.rtc.base + 0x04, 1_700_000_002); // RTCMR
    write(VIRT.rtc.base + 0x10, 1); // RTCIMSC
    clock.advance(1_999_999_999);
    assert.equal(isPending(read, 2), false);
    clock.advance(1);
    assert.equal(isPending(read, 2), true);

    write(VIRT.gpio.base + 0x40c, 0xff); // GPIOIEV: rising
    write(VIRT.gpio.base + 0x410, 0x08); // GPIOIE
    assert.equal(isPending(read, 7), false);
    board.pressPowerKey();
    assert.equal(isPending(read, 7), true);
    assert.equal(read(VIRT.gpio.base + 0x3fc), 0x08);
    clock.advance(100_000_000);
    assert.equal(read(VIRT.gpio.base + 0x3fc), 0);
  });
}

test('an enabled interrupt raises the IRQ input of the CPU, and reset takes it away', () => {
  const { board, irq, write } = rig();
  write(VIRT.gicd.base, 1);
  write(VIRT.gicc.base, 1);
  write(VIRT.gicc.base + 4, 0xff);
  write(VIRT.gicd.base + 0x100 + 4, 1 << 1); // SPI 1
  write(VIRT.gicd.base + 0x800 + 32, 0x0101_0101);
  write(VIRT.uart0.base + 0x30, 0x301);
  write(VIRT.uart0.base + 0x38, 0x10);
  board.serialInput.receive(Uint8Array.of(65));
  assert.equal(irq[0], true);
  board.reset();
  assert.equal(irq[0], false);
});

test('each CPU has its timers on PPIs 14, 11, 10 and 12', () => {
  const { board, read, write } = rig({ gicVersion: 3, cpuCount: 2 });
  const timers = board.systemRegisters.get('CNTP_CTL_EL0');
  assert.ok(timers);
  timers.writeSystemRegister('CNTP_CTL_EL0', 0, 1n);
  timers.writeSystemRegister('CNTV_CTL_EL0', 1, 1n);
  const pending = (cpu: number): number => read(VIRT.gicr.base + 0x2_0000 * cpu + 0x1_0200);
  assert.equal(pending(0), 1 << 30);
  assert.equal(pending(1), 1 << 27);
  timers.writeSystemRegister('CNTHP_CTL_EL2', 1, 1n);
  timers.writeSystemRegister('CNTHV_CTL_EL2', 0, 1n);
  assert.equal(pending(0), (1 << 30) | (1 << 28));
  assert.equal(pending(1), (1 << 27) | (1 << 26));
  write(VIRT.gicr.base + 0x1_0100, 0);
  assert.equal(timers.readSystemRegister('CNTFRQ_EL0', 0), 62_500_000n);
});

test('GICv3 has its CPU interface in system registers, GICv2 has not', () => {
  assert.equal(rig({ gicVersion: 3 }).board.systemRegisters.has('ICC_IAR1_EL1'), true);
  assert.equal(rig({ gicVersion: 2 }).board.systemRegisters.has('ICC_IAR1_EL1'), false);
});

test("with a GICv3, every system register that is not the CPU's own, or is shown, has a device behind it", () => {
  const { systemRegisters } = rig({ gicVersion: 3 }).board;
  const external = SYSTEM_REGISTERS.filter(
    ({ behind }) => behind.kind === 'external' || (behind.kind === 'storage' && behind.isShown === true),
  ).map(({ name }) => name);
  assert.deepEqual(external.sort(), [...systemRegisters.keys()].sort());
});

test('messages of PCI functions become interrupts by GICv2m and by an ITS, or go to memory', () => {
  const written: [number, ...number[]][] = [];
  for (const { gicVersion, hasIts } of GICS) {
    const dma: LendingDmaPort = {
      read: () => false,
      lend: () => undefined,
      write: (address, from) => written.push([address, ...from]) > 0,
    };
    const { board, read, write } = rig({ gicVersion, hasIts }, { dma });
    write(VIRT.gicd.base + 0xc00 + 4 * 5, 0x2); // GICD_ICFGR5: INTID 80 by edge
    board.pcie.slot(3, 0).message(VIRT.gicv2m.base + 0x040, 80);
    assert.equal(isPending(read, 48), gicVersion === 2);
    board.pcie.slot(3, 0).message(VIRT.its.base + 0x1_0040, 7);
  }
  // Where no interrupt controller is, a message is data.
  assert.deepEqual(written, [
    [VIRT.its.base + 0x1_0040, 7, 0, 0, 0],
    [VIRT.gicv2m.base + 0x040, 80, 0, 0, 0],
    [VIRT.its.base + 0x1_0040, 7, 0, 0, 0],
    [VIRT.gicv2m.base + 0x040, 80, 0, 0, 0],
  ]);
});

test('virtio devices over PCI are in slots from 1 up, test devices behind them', () => {
  const random = { fill: () => undefined };
  const { read } = rig(
    { virtioTransport: 'pci', pciTestdevCount: 2 },
    { virtio: { disks: [], shares: [], random } },
  );
  const ids = [0, 1, 2, 3, 4].map((slot) => read(VIRT.pcieEcam.base + slot * 0x8000));
  assert.deepEqual(ids, [0x0008_1b36, 0x1044_1af4, 0x0005_1b36, 0x0005_1b36, 0xffff_ffff]);
  assert.equal(read(VIRT.virtioMmio.base + 31 * 0x200 + 8), 0);
});

test('all virtio devices insist on ACCESS_PLATFORM where that is asked for, none offers it else (VIRTIO 1.2 6)', () => {
  const bytes = { fill: () => undefined };
  const storage = { sizeBytes: 512, isReadOnly: true } as BlockStorage;
  const equipment: VirtioEquipment = {
    disks: [{ storage }, { storage, serial: 'one' }],
    random: bytes,
    shares: [{ share: {} as FileShare, tag: 'x' }],
    console: { ports: [{ output: { write: () => undefined } }], connect: () => undefined },
    network: {
      mac: new Uint8Array(6),
      port: { send: () => undefined, receive: () => undefined, connect: () => undefined },
    },
  };
  for (const accessPlatform of [true, false, undefined]) {
    const virtio = { ...equipment, ...(accessPlatform === undefined ? {} : { accessPlatform }) };
    const { read, write } = rig({}, { virtio });
    const ids = new Set<number>();
    for (let slot = 31; slot > 25; slot--) {
      const base = VIRT.virtioMmio.base + slot * 0x200;
      ids.add(read(base + 0x008));
      write(base + 0x014, 1);
      const offered = read(base + 0x010);
      assert.equal((offered >> 1) & 1, accessPlatform === true ? 1 : 0);
      write(base + 0x070, 3);
      write(base + 0x024, 1);
      write(base + 0x020, 1); // VERSION_1 alone
      write(base + 0x070, 0xb);
      assert.equal(read(base + 0x070), accessPlatform === true ? 3 : 0xb);
    }
    assert.deepEqual(ids, new Set([1, 2, 3, 4, 9]));
  }
});

test('GICv2m turns a message into its SPI', () => {
  const { read, write } = rig();
  assert.equal(read(VIRT.gicv2m.base + 0x008), (80 << 16) | 64);
  write(VIRT.gicd.base + 0xc00 + 4 * 5, 0x2); // GICD_ICFGR5: INTID 80 by edge
  write(VIRT.gicv2m.base + 0x040, 80);
  assert.equal(isPending(read, 48), true);
});

test('the console is the UART, the host bridge is on the bus, the virtio slots are empty', () => {
  const { serial, read, write } = rig();
  write(VIRT.uart0.base + 0x30, 0x301);
  write(VIRT.uart0.base, 0x41);
  assert.deepEqual(serial, [0x41]);
  assert.equal(read(VIRT.pcieEcam.base), 0x0008_1b36);
  assert.equal(read(VIRT.pcieMemory64.base), 0xffff_ffff);
  assert.equal(read(VIRT.virtioMmio.base + 31 * 0x200), 0x7472_6976);
  assert.equal(read(VIRT.virtioMmio.base + 31 * 0x200 + 8), 0);
});

test('PSCI knows the CPUs and reaches the power supply', () => {
  const { board, calls } = rig({ cpuCount: 2 });
  assert.equal(board.psci.call(0, [0xc400_0003n, 1n, 0x4000_0000n, 0n]).x0, 0n);
  assert.equal(board.psci.call(0, [0xc400_0003n, 2n, 0x4000_0000n, 0n]).x0, 2n ** 64n - 2n);
  assert.equal(board.psci.call(0, [0x8400_0008n, 0n, 0n, 0n]).next, 'stop');
  assert.deepEqual(calls, [`on 1 ${0x4000_0000}`, 'powerOff']);
});

test('every device saves its state as plain data and takes it back', () => {
  for (const { gicVersion, hasIts } of GICS) {
    const { board } = rig({ gicVersion, hasIts });
    for (const [name, device] of board.devices) {
      const state = device.saveState();
      assert.deepEqual(structuredClone(state), state, name);
      device.restoreState(state);
      assert.deepEqual(device.saveState(), state, name);
    }
  }
});

test('sizes and counts that the board cannot have are user errors', () => {
  for (const ramBytes of [0, 1, MIB + 1, 256 * 1024 * MIB, NaN]) {
    assert.throws(() => rig({ ramBytes }), UserError, `${ramBytes} bytes`);
  }
  for (const cpuCount of [0, 9, 1.5]) assert.throws(() => rig({ cpuCount }), UserError, `${cpuCount} CPUs`);
});

type Node = ReturnType<typeof decodeFdt>['root'];

/** Which cells of a property are phandles. */
const PHANDLE_CELLS: Record<string, (index: number) => boolean> = {
  'interrupt-parent': () => true,
  clocks: () => true,
  cpu: () => true,
  gpios: (index) => index === 0,
  'interrupt-map': (index) => index % 10 === 4,
  'msi-map': (index) => index % 4 === 1,
};

/** Every property of a tree as `path: value`, phandles as the paths that they stand for. */
function flatten(root: Node): Map<string, string> {
  const cellsOf = (bytes: Uint8Array): number[] => {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    return Array.from({ length: bytes.length / 4 }, (_, index) => view.getUint32(4 * index));
  };
  const paths = new Map<number, string>();
  const visit = (node: Node, path: string, see: (node: Node, path: string) => void): void => {
    see(node, path === '' ? '/' : path);
    for (const child of node.children) visit(child, `${path}/${child.name}`, see);
  };
  visit(root, '', (node, path) => {
    const [phandle] = cellsOf(node.properties.get('phandle') ?? new Uint8Array());
    if (phandle !== undefined) paths.set(phandle, path);
  });
  const flat = new Map<string, string>();
  visit(root, '', (node, path) => {
    flat.set(path, 'node');
    for (const [name, bytes] of node.properties) {
      if (name === 'phandle') continue;
      const isPhandle = PHANDLE_CELLS[name];
      flat.set(
        `${path}:${name}`,
        isPhandle
          ? cellsOf(bytes)
              .map((cell, index) => (isPhandle(index) ? paths.get(cell) : cell))
              .join(' ')
          : Buffer.from(bytes).toString('latin1'),
      );
    }
  });
  return flat;
}

function qemuTree(
  { gicVersion, hasIts }: (typeof GICS)[number],
  cpuCount: number,
  hasEl2: boolean,
): Node | undefined {
  const folder = mkdtempSync(join(tmpdir(), 'v8a-virt-'));
  try {
    const file = join(folder, 'qemu.dtb');
    const its = gicVersion === 3 ? `,its=${hasIts ? 'on' : 'off'}` : '';
    const machine = `virt,gic-version=${gicVersion}${its},virtualization=${hasEl2 ? 'on' : 'off'},dumpdtb=${file}`;
    const args = [
      '-M',
      machine,
      '-cpu',
      'cortex-a57',
      '-smp',
      String(cpuCount),
      '-m',
      '512',
      '-display',
      'none',
    ];
    const { status } = spawnSync('qemu-system-aarch64', args);
    return status === 0 ? decodeFdt(Uint8Array.from(readFileSync(file))).root : undefined;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const qemuVersion = /version (7\.2)/.exec(
  spawnSync('qemu-system-aarch64', ['--version'], { encoding: 'utf8' }).stdout,
);

/** In QEMU's tree and not in ours, or different, with the reason. */
const DIFFERENCES: readonly [path: RegExp, reason: string][] = [
  [/^\/chosen:(rng-seed|kaslr-seed)$/, 'would make runs differ'],
  [/^\/psci:migrate$/, 'QEMU does not implement it either'],
  [/^\/platform-bus@c000000/, 'empty'],
  [/^\/cpus\/cpu@0:enable-method$/, 'QEMU leaves it out with one CPU'],
  [/^\/intc@8000000:interrupts$/, 'no virtual CPU interface'],
  [/^\/intc@8000000:reg$/, 'sizes of the parts, not of the room the board leaves them'],
];

test('the device tree names the CPU model', () => {
  const tree = decodeFdt(encodeFdt(rig({ cpu: MAX, cpuCount: 2 }).board.deviceTree)).root;
  const compatible = [...flatten(tree)].filter(([key]) => /^\/cpus\/cpu@\d:compatible$/.test(key));
  assert.deepEqual(
    compatible.map(([, value]) => value),
    ['arm,armv8\0', 'arm,armv8\0'],
  );
});

for (const intc of GICS) {
  for (const [cpuCount, hasEl2] of [
    [1, false],
    [8, false],
    [2, true],
  ] as const) {
    const cpu = hasEl2 ? withEl2(CORTEX_A57) : CORTEX_A57;
    const { gic, gicVersion, hasIts } = intc;
    const blob = (): Uint8Array => encodeFdt(rig({ gicVersion, hasIts, cpuCount, cpu }).board.deviceTree);
    const what = `${gic}, ${cpuCount} CPUs${hasEl2 ? ' with EL2' : ''}`;

    test(
      `device tree says what QEMU 7.2's does (${what})`,
      { skip: !qemuVersion && 'no qemu-system-aarch64 7.2' },
      () => {
        const theirs = qemuTree(intc, cpuCount, hasEl2);
        assert.ok(theirs);
        const isExplained = (key: string): boolean => DIFFERENCES.some(([path]) => path.test(key));
        const entries = (root: Node): [string, string][] =>
          [...flatten(root)].filter(([key]) => !isExplained(key)).sort(([a], [b]) => (a < b ? -1 : 1));
        assert.deepEqual(entries(decodeFdt(blob()).root), entries(theirs));
      },
    );

    test(`the device tree is consistent, and each node is as its binding says (${what})`, () => {
      // As in QEMU's tree: the address is that of the window to memory, and nothing is made of the pins' interrupts.
      const known =
        /^\/pcie@10000000: the unit address is not 4010000000$|^\/pl061@9030000: (interrupt-controller|#interrupt-cells) is missing$/;
      for (const virtioTransport of ['mmio', 'mmio-legacy', 'pci'] as const) {
        for (const cpu of [CORTEX_A57, MAX].map((model) => (hasEl2 ? withEl2(model) : model))) {
          for (const hasFirmware of [true, false]) {
            const kernel = {
              image: new Uint8Array(4096),
              initrd: new Uint8Array(16),
              commandLine: 'quiet',
            };
            const config = { gicVersion, hasIts, cpuCount, cpu, virtioTransport, hasFirmware, kernel };
            const { root } = decodeFdt(encodeFdt(rig({ ...config, kaslrSeed: 1n }).board.deviceTree));
            const problems = deviceTreeProblems(root);
            assert.deepEqual(
              problems.filter((line) => !known.test(line)),
              [],
            );
            assert.equal(problems.length, 3, 'what is known is still so');
          }
        }
      }
    });

    test(
      `dtc accepts the device tree without a warning (${what})`,
      { skip: spawnSync('dtc', ['--version']).status !== 0 && 'no dtc' },
      () => {
        const { status, stderr } = spawnSync('dtc', ['-I', 'dtb', '-O', 'dts', '-o', '/dev/null', '-'], {
          input: blob(),
          encoding: 'utf8',
        });
        assert.equal(status, 0);
        assert.equal(stderr, '');
      },
    );
  }
}

test(
  'differences from QEMU’s tree all still exist',
  { skip: !qemuVersion && 'no qemu-system-aarch64 7.2' },
  () => {
    const keys = GICS.flatMap((intc) => {
      const theirs = flatten(qemuTree(intc, 1, true) ?? assert.fail('no tree'));
      const cpu = withEl2(CORTEX_A57);
      const ours = flatten(decodeFdt(encodeFdt(rig({ ...intc, cpu }).board.deviceTree)).root);
      return [...new Set([...theirs.keys(), ...ours.keys()])].filter(
        (key) => theirs.get(key) !== ours.get(key),
      );
    });
    for (const [path, reason] of DIFFERENCES)
      assert.ok(
        keys.some((key) => path.test(key)),
        reason,
      );
  },
);
