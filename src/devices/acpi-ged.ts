/**
 * The registers of an ACPI Generic Event Device (ACPI 6.4, 5.6.9): events of the machine for an operating system
 * that goes by ACPI. QEMU docs/specs/acpi_hw_reduced_hotplug.rst; QEMU's `virt` has it at the same place.
 *
 * Modelled: the event selector and the press of the power button. Reading the selector takes all events and ends
 * the interrupt, which is an edge to guests.
 */
import { deepCopy } from '../base/index.js';
import type { Trace } from '../base/index.js';
import type { AccessSize, AcpiDevice, IrqLine, MmioDevice, Snapshottable } from '../bus/index.js';
import { gsiOfSpi } from './interrupt-spec.js';
import type { PeripheralPlace } from './primecell.js';
import { RegisterBlock, registers, resetValues } from './registers.js';
import type { RegisterValues } from './registers.js';

const SIZE_BYTES = 4;

const R = registers({
  EVENT_SELECTOR: {
    at: 0x00,
    width: 32,
    access: 'ro',
    spec: 'QEMU acpi_hw_reduced_hotplug, "ACPI GED interface"',
    fields: { POWER_DOWN: [1, 1] },
  },
});

/** Notification of a power button that has been pressed (ACPI 6.4, 5.6.6, table 5.165). */
const NOTIFY_BUTTON_PRESSED = 0x80;

export type AcpiGedState = RegisterValues<typeof R>;

interface AcpiGedPorts {
  readonly irq: IrqLine;
  readonly trace: Trace;
}

export class AcpiGed implements MmioDevice, Snapshottable<AcpiGedState> {
  readonly name = 'ged';
  readonly sizeBytes = SIZE_BYTES;
  readonly maxAccess = 4;
  #state = resetValues(R);
  readonly #irq: IrqLine;
  readonly #block: RegisterBlock<typeof R>;

  constructor({ irq, trace }: AcpiGedPorts) {
    this.#irq = irq;
    this.#block = new RegisterBlock<typeof R>(
      this.name,
      R,
      () => this.#state,
      { read: { EVENT_SELECTOR: () => this.#takeEvents() }, write: {} },
      trace,
    );
  }

  /** The power button has been pressed. */
  powerDown(): void {
    this.#state.EVENT_SELECTOR = R.EVENT_SELECTOR.with(this.#state.EVENT_SELECTOR, 'POWER_DOWN', 1);
    this.#updateIrq();
  }

  read(offset: number, size: AccessSize): number {
    return this.#block.read(offset, size);
  }

  write(offset: number, size: AccessSize, value: number): void {
    this.#block.write(offset, size, value);
  }

  reset(): void {
    this.restoreState(resetValues(R));
  }

  saveState(): AcpiGedState {
    return deepCopy(this.#state);
  }

  restoreState(state: AcpiGedState): void {
    this.#state = deepCopy(state);
    this.#updateIrq();
  }

  /** The event device (ACPI 6.4, 5.6.9) and the button whose presses it reports (4.8.2.2.1.2). */
  describeAcpi({ base, spi }: PeripheralPlace): readonly AcpiDevice[] {
    const powerDown = R.EVENT_SELECTOR.of({ POWER_DOWN: 1 });
    return [
      {
        name: 'GED',
        objects: {
          _HID: 'ACPI0013',
          _UID: 0,
          // Interrupts and nothing else (ACPI 6.4, 5.6.9.1): Linux wants none but those.
          _CRS: { resources: [{ kind: 'interrupt', gsi: gsiOfSpi(spi), trigger: 'edge-rising' }] },
          EREG: { base, sizeBytes: SIZE_BYTES, fields: ['ESEL'] },
          _EVT: {
            arguments: 1,
            isSerialized: true,
            body: [
              ['Store', { object: 'ESEL' }, { local: 0 }],
              [
                'If',
                ['LEqual', ['And', { local: 0 }, powerDown], powerDown],
                [['Notify', 'PWRB', NOTIFY_BUTTON_PRESSED]],
              ],
            ],
          },
        },
      },
      { name: 'PWRB', objects: { _HID: { eisaId: 'PNP0C0C' }, _UID: 0 } },
    ];
  }

  #takeEvents(): number {
    const events = this.#state.EVENT_SELECTOR;
    this.#state.EVENT_SELECTOR = R.EVENT_SELECTOR.value(0);
    this.#updateIrq();
    return events;
  }

  #updateIrq(): void {
    this.#irq.set(this.#state.EVENT_SELECTOR !== 0);
  }
}
