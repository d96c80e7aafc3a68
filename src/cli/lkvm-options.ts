/**
 * What v8a makes of kvmtool's commands (include/common-cmds.h) and of the options of `lkvm run`: those of 2026
 * (builtin-run.c, arm64/include/kvm/kvm-config-arch.h). docs/lkvm-run.md is written from these tables, and what is refused
 * here is refused with these words.
 */

/** An option that `v8a run` has by the same names, and what is different about it: nothing, where that is empty. */
export interface TakenOption {
  /** As `lkvm run --help` writes it. */
  readonly flags: string;
  readonly difference: string;
}

/** An option that it does not have: why, and what to do instead. */
export interface RefusedOption {
  readonly flags: string;
  readonly refusal: string;
}

export const LKVM_RUN_OPTIONS: readonly (TakenOption | RefusedOption)[] = [
  { flags: '--name <name>', refusal: 'v8a keeps no list of guests, a guest is its process; leave it out' },
  { flags: '-c, --cpus <n>', difference: '1 unless given, up to 8' },
  {
    flags: '-m, --mem <size[@addr]>',
    difference: '512M unless given, up to 3G; with `--machine virt` without an address',
  },
  {
    flags: '-d, --disk <image|rootfs_dir>',
    difference: 'an image, not a directory (`--9p`) and not `scsi:`; `ro`, but not `direct`; up to 8',
  },
  {
    flags: '--balloon',
    refusal: 'there is no balloon device; give the guest the RAM it may have with --mem',
  },
  { flags: '--vnc', refusal: 'there is no display; use the console of --console' },
  { flags: '--gtk', refusal: 'there is no display; use the console of --console' },
  { flags: '--sdl', refusal: 'there is no display; use the console of --console' },
  { flags: '--rng', difference: 'its bytes can be repeated: `--seed`, `--clock virtual`' },
  {
    flags: '--nodefaults',
    difference:
      'without it, too, no root file system is made up, and all that is added to the command line is the console of `--console virtio`',
  },
  {
    flags: '--9p <dir_to_share,tag_name>',
    difference: 'also `,ro`; nothing outside the directory is reached',
  },
  { flags: '--console <serial|virtio|hv>', difference: '`hv` is for other architectures' },
  {
    flags: '--vsock <guest cid>',
    refusal: 'there is no vsock device; use --port for a line to the guest, or --network user,hostfwd=…',
  },
  {
    flags: '--dev <device_file>',
    refusal: 'v8a needs no /dev/kvm, it executes every instruction itself; leave it out',
  },
  {
    flags: '--tty <tty id>',
    refusal: 'only the first UART is connected, to this terminal; use --port for further lines',
  },
  {
    flags: '--sandbox <script>',
    refusal: 'no command is run in the guest by itself; type it with --expect and --send',
  },
  {
    flags: '--hugetlbfs <path>',
    refusal: 'RAM is memory of the JavaScript engine, which chooses its pages; leave it out',
  },
  { flags: '--virtio-legacy', refusal: 'kvmtool has replaced it; use --virtio-transport mmio-legacy' },
  {
    flags: '--virtio-transport <pci|pci-legacy|mmio|mmio-legacy>',
    difference: '`pci` unless given, with `--machine virt` `mmio`; not `pci-legacy`',
  },
  {
    flags: '--loglevel <error|warning|info|debug>',
    difference: '`error` leaves out notices, `debug` is `--debug-mmio` too',
  },
  { flags: '-k, --kernel <kernel>', difference: 'also packed, ELF and raw; not as an argument without `-k`' },
  { flags: '-i, --initrd <initrd>', difference: 'only with a kernel' },
  { flags: '-p, --params <params>', difference: '`--params` is understood too; the last one counts' },
  { flags: '-f, --firmware <firmware>', difference: '' },
  { flags: '-F, --flash <file>', difference: 'also with `--machine virt`' },
  {
    flags: '-n, --network <network params>',
    difference:
      '`none` unless given; `mode=none`, or `mode=user` with `guest_mac=`. Not `tap`, nor what belongs to it (`script`, `downscript`, `tapif`, `vhost`, `fd`, `mq`), nor `guest_ip` and `host_ip` (10.0.2.15 and 10.0.2.2), nor `trans` (`--virtio-transport`)',
  },
  { flags: '--no-dhcp', refusal: 'v8a adds no ip=dhcp to the command line; leave it out' },
  {
    flags: '--vfio-pci <[domain:]bus:dev.fn>',
    refusal: 'a device of the host cannot be handed to a guest; use a virtio device: --disk, --network, --9p',
  },
  { flags: '--debug', refusal: 'kvmtool has replaced it; use --loglevel debug' },
  {
    flags: '--debug-single-step',
    refusal: 'KVM is not there to step; use --trace exceptions, or a debugger in the guest',
  },
  { flags: '--debug-ioport', refusal: 'the window to I/O ports is memory like others; use --debug-mmio' },
  { flags: '--debug-mmio', difference: 'also reports the other `guest-errors` of `--trace`' },
  { flags: '--debug-iodelay <ms>', refusal: 'accesses to devices are not delayed; leave it out' },
  { flags: '--aarch32', refusal: 'the CPUs have no AArch32; run an arm64 guest' },
  { flags: '--pmu', refusal: 'the CPUs have performance monitors anyway; leave it out' },
  { flags: '--disable-mte', refusal: 'the CPUs have no memory tagging; leave it out' },
  {
    flags: '--vcpu-affinity <cpulist>',
    refusal: 'the CPUs take turns on one thread; bind the process instead, with taskset',
  },
  {
    flags: '--kaslr-seed <seed>',
    difference: 'without one the device tree has none, where kvmtool’s says 0',
  },
  { flags: '--no-pvtime', refusal: 'the guest is told of no stolen time; leave it out' },
  { flags: '--sve-max-vl <vector length>', refusal: 'the CPUs have no SVE; leave it out' },
  { flags: '--dump-dtb <.dtb file>', difference: 'ends then, and needs no kernel' },
  {
    flags: '--override-bad-firmware-cntfrq <frequency>',
    refusal: 'the frequency of the timers is the machine’s own and right; leave it out',
  },
  { flags: '--force-pci', refusal: 'kvmtool has replaced it; use --virtio-transport pci' },
  { flags: '--irqchip <gicv2|gicv2m|gicv3|gicv3-its>', difference: '' },
  { flags: '--firmware-address <address>', difference: '' },
  { flags: '--psci', refusal: 'PSCI calls are always answered by the machine itself; leave it out' },
  {
    flags: '--counter-offset <offset>',
    refusal: 'the counter starts at 0 and cannot be moved; leave it out',
  },
  {
    flags: '--nested',
    difference: 'without stage 2, so a hypervisor starts and its guests see physical addresses',
  },
  {
    flags: '--e2h0',
    refusal: 'whether EL2 has FEAT_VHE is the CPU’s: use --nested with --cpu cortex-a57, which lacks it',
  },
  { flags: '--protected', refusal: 'RAM cannot be hidden from the host; leave it out' },
];

/** Commands of kvmtool that v8a does not have: why, and what to do instead. */
export const LKVM_COMMANDS: Readonly<Record<string, string>> = {
  setup: 'v8a makes no root file systems; give a disk image or a folder with run --disk or --9p',
  list: 'v8a keeps no list of guests, a guest is its process; use ps',
  pause: 'a guest is its process, and v8a has no line to it; stop the process with kill -STOP',
  resume: 'a guest is its process, and v8a has no line to it; let the process go on with kill -CONT',
  stop: 'a guest is its process; type Ctrl-A x there, or end it with kill',
  stat: 'v8a has no line to a guest; use run --stats, which counts until its end',
  debug: 'v8a has no line to a guest; use run --trace, or a debugger in the guest',
  balloon: 'there is no balloon device; give the guest the RAM it may have with run --mem',
  sandbox: 'no command is run in the guest by itself; type it with run --expect and --send',
  version: 'use v8a --version',
};

/** Why v8a does not have the command, and what to do instead; undefined unless it is one of kvmtool's. */
export function refusedLkvmCommand(name: string): string | undefined {
  return Object.hasOwn(LKVM_COMMANDS, name) ? LKVM_COMMANDS[name] : undefined;
}

/** The long name in `flags`: `--kernel`. */
export function longName({ flags }: { readonly flags: string }): string {
  return /--[\w-]+/.exec(flags)![0];
}

/** Why `v8a run` does not have the option, and what to do instead; undefined unless it is one of `lkvm run`. */
export function refusedLkvmOption(name: string): string | undefined {
  const found = LKVM_RUN_OPTIONS.find((option) => longName(option) === name);
  return found && 'refusal' in found ? found.refusal : undefined;
}
