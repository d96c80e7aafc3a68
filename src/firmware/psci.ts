/**
 * Power State Coordination Interface over the SMC Calling Convention, as firmware below the guest offers it.
 *
 * "PSCI" is Arm DEN0022D (PSCI 1.1), cited by function; "SMCCC" is Arm DEN0028C (SMCCC 1.1). Modelled: all functions
 * that PSCI 1.1 makes mandatory, and SYSTEM_RESET2.
 *
 * @deviation A power-down CPU_SUSPEND is carried out as a stand-by: the CPU waits for an interrupt and the call
 * returns, as it may when a wake-up comes early (PSCI CPU_SUSPEND). The guest's entry point is never used.
 * @deviation SYSTEM_RESET2 knows the architectural warm reset only and carries it out as SYSTEM_RESET.
 */
import { hex, type Trace } from '../base/index.js';
import type { DtNode } from '../bus/index.js';

/** As AFFINITY_INFO tells them apart. A CPU that was turned on but has not executed yet is `on-pending`. */
export type CpuPowerState = 'on' | 'off' | 'on-pending';

/** The instruction that calls (SMCCC 2.1). */
export type PsciConduit = 'hvc' | 'smc';

/** The processors, by index. */
export interface CpuPowerPort {
  state(cpu: number): CpuPowerState;
  /** Starts an off CPU at `entry` with `contextId` in X0, in the highest exception level, MMU off (PSCI CPU_ON). */
  on(cpu: number, entry: number, contextId: bigint): void;
  /** The CPU executes nothing more until turned on. */
  off(cpu: number): void;
}

/** The machine's power supply. */
export interface PowerPort {
  powerOff(): void;
  reset(): void;
}

interface PsciPorts {
  readonly cpus: CpuPowerPort;
  readonly power: PowerPort;
  readonly trace: Trace;
}

export interface SmcccResult {
  /** For X0. X1 to X17 keep their values, which SMCCC 1.1 demands from X4 up. */
  readonly x0: bigint;
  /**
   * What the calling CPU does next: execute the instruction after the call; do so after waiting as WFI does; or
   * nothing, being off or having no power.
   */
  readonly next: 'return' | 'wait' | 'stop';
}

/** PSCI 5.2.2. */
const SUCCESS = 0n;
const NOT_SUPPORTED = -1n;
const INVALID_PARAMETERS = -2n;
const ALREADY_ON = -4n;
const ON_PENDING = -5n;
const INVALID_ADDRESS = -9n;

/** PSCI PSCI_VERSION and SMCCC 7.2: major version in the upper half. */
const PSCI_1_1 = 0x1_0001n;
const SMCCC_1_1 = 0x1_0001n;

/** The calling convention bit of a function identifier: set for 64-bit arguments (SMCCC 2.5, table 2-1). */
const SMC64 = 0x4000_0000;

/** 32-bit identifiers; those in `IN_64_BITS` exist with `SMC64` as well (PSCI 5.1, SMCCC 7). */
const FUNCTION = {
  SMCCC_VERSION: 0x8000_0000,
  SMCCC_ARCH_FEATURES: 0x8000_0001,
  PSCI_VERSION: 0x8400_0000,
  CPU_SUSPEND: 0x8400_0001,
  CPU_OFF: 0x8400_0002,
  CPU_ON: 0x8400_0003,
  AFFINITY_INFO: 0x8400_0004,
  MIGRATE_INFO_TYPE: 0x8400_0006,
  SYSTEM_OFF: 0x8400_0008,
  SYSTEM_RESET: 0x8400_0009,
  PSCI_FEATURES: 0x8400_000a,
  SYSTEM_RESET2: 0x8400_0012,
} as const;

type FunctionName = keyof typeof FUNCTION;

const IN_64_BITS: readonly FunctionName[] = ['CPU_SUSPEND', 'CPU_ON', 'AFFINITY_INFO', 'SYSTEM_RESET2'];

const FUNCTION_NAMES = new Map<number, FunctionName>();
for (const [name, id] of Object.entries(FUNCTION) as [FunctionName, number][]) {
  FUNCTION_NAMES.set(id, name);
  if (IN_64_BITS.includes(name)) FUNCTION_NAMES.set((id | SMC64) >>> 0, name);
}

/** Affinity fields of a 64-bit target; a 32-bit one has no Aff3 (PSCI CPU_ON). Other bits must be zero. */
const AFFINITY_BITS = 0xff_00ff_ffffn;
/** MPIDR_EL1 bits of affinity level 0 and up, to leave out below the level asked for. */
const AFFINITY_BELOW_LEVEL = [0n, 0xffn, 0xffffn, 0xff_ffffn] as const;

/** AFFINITY_INFO results, in the order in which one CPU's state decides for a group. */
const AFFINITY_STATES = [
  ['on', 0n],
  ['on-pending', 2n],
  ['off', 1n],
] as const satisfies readonly (readonly [CpuPowerState, bigint])[];

/** `power_state` in the original format: StateType (16) and StateID are free, the level is the core's (PSCI 5.4.2.1). */
const POWER_STATE_MUST_BE_ZERO = 0xfffe_0000n;

/** No trusted OS needs migrating (PSCI MIGRATE_INFO_TYPE). */
const NO_MIGRATION_NEEDED = 2n;

/** SYSTEM_RESET2 `reset_type`; bit 31 marks vendors' own (PSCI SYSTEM_RESET2). */
const SYSTEM_WARM_RESET = 0n;

/** A physical address has at most 52 bits. */
const MAX_ADDRESS = 2n ** 52n - 1n;

export class Psci {
  readonly #ports: PsciPorts;
  readonly #affinities: readonly bigint[];

  /** `affinities` are the affinity fields of each CPU's MPIDR_EL1: Aff3 in bits 39:32, Aff2 to Aff0 in bits 23:0. */
  constructor(ports: PsciPorts, affinities: readonly bigint[]) {
    this.#ports = ports;
    this.#affinities = affinities;
  }

  /**
   * Handles an SMC or HVC with immediate 0 by CPU `cpu`. `registers` are its X0 to X3, unsigned. Power is acted on
   * before this returns.
   */
  call(cpu: number, registers: readonly bigint[]): SmcccResult {
    const id = Number(BigInt.asUintN(32, registers[0] ?? 0n));
    const name = FUNCTION_NAMES.get(id);
    const width = (id & SMC64) === 0 ? 32 : 64;
    const [x1, x2, x3] = [1, 2, 3].map((index) => BigInt.asUintN(width, registers[index] ?? 0n)) as [
      bigint,
      bigint,
      bigint,
    ];
    const result = name === undefined ? done(NOT_SUPPORTED) : this.#call(name, cpu, x1, x2, x3);
    if (this.#ports.trace.on('psci')) {
      this.#ports.trace.event(
        'psci',
        `cpu${cpu} ${name ?? 'unknown function'} (${hex(id)}) ${hex(x1)} ${hex(x2)} ${hex(x3)} -> ` +
          (result.next === 'stop' ? 'no return' : BigInt.asIntN(64, result.x0).toString()),
      );
    }
    return result;
  }

  #call(name: FunctionName, cpu: number, x1: bigint, x2: bigint, x3: bigint): SmcccResult {
    switch (name) {
      case 'SMCCC_VERSION':
        return done(SMCCC_1_1);
      case 'SMCCC_ARCH_FEATURES':
        return done(architectureFeature(x1));
      case 'PSCI_VERSION':
        return done(PSCI_1_1);
      case 'PSCI_FEATURES':
        return done(psciFeature(x1));
      case 'CPU_SUSPEND':
        if ((x1 & POWER_STATE_MUST_BE_ZERO) !== 0n) return done(INVALID_PARAMETERS);
        return { x0: SUCCESS, next: 'wait' };
      case 'CPU_OFF':
        this.#ports.cpus.off(cpu);
        return STOP;
      case 'CPU_ON':
        return done(this.#cpuOn(x1, x2, x3));
      case 'AFFINITY_INFO':
        return done(this.#affinityInfo(x1, x2));
      case 'MIGRATE_INFO_TYPE':
        return done(NO_MIGRATION_NEEDED);
      case 'SYSTEM_OFF':
        this.#ports.power.powerOff();
        return STOP;
      case 'SYSTEM_RESET':
        this.#ports.power.reset();
        return STOP;
      case 'SYSTEM_RESET2':
        if (BigInt.asUintN(32, x1) !== SYSTEM_WARM_RESET) return done(INVALID_PARAMETERS);
        this.#ports.power.reset();
        return STOP;
    }
  }

  /** PSCI CPU_ON. */
  #cpuOn(target: bigint, entry: bigint, contextId: bigint): bigint {
    const { cpus } = this.#ports;
    const cpu = this.#affinities.indexOf(target);
    if (cpu < 0) return INVALID_PARAMETERS;
    const state = cpus.state(cpu);
    if (state === 'on') return ALREADY_ON;
    if (state === 'on-pending') return ON_PENDING;
    if (entry % 4n !== 0n || entry > MAX_ADDRESS) return INVALID_ADDRESS;
    cpus.on(cpu, Number(entry), contextId);
    return SUCCESS;
  }

  /** PSCI AFFINITY_INFO: a group is on if one of its CPUs is. */
  #affinityInfo(target: bigint, level: bigint): bigint {
    const below = AFFINITY_BELOW_LEVEL[Number(BigInt.asUintN(32, level))];
    if (below === undefined || (target & ~AFFINITY_BITS) !== 0n) return INVALID_PARAMETERS;
    const { cpus } = this.#ports;
    const states = new Set<CpuPowerState>();
    this.#affinities.forEach((affinity, cpu) => {
      if ((affinity & ~below) === (target & ~below)) states.add(cpus.state(cpu));
    });
    return AFFINITY_STATES.find(([state]) => states.has(state))?.[1] ?? INVALID_PARAMETERS;
  }
}

const STOP: SmcccResult = { x0: SUCCESS, next: 'stop' };

/** Errors are sign-extended, so that a caller may look at W0 or X0. */
function done(result: bigint): SmcccResult {
  return { x0: BigInt.asUintN(64, result), next: 'return' };
}

/** PSCI PSCI_FEATURES: SMCCC_VERSION is the one function outside PSCI that may be asked about (SMCCC 7.2). */
function psciFeature(id: bigint): bigint {
  const name = FUNCTION_NAMES.get(Number(BigInt.asUintN(32, id)));
  if (name === undefined || name === 'SMCCC_ARCH_FEATURES') return NOT_SUPPORTED;
  // CPU_SUSPEND's flags: original power_state format, platform-coordinated. SYSTEM_RESET2 and the rest have none.
  return SUCCESS;
}

/** SMCCC 7.3. */
function architectureFeature(id: bigint): bigint {
  const name = FUNCTION_NAMES.get(Number(BigInt.asUintN(32, id)));
  return name === 'SMCCC_VERSION' || name === 'SMCCC_ARCH_FEATURES' ? SUCCESS : NOT_SUPPORTED;
}

/** The node for a guest, which makes its calls by `conduit`. Linux Documentation/devicetree/bindings/arm/psci.yaml. */
export function describePsci(
  conduit: PsciConduit,
  compatible: readonly string[] = ['arm,psci-1.0', 'arm,psci-0.2', 'arm,psci'],
): DtNode {
  return {
    name: 'psci',
    properties: {
      compatible,
      method: conduit,
      // PSCI 0.1 left the identifiers to the platform; a guest that goes by `arm,psci` takes them from here.
      cpu_suspend: { cells: [(FUNCTION.CPU_SUSPEND | SMC64) >>> 0] },
      cpu_off: { cells: [FUNCTION.CPU_OFF] },
      cpu_on: { cells: [(FUNCTION.CPU_ON | SMC64) >>> 0] },
    },
  };
}
