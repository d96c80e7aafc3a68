/** PCI Express of a board: the host, its windows, and what is plugged in. */
import { hex } from '../base/index.js';
import type { MessagePort } from '../bus/index.js';
import { PcieHost, type PcieHostPlacement } from '../devices/pcie/pcie-host.js';
import { PciTestdev } from '../devices/pcie/pci-testdev.js';
import type { VirtioDevice } from '../devices/virtio/virtio-device.js';
import { LABEL, type InterruptController, type MsiController } from './interrupt-controllers.js';
import { place, type BoardRow } from './layout.js';
import type { BoardPorts, MapEntry } from './ports.js';
import { plugVirtioDevices } from './virtio.js';

/** The host bridge has slot 0. */
const FIRST_SLOT = 1;

interface PcieRows {
  /** With the interrupts that the functions' pins are wired to. */
  readonly pcieEcam: BoardRow & { readonly spi: number; readonly spiCount: number };
  readonly pcieIo: BoardRow;
  readonly pcieMemory32: BoardRow;
  readonly pcieMemory64?: BoardRow;
}

export interface BoardPcie {
  readonly host: PcieHost;
  readonly map: readonly MapEntry[];
  readonly placement: PcieHostPlacement;
  /** Slots in use, from 0. */
  readonly slotCount: number;
}

/** `virtioDevices` are those that are reached over PCI; test devices have the slots behind them. */
export function buildPcie(
  rows: PcieRows,
  intc: InterruptController,
  virtioDevices: readonly VirtioDevice[],
  testdevCount: number,
  ports: BoardPorts,
): BoardPcie {
  const { trace } = ports;
  const { pcieEcam, pcieIo, pcieMemory32, pcieMemory64 } = rows;
  const spis = Array.from({ length: pcieEcam.spiCount }, (_, index) => pcieEcam.spi + index);
  const host = new PcieHost({
    interrupts: spis.map((spi) => intc.spi(spi)),
    messages: messagePort(intc.msi, ports),
    trace,
  });
  plugVirtioDevices(host, virtioDevices, FIRST_SLOT, intc.msi !== undefined, { trace });
  const firstTestdev = FIRST_SLOT + virtioDevices.length;
  for (let index = 0; index < testdevCount; index++) {
    const slot = host.slot(firstTestdev + index, 0);
    host.plug(firstTestdev + index, 0, new PciTestdev(`pci-testdev${index}`, { slot, trace }));
  }
  const memoryWindow = (name: string, row: BoardRow): MapEntry =>
    place(row, host.window(name, 'memory', row.base, row.sizeBytes));
  return {
    host,
    map: [
      memoryWindow('pcie-memory32', pcieMemory32),
      ...(pcieMemory64 ? [memoryWindow('pcie-memory64', pcieMemory64)] : []),
      place(pcieIo, host.window('pcie-io', 'io', 0, pcieIo.sizeBytes)),
      place(pcieEcam, host),
    ],
    placement: {
      ecam: pcieEcam,
      io: pcieIo,
      memory32: pcieMemory32,
      ...(pcieMemory64 ? { memory64: pcieMemory64 } : {}),
      interruptController: { label: LABEL.intc, addressCells: 2 },
      spis,
      ...(intc.msi === undefined ? {} : { msiController: intc.msi }),
    },
    slotCount: firstTestdev + testdevCount,
  };
}

/** Messages go to the interrupt controller, where one takes them, or to memory, where a guest may look for them. */
function messagePort(msi: MsiController | undefined, { dma, trace }: BoardPorts): MessagePort {
  return {
    send: (address, data, requester) => {
      if (trace.on('irq')) {
        trace.event('irq', `pci: ${hex(requester)} sends ${hex(data)} to ${hex(address)}`);
      }
      if (address === msi?.address) {
        msi.write(data, requester);
        return;
      }
      const bytes = new Uint8Array(4);
      new DataView(bytes.buffer).setUint32(0, data, true);
      if (!dma.write(address, bytes) && trace.on('guest-errors')) {
        trace.event('guest-errors', `pci: message to ${hex(address)}, where nothing takes it`);
      }
    },
  };
}
