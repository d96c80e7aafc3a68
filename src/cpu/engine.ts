/** Why `Engine.run` came back. */
export type RunExit =
  /** The budget is used up, or a device asked for attention (`Engine.kick`). */
  | 'budget'
  /** Every CPU waits for an interrupt (WFI, PSCI CPU_SUSPEND) and none is pending. */
  | 'idle'
  /** The guest asked for power-off or reset; the power port has been told. */
  | 'stopped';

/**
 * The processors of a machine as its run loop sees them. `run` is synchronous; devices are called from inside it.
 */
export interface Engine {
  /** Instructions executed by all CPUs since the machine was made, exact between runs and inside device calls. */
  readonly instructions: number;
  /** CPUs that are on and don't wait. */
  readonly busyCpus: number;
  /**
   * Executes at least one and about `budget` instructions: it may pass the budget by the instructions up to the
   * next branch, never by more than 1,024.
   */
  run(budget: number): RunExit;
  /** From inside a device call: makes the running `run` return soon (with `budget`), so that timers are looked at. */
  kick(): void;
  /** Puts CPU 0 at `pc` with `x0`, EL1h, MMU off, interrupts masked; the other CPUs wait for PSCI CPU_ON. */
  reset(pc: number, x0: number): void;
  /** The IRQ and FIQ inputs of a CPU, for the interrupt controller. */
  setIrq(cpu: number, level: boolean): void;
  setFiq(cpu: number, level: boolean): void;
}
