import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, test } from 'node:test';
import { GIB, MIB, NO_TRACE, UserError } from '../base/index.js';
import { AddressSpace } from '../bus/index.js';
import { CORTEX_A57, MAX, withEl2 } from '../cpu/models.js';
import { deviceTreeProblems } from '../tables/device-tree-suite.js';
import { decodeFdt } from '../tables/fdt-decoder.js';
import { encodeFdt } from '../tables/fdt.js';
import { boardRig } from './board-suite.js';
import { buildKvmtool, KVMTOOL, type KvmtoolConfig } from './kvmtool.js';
import type { BoardPorts } from './ports.js';

const IRQCHIPS = ['gicv2', 'gicv2m', 'gicv3', 'gicv3-its'] as const;
const TRANSPORTS = ['mmio', 'mmio-legacy', 'pci'] as const;
const FLASH = { sizeBytes: 2 * MIB, writableBytes: 2 * MIB, commitPolicy: 'quiet' } as const;

/** Two devices. */
const EQUIPMENT: BoardPorts['virtio'] = {
  disks: [],
  shares: [],
  random: { fill: () => undefined },
  network: {
    mac: Uint8Array.of(0x52, 0x54, 0, 0, 0, 1),
    port: { send: () => undefined, receive: () => undefined, connect: () => undefined },
  },
};

type Changes = Omit<Partial<KvmtoolConfig>, 'flash'> & { readonly hasFlash?: boolean };

function rig({ hasFlash = true, ...changes }: Changes = {}, otherPorts: Partial<BoardPorts> = {}) {
  const config: KvmtoolConfig = {
    ramBytes: 512 * MIB,
    cpuCount: 1,
    cpu: CORTEX_A57,
    irqchip: 'gicv3-its',
    virtioTransport: 'mmio',
    pciTestdevCount: 0,
    firmware: { image: new Uint8Array(2 * MIB), commandLine: '' },
    ...(hasFlash ? { flash: FLASH } : {}),
    ...changes,
  };
  return boardRig((ports) => buildKvmtool(config, ports), otherPorts);
}

describe('the map', () => {
  for (const irqchip of IRQCHIPS) {
    for (const cpuCount of [1, 8]) {
      test(`nothing overlaps, RAM included (${irqchip}, ${cpuCount} CPUs)`, () => {
        const { map, ram } = rig({ irqchip, cpuCount }, { virtio: EQUIPMENT }).board;
        const space = new AddressSpace(NO_TRACE);
        for (const { base, device } of map) {
          space.add(base, device);
          assert.ok(base + device.sizeBytes <= ram.base);
        }
      });
    }
  }

  test('the table: no two rows share an address or an interrupt', () => {
    const rows: { base: number; sizeBytes: number; count?: number; spi?: number; spiCount?: number }[] =
      Object.values(KVMTOOL);
    const spans = rows.map(({ base, sizeBytes, count = 1 }) => [base, base + sizeBytes * count] as const);
    const spis = rows.flatMap(({ spi, spiCount = 1 }) =>
      spi === undefined ? [] : [[spi, spi + spiCount] as const],
    );
    for (const list of [spans, spis]) {
      const sorted = list.toSorted(([a], [b]) => a - b);
      for (let index = 1; index < sorted.length; index++) {
        assert.ok(sorted[index - 1]![1] <= sorted[index]![0], String(sorted[index]![0]));
      }
    }
  });

  test('everything is where kvmtool has it', () => {
    const placesOf = (changes: Changes): Record<string, string> =>
      Object.fromEntries(
        rig(changes, { virtio: EQUIPMENT }).board.map.map(({ base, device }) => [
          device.name,
          base.toString(16),
        ]),
      );
    const common = {
      uart0: '1000000',
      uart1: '1001000',
      uart2: '1002000',
      uart3: '1003000',
      rtc: '1010000',
      flash: '2000000',
      'virtio-mmio0': '3000000',
      'virtio-mmio1': '3000200',
      'pcie-ecam': '40000000',
      'pcie-memory32': '50000000',
      'pcie-io': '0',
      gicd: '3fff0000',
    };
    assert.deepEqual(placesOf({ irqchip: 'gicv2' }), { ...common, gicc: '3ffd0000' });
    assert.deepEqual(placesOf({ irqchip: 'gicv2m' }), { ...common, gicc: '3ffd0000', v2m: '3ffcf000' });
    assert.deepEqual(placesOf({ irqchip: 'gicv3' }), { ...common, gicr: '3ffd0000' });
    assert.deepEqual(placesOf({ irqchip: 'gicv3-its', cpuCount: 3 }), {
      ...common,
      gicr: '3ff90000',
      its: '3ff70000',
    });
  });
});

describe('devices and interrupts', () => {
  /** Bit of GICD_ISPENDR for an SPI, read through the map. */
  const isPending = (read: (address: number) => number, spi: number): boolean => {
    const intid = 32 + spi;
    return (read(0x3fff_0200 + 4 * (intid >> 5)) & (1 << (intid & 31))) !== 0;
  };

  test('the first UART is the console and interrupts by SPI 0; the others have SPIs 1 to 3 and no other end', () => {
    const { board, serial, byte, read } = rig();
    assert.equal(isPending(read, 0), false);
    byte.write(0x100_0001, 1); // IER.ERBFI
    assert.equal(board.serialInput.receive(Uint8Array.of(65)), 1);
    assert.equal(isPending(read, 0), true);
    assert.equal(byte.read(0x100_0000), 65);
    for (const [index, base] of [0x100_0000, 0x100_1000, 0x100_2000, 0x100_3000].entries()) {
      byte.write(base, 0x61 + index);
      byte.write(base + 1, 2); // IER.ETBEI
      assert.equal(isPending(read, index), true);
    }
    assert.deepEqual(serial, [0x61]);
  });

  test('the clock shows the time of day', () => {
    const { byte } = rig();
    byte.write(0x101_0000, 0x09);
    assert.equal(byte.read(0x101_0001), 0x23, '2023-11-14');
  });

  test('virtio-mmio: only devices that are there, in their order, of vendor LKVM', () => {
    const { read, board } = rig({}, { virtio: EQUIPMENT });
    assert.deepEqual([read(0x300_0008), read(0x300_0208)].toSorted(), [1, 4]);
    assert.equal(Buffer.from(Uint32Array.of(read(0x300_000c)).buffer).toString(), 'LKVM');
    assert.equal(board.map.filter(({ device }) => device.name.startsWith('virtio-mmio')).length, 2);
  });

  test('virtio-pci: devices are on the bus instead, behind the host bridge', () => {
    const { read, board } = rig({ virtioTransport: 'pci', pciTestdevCount: 1 }, { virtio: EQUIPMENT });
    assert.ok(!board.map.some(({ device }) => device.name.startsWith('virtio-mmio')));
    const ids = [0, 1, 2, 3, 4].map((slot) => read(0x4000_0000 + (slot << 15)).toString(16));
    assert.deepEqual(ids.slice(0, 1), ['81b36']);
    assert.deepEqual(ids.slice(1, 3).toSorted(), ['10411af4', '10441af4']);
    assert.deepEqual(ids.slice(3), ['51b36', 'ffffffff']);
  });

  test('virtio-pci: functions have MSI-X where the interrupt controller takes messages', () => {
    for (const irqchip of IRQCHIPS) {
      const { byte } = rig({ irqchip, virtioTransport: 'pci' }, { virtio: EQUIPMENT });
      const slot1 = 0x4000_8000;
      const ids: number[] = [];
      for (let at = byte.read(slot1 + 0x34); at !== 0; at = byte.read(slot1 + at + 1)) {
        ids.push(byte.read(slot1 + at));
      }
      assert.ok(ids.includes(0x09), 'vendor-specific capabilities, by which virtio is found');
      assert.equal(ids.includes(0x11), irqchip === 'gicv2m' || irqchip === 'gicv3-its', irqchip);
    }
  });

  test('the flash is mapped, as large as its image, and two chips of their own', () => {
    const { mapped, read, write, halfword } = rig();
    assert.deepEqual(mapped, [[0x200_0000, 2 * MIB, true]]);
    write(0x200_0000, 0x0098_0098);
    assert.deepEqual(
      [read(0x200_0040), read(0x200_0044), read(0x200_0048)],
      [0x51_0051, 0x52_0052, 0x59_0059],
    );
    // One chip of 1 MiB, with blocks of 32 KiB.
    assert.equal(read(0x200_0000 + 4 * 0x27), 0x14_0014);
    assert.deepEqual([read(0x200_0000 + 4 * 0x2d), read(0x200_0000 + 4 * 0x2f)], [0x1f_001f, 0x80_0080]);
    halfword.write(0x200_0000, 0xff);
    halfword.write(0x200_0002, 0xff);
    halfword.write(0x200_0000, 0x90);
    assert.equal(read(0x200_0000), 0xffff_0000, 'the lower chip shows its maker, the upper one its array');
  });

  test('PSCI is by HVC, with EL2 by SMC; there is no power button', () => {
    assert.equal(rig().board.psciConduit, 'hvc');
    assert.equal(rig({ cpu: withEl2(CORTEX_A57) }).board.psciConduit, 'smc');
    assert.equal(rig().board.pressPowerKey, undefined);
  });

  test('every device saves its state as plain data and takes it back', () => {
    for (const irqchip of IRQCHIPS) {
      for (const [name, device] of rig({ irqchip }, { virtio: EQUIPMENT }).board.devices) {
        const state = device.saveState();
        assert.deepEqual(structuredClone(state), state, name);
        device.restoreState(state);
        assert.deepEqual(device.saveState(), state, name);
      }
    }
  });
});

describe('what is in RAM', () => {
  test('firmware at its start, and the device tree at the next 2 MiB boundary', () => {
    const { board } = rig();
    assert.deepEqual(board.resetState, { pc: 0x8000_0000, x0: 0x8020_0000 });
    assert.equal(board.deviceTreeBase, 0x8020_0000);
    assert.deepEqual(
      board.images.map(({ address, sizeBytes }) => [address, sizeBytes]),
      [[0x8000_0000, 2 * MIB]],
    );
    assert.equal(board.isRamClearedByReset, true);
  });

  test('firmware and RAM go where they are told', () => {
    const image = new Uint8Array(2 * MIB + 1);
    const { board } = rig({
      ramBase: 4 * GIB,
      firmware: { image, address: 4 * GIB + 0x1000, commandLine: '' },
    });
    assert.deepEqual(board.ram, { base: 4 * GIB, sizeBytes: 512 * MIB });
    assert.deepEqual(board.resetState, { pc: 0x1_0000_1000, x0: 0x1_0040_0000 });
  });

  test('a kernel at its offset, the device tree near the end of the first 512 MiB, the RAM disk below', () => {
    const image = new Uint8Array(MIB);
    new DataView(image.buffer).setUint32(56, 0x644d_5241, true);
    new DataView(image.buffer).setBigUint64(16, BigInt(3 * MIB), true);
    const initrd = new Uint8Array(1001);
    for (const [ramBytes, tree] of [
      [512 * MIB, 0x9fe0_0000],
      [2 * GIB, 0x9fe0_0000],
      [64 * MIB, 0x83e0_0000],
    ] as const) {
      const { board } = rig({ ramBytes, kernel: { image, initrd, commandLine: 'quiet' } });
      assert.deepEqual(board.resetState, { pc: 0x8000_0000, x0: tree });
      const at = tree - 1004;
      assert.deepEqual(
        board.images.map(({ address, sizeBytes }) => [address, sizeBytes]),
        [
          [0x8000_0000, 3 * MIB],
          [at, 1001],
        ],
      );
    }
  });

  test('what does not fit, and places that are none, are user errors', () => {
    const refused: readonly (readonly [Changes, string])[] = [
      [{ ramBytes: MIB + 1 }, 'ram-size'],
      [{ ramBase: GIB }, 'ram-address'],
      [{ ramBase: 2 * GIB + MIB }, 'ram-address'],
      [{ ramBase: 2 ** 40 - 256 * MIB }, 'ram-address'],
      [{ cpuCount: 9 }, 'cpu-count'],
      [{ ramBytes: 2 * MIB }, 'firmware-size'],
      [{ ramBytes: MIB }, 'firmware-size'],
      ...[0x7fff_f000, 0x8000_0004, 0xa000_0000].map(
        (address) =>
          [{ firmware: { image: new Uint8Array(4), address, commandLine: '' } }, 'firmware-address'] as const,
      ),
      [{ ramBytes: 4 * MIB, kernel: { image: new Uint8Array(3 * MIB), commandLine: '' } }, 'kernel-size'],
      [
        {
          ramBytes: 8 * MIB,
          kernel: { image: new Uint8Array(MIB), initrd: new Uint8Array(6 * MIB), commandLine: '' },
        },
        'kernel-size',
      ],
    ];
    for (const [changes, code] of refused) {
      assert.throws(
        () => rig(changes),
        (error) => error instanceof UserError && error.code === code,
        `${code} ${JSON.stringify(Object.keys(changes))}`,
      );
    }
  });
});

type Node = ReturnType<typeof decodeFdt>['root'];

const treeOf = (changes: Changes, otherPorts: Partial<BoardPorts> = {}): Uint8Array =>
  encodeFdt(rig(changes, otherPorts).board.deviceTree);

/** Every property as `dtc` would show it: strings, or cells in hexadecimal. */
function flatten(node: Node, path = ''): Record<string, string> {
  const flat: Record<string, string> = {};
  for (const [name, bytes] of node.properties) {
    const text = Buffer.from(bytes).toString('latin1');
    const isText = /^[\x20-\x7e]+(\0[\x20-\x7e]+)*\0$/.test(text);
    flat[`${path}:${name}`] = isText
      ? text.slice(0, -1).replaceAll('\0', ' ')
      : Array.from({ length: bytes.length / 4 }, (_, index) =>
          Buffer.from(bytes)
            .readUInt32BE(4 * index)
            .toString(16),
        ).join(' ');
  }
  for (const child of node.children) Object.assign(flat, flatten(child, `${path}/${child.name}`));
  return flat;
}

describe('the device tree', () => {
  /**
   * Every property of every node, from kvmtool's sources: arm64/fdt.c, gic.c, timer.c, pci.c, pmu.c, hw/serial.c,
   * hw/rtc.c, hw/cfi_flash.c, virtio/mmio.c. Two CPUs, 512 MiB, a virtio device and a test device of PCI.
   */
  function kvmtoolTree(
    irqchip: KvmtoolConfig['irqchip'],
    transport: (typeof TRANSPORTS)[number],
    phandle: { readonly intc: string; readonly msi: string },
  ): Record<string, string> {
    const isV3 = irqchip.startsWith('gicv3');
    // Two redistributors of 128 KiB, or a CPU interface of which 8 KiB are used; below it what takes messages.
    const gicReg = isV3 ? '0 3fff0000 0 10000 0 3ffb0000 0 40000' : '0 3fff0000 0 1000 0 3ffd0000 0 2000';
    const msi = {
      gicv2: {},
      gicv2m: {
        '/intc@3fff0000/v2m@3ffcf000:compatible': 'arm,gic-v2m-frame',
        '/intc@3fff0000/v2m@3ffcf000:msi-controller': '',
        '/intc@3fff0000/v2m@3ffcf000:reg': '0 3ffcf000 0 1000',
        '/intc@3fff0000/v2m@3ffcf000:phandle': phandle.msi,
        '/pci@40000000:msi-parent': phandle.msi,
      },
      gicv3: {},
      'gicv3-its': {
        '/intc@3fff0000/its@3ff90000:compatible': 'arm,gic-v3-its',
        '/intc@3fff0000/its@3ff90000:msi-controller': '',
        '/intc@3fff0000/its@3ff90000:#msi-cells': '1',
        '/intc@3fff0000/its@3ff90000:reg': '0 3ff90000 0 20000',
        '/intc@3fff0000/its@3ff90000:phandle': phandle.msi,
        '/pci@40000000:msi-parent': `${phandle.msi} 0`,
      },
    }[irqchip];
    // The mask of CPUs, which GICv3 has no more; level, low.
    const ppiFlags = isV3 ? '4' : '304';
    const route = (slot: number, pin: number): string =>
      `${(slot << 11).toString(16)} 0 0 ${pin} ${phandle.intc} 0 0 0 ${(36 + ((slot + pin - 1) % 4)).toString(16)} 4`;
    // The host bridge, the virtio device if it is on the bus, and the test device.
    const slots = transport === 'pci' ? [0, 1, 2] : [0, 1];
    return {
      ':interrupt-parent': phandle.intc,
      ':compatible': 'linux,dummy-virt',
      ':#address-cells': '2',
      ':#size-cells': '2',
      '/chosen:bootargs': 'console=ttyS0',
      '/chosen:stdout-path': 'serial0',
      '/chosen:linux,initrd-start': '0 9fdfffec',
      '/chosen:linux,initrd-end': '0 9fdffffc',
      '/memory@80000000:device_type': 'memory',
      '/memory@80000000:reg': '0 80000000 0 20000000',
      '/cpus:#address-cells': '1',
      '/cpus:#size-cells': '0',
      ...Object.fromEntries(
        [0, 1].flatMap((cpu) => [
          [`/cpus/cpu@${cpu}:device_type`, 'cpu'],
          [`/cpus/cpu@${cpu}:reg`, String(cpu)],
          [`/cpus/cpu@${cpu}:compatible`, 'arm,cortex-a57'],
          [`/cpus/cpu@${cpu}:enable-method`, 'psci'],
        ]),
      ),
      '/intc@3fff0000:compatible': isV3 ? 'arm,gic-v3' : 'arm,cortex-a15-gic',
      '/intc@3fff0000:reg': gicReg,
      '/intc@3fff0000:interrupt-controller': '',
      '/intc@3fff0000:#interrupt-cells': '3',
      '/intc@3fff0000:#address-cells': '2',
      '/intc@3fff0000:#size-cells': '2',
      '/intc@3fff0000:ranges': '',
      '/intc@3fff0000:phandle': phandle.intc,
      ...(isV3 ? { '/intc@3fff0000:#redistributor-regions': '1' } : {}),
      ...msi,
      '/timer:compatible': 'arm,armv8-timer arm,armv7-timer',
      '/timer:always-on': '',
      '/timer:interrupts': ['d', 'e', 'b', 'a'].map((ppi) => `1 ${ppi} ${ppiFlags}`).join(' '),
      '/pmu:compatible': 'arm,armv8-pmuv3',
      '/pmu:interrupts': `1 7 ${ppiFlags}`,
      ...(transport === 'pci'
        ? {}
        : {
            '/virtio@3000000:compatible': 'virtio,mmio',
            '/virtio@3000000:reg': '0 3000000 0 200',
            '/virtio@3000000:interrupts': '0 4 1',
            '/virtio@3000000:dma-coherent': '',
          }),
      ...Object.fromEntries(
        [0, 1, 2, 3].flatMap((index) => {
          const node = `/U6_16550A@100${index}000`;
          return [
            [`${node}:compatible`, 'ns16550a'],
            [`${node}:reg`, `0 100${index}000 0 8`],
            [`${node}:interrupts`, `0 ${index} 4`],
            [`${node}:clock-frequency`, '1c2000'],
          ];
        }),
      ),
      '/rtc@1010000:compatible': 'motorola,mc146818',
      '/rtc@1010000:reg': '0 1010000 0 2',
      '/flash@2000000:compatible': 'cfi-flash',
      '/flash@2000000:label': 'System-firmware',
      '/flash@2000000:bank-width': '4',
      '/flash@2000000:reg': '0 2000000 0 200000',
      '/pci@40000000:compatible': 'pci-host-ecam-generic',
      '/pci@40000000:device_type': 'pci',
      '/pci@40000000:#address-cells': '3',
      '/pci@40000000:#size-cells': '2',
      '/pci@40000000:#interrupt-cells': '1',
      '/pci@40000000:dma-coherent': '',
      '/pci@40000000:bus-range': '0 0',
      '/pci@40000000:reg': '0 40000000 0 10000000',
      '/pci@40000000:ranges': '1000000 0 0 0 0 0 10000 2000000 0 50000000 0 50000000 0 30000000',
      '/pci@40000000:interrupt-map': slots
        .flatMap((slot) => [1, 2, 3, 4].map((pin) => route(slot, pin)))
        .join(' '),
      '/pci@40000000:interrupt-map-mask': 'f800 0 0 7',
      '/psci:compatible': 'arm,psci-0.2 arm,psci',
      '/psci:method': 'hvc',
      '/psci:cpu_suspend': 'c4000001',
      '/psci:cpu_off': '84000002',
      '/psci:cpu_on': 'c4000003',
      '/aliases:serial0': '/U6_16550A@1000000',
    };
  }

  for (const irqchip of IRQCHIPS) {
    for (const virtioTransport of TRANSPORTS) {
      test(`says what kvmtool’s says, property by property (${irqchip}, ${virtioTransport})`, () => {
        const kernel = {
          image: new Uint8Array(4096),
          initrd: new Uint8Array(16),
          commandLine: 'console=ttyS0',
        };
        const virtio = { disks: [], shares: [], random: { fill: () => undefined } };
        const flat = flatten(
          decodeFdt(treeOf({ irqchip, virtioTransport, cpuCount: 2, pciTestdevCount: 1, kernel }, { virtio }))
            .root,
        );
        const phandles = Object.entries(flat).filter(([name]) => name.endsWith(':phandle'));
        const phandleOf = (node: RegExp): string => phandles.find(([name]) => node.test(name))?.[1] ?? 'none';
        const phandle = { intc: phandleOf(/^\/intc@[^/]*$/), msi: phandleOf(/^\/intc@.*\/(v2m|its)@/) };
        assert.notEqual(phandle.intc, phandle.msi);
        assert.deepEqual(flat, kvmtoolTree(irqchip, virtioTransport, phandle));
      });
    }
  }

  test('one CPU needs no enable-method; other CPUs are arm,arm-v8; no flash without an image', () => {
    const flat = flatten(decodeFdt(treeOf({ cpu: MAX, hasFlash: false })).root);
    assert.equal(flat['/intc@3fff0000:reg'], '0 3fff0000 0 10000 0 3ffd0000 0 20000');
    assert.equal(flat['/cpus/cpu@0:compatible'], 'arm,arm-v8');
    assert.equal(flat['/cpus/cpu@0:enable-method'], undefined);
    assert.ok(!Object.keys(flat).some((key) => key.startsWith('/flash')));
    assert.ok(!Object.keys(flat).some((key) => /fw-cfg|pl0|acpi|gpio/.test(key)));
  });

  test('the command line is for what firmware boots, too', () => {
    const firmware = { image: new Uint8Array(4096), commandLine: 'root=/dev/vda1' };
    assert.equal(flatten(decodeFdt(treeOf({ firmware })).root)['/chosen:bootargs'], 'root=/dev/vda1');
  });

  /** Of kvmtool's, too. */
  const KNOWN = /^\/cpus\/cpu@\d: no binding is known for compatible "arm,arm-v8"$|^\/: model is missing$/;

  for (const irqchip of IRQCHIPS) {
    for (const virtioTransport of TRANSPORTS) {
      test(`is consistent, and each node is as its binding says (${irqchip}, ${virtioTransport})`, () => {
        const started = [
          { firmware: { image: new Uint8Array(4096), commandLine: 'quiet' } },
          {
            kernel: { image: new Uint8Array(4096), initrd: new Uint8Array(16), commandLine: 'quiet' },
            kaslrSeed: 1n,
          },
        ];
        for (const [cpuCount, cpu, what] of [
          [1, CORTEX_A57, started[0]],
          [8, MAX, started[1]],
          [2, withEl2(CORTEX_A57), started[0]],
          [8, withEl2(MAX), started[1]],
        ] as const) {
          const changes = { irqchip, virtioTransport, cpuCount, cpu, ...what };
          for (const more of [{}, { pciTestdevCount: 3, ramBase: 4 * GIB, hasFlash: false }]) {
            const blob = treeOf({ ...changes, ...more }, { virtio: EQUIPMENT });
            const problems = deviceTreeProblems(decodeFdt(blob).root);
            assert.deepEqual(
              problems.filter((line) => !KNOWN.test(line)),
              [],
            );
            const cpuProblems = cpu.name === CORTEX_A57.name ? 0 : cpuCount;
            assert.equal(problems.length, 1 + cpuProblems, 'what is known is still so');
          }
        }
      });

      test(
        `dtc accepts it without a warning (${irqchip}, ${virtioTransport})`,
        { skip: spawnSync('dtc', ['--version']).status !== 0 && 'no dtc' },
        () => {
          const { status, stderr } = spawnSync('dtc', ['-I', 'dtb', '-O', 'dts', '-o', '/dev/null', '-'], {
            input: treeOf({ irqchip, virtioTransport, cpuCount: 2 }, { virtio: EQUIPMENT }),
            encoding: 'utf8',
          });
          assert.equal(status, 0);
          assert.equal(stderr, '');
        },
      );
    }
  }
});
