/** What a CPU shows of its work to those who count it: its performance monitors. */
export interface CpuActivity {
  /**
   * Instructions that the CPU has begun since the machine was made: exact while it accesses a system register, and
   * while its observer is called.
   */
  readonly begun: number;
  /** Those of them that were executed: neither undefined nor trapped, nor ended by an abort. */
  readonly retired: number;
  /** PSTATE.EL. */
  readonly exceptionLevel: number;
  /** Once. */
  observe(observer: CpuObserver): void;
  /** Has `onAlarm` called once when `begun` is that much or up to 1,024 more. `Infinity`: not at all. */
  setAlarm(begun: number): void;
  /** Whether `onLevelChange` is called. */
  watchLevel(isWatched: boolean): void;
}

export interface CpuObserver {
  onAlarm(): void;
  /** Between the last instruction at one exception level and the first one at another. */
  onLevelChange(): void;
  /** The CPU starts from its reset state: alarm and watch are gone. */
  onReset(): void;
}
