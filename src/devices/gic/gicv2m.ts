/**
 * GICv2m: a frame that turns memory writes into SPIs, so that PCIe devices can have MSIs on a GICv2.
 * Document: Arm Server Base System Architecture, DEN0029, appendix "GICv2m architecture".
 *
 * Modelled: the non-secure frame. It keeps no state: each message is one edge on an input of the GIC.
 */
import { invariant, NO_TRACE, type PhysAddr, type Trace } from '../../base/index.js';
import { cells64, type AcpiInterruptController, type DtNode, type IrqLine } from '../../bus/index.js';
import { RegisterFrame, type RegisterRow } from './register-frame.js';

const FRAME_BYTES = 0x1000;

const FRAME = {
  MSI_TYPER: { at: 0x008, spec: 'MSI_TYPER' },
  /** 16-bit accesses work as well. */
  MSI_SETSPI_NS: { at: 0x040, byteAccess: true, spec: 'MSI_SETSPI_NS' },
  MSI_IIDR: { at: 0xfcc, spec: 'MSI_IIDR' },
} as const satisfies Record<string, RegisterRow>;

/** Product 0, GICv2m version 0, revision 0, implementer Arm: nothing that a driver has a workaround for. */
const IIDR = 0x0000043b;

interface Gicv2mPorts {
  /** The GIC inputs behind the frame, in the order of their INTIDs. */
  readonly spis: readonly IrqLine[];
  readonly trace?: Trace;
}

/** A GICv2m frame for SPIs of consecutive INTIDs, the first of which is `firstIntid`. */
export class Gicv2m extends RegisterFrame<keyof typeof FRAME> {
  /** Offset of the register that takes messages. */
  static readonly doorbellAt = FRAME.MSI_SETSPI_NS.at;
  readonly #firstIntid: number;
  readonly #count: number;

  constructor(firstIntid: number, ports: Gicv2mPorts) {
    const { spis, trace = NO_TRACE } = ports;
    invariant(firstIntid >= 32 && firstIntid + spis.length <= 1020, `GICv2m from INTID ${firstIntid}`);
    super(
      'v2m',
      FRAME_BYTES,
      1,
      FRAME,
      {
        read: (register) => {
          if (register.name === 'MSI_TYPER') return (firstIntid << 16) | spis.length;
          return register.name === 'MSI_IIDR' ? IIDR : 0;
        },
        write: (register, at, _size, value) => {
          if (register.name !== 'MSI_SETSPI_NS' || at !== 0) return;
          const line = spis[value - firstIntid];
          line?.set(true);
          line?.set(false);
        },
        reset: () => undefined,
      },
      trace,
    );
    this.#firstIntid = firstIntid;
    this.#count = spis.length;
  }

  /** The device-tree node, labelled `v2m`, a child of the GIC's. Binding: arm,gic.yaml. */
  describe(base: PhysAddr): DtNode {
    return {
      name: `v2m@${base.toString(16)}`,
      label: 'v2m',
      properties: {
        compatible: 'arm,gic-v2m-frame',
        'msi-controller': true,
        reg: { cells: [...cells64(base), ...cells64(FRAME_BYTES)] },
      },
    };
  }

  describeAcpi(base: PhysAddr): AcpiInterruptController {
    return { kind: 'msi-frame', base, firstIntid: this.#firstIntid, count: this.#count };
  }
}
