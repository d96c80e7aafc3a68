import { deepCopy, type Trace } from '../../base/index.js';
import type { AccessSize } from '../../bus/index.js';
import {
  RegisterBlock, resetValues, type AnyRegisters, type RegisterBehaviour, type RegisterValues,
} from '../registers.js'; // prettier-ignore
import type { PciCapability } from './pci-function.js';

export interface RegisterCapabilityOptions<R extends AnyRegisters> {
  readonly id: number;
  readonly sizeBytes: number;
  readonly table: R;
  /** What accesses do, given how to ask for the present registers. */
  readonly behaviour: (registers: () => RegisterValues<R>) => RegisterBehaviour<R>;
  readonly trace: Trace;
}

/** A capability that is its registers and nothing else. */
export class RegisterCapability<R extends AnyRegisters> implements PciCapability {
  readonly id: number;
  readonly sizeBytes: number;
  readonly #table: R;
  readonly #block: RegisterBlock<R>;
  #state: RegisterValues<R>;

  constructor(name: string, { id, sizeBytes, table, behaviour, trace }: RegisterCapabilityOptions<R>) {
    this.id = id;
    this.sizeBytes = sizeBytes;
    this.#table = table;
    this.#state = resetValues(table);
    const registers = (): RegisterValues<R> => this.#state;
    this.#block = new RegisterBlock(name, table, registers, behaviour(registers), trace);
  }

  read(offset: number, size: AccessSize): number {
    return this.#block.read(offset, size);
  }

  write(offset: number, size: AccessSize, value: number): void {
    this.#block.write(offset, size, value);
  }

  reset(): void {
    this.#state = resetValues(this.#table);
  }

  saveState(): RegisterValues<R> {
    return deepCopy(this.#state);
  }

  restoreState(state: RegisterValues<R>): void {
    this.#state = deepCopy(state);
  }
}
