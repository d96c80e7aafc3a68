/**
 * System registers that live outside the CPU: the GIC CPU interface (`ICC_*`), the generic timers (`CNT*`).
 * The CPU has done the trap and privilege checks before it calls.
 */
export interface SystemRegisterPort {
  /** `name` as in the Arm ARM: `ICC_IAR1_EL1`. `cpu` is the vCPU's index. Unsigned 64-bit value. */
  readSystemRegister(name: string, cpu: number): bigint;
  writeSystemRegister(name: string, cpu: number, value: bigint): void;
}
