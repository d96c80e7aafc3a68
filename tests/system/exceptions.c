/* Exceptions: classes, syndromes, what is saved and restored, EL0's privileges, alignment of SP, PC and data. */
#include "guest.h"

/* QEMU's `max` has 52 bits of physical address. */
#ifdef CPU_MAX
#define MAX_ADDRESS "~"
#else
#define MAX_ADDRESS ""
#endif

#define UMA (1ul << 9)
#define DZE (1ul << 14)
#define UCT (1ul << 15)
#define NTWI (1ul << 16)
#define NTWE (1ul << 18)
#define UCI (1ul << 26)
#define A (1ul << 1)
#define SA (1ul << 3)
#define SA0 (1ul << 4)

static u64 data[64] __attribute__((aligned(64)));
static u64 stack[64] __attribute__((aligned(64)));

void on_irq(u64 vector) {
  print_hex(vector);
  print(" unexpected interrupt\n");
  power_off();
}

/*
 * As a host's program: QEMU 7.2 lets its EL0 reach DAIF by a bit that SCTLR_EL2 hasn't, and asks SCTLR_EL1 whether its
 * WFI is trapped.
 */
#ifdef HOST
#define HOST_QUIRK "~"
#else
#define HOST_QUIRK ""
#endif

#define BOTH(name) {#name, op_##name}
#define BOTH_QUIRK(name) {HOST_QUIRK #name, op_##name}
static const struct { const char *name; op *operation; } OPERATIONS[] = {
    BOTH(svc), BOTH(brk), BOTH(hlt), BOTH(udf), BOTH(unallocated),
    BOTH(write_currentel), BOTH(write_midr),
    BOTH(read_unknown), BOTH(write_unknown), BOTH(read_vbar_el2), BOTH(sys_unknown), BOTH(sysl), BOTH(pan),
};
static const struct { const char *name; op *operation; } EL0_OPERATIONS[] = {
    BOTH(hvc), BOTH(smc), BOTH(eret), BOTH(read_sctlr), BOTH(read_ttbr0), BOTH(write_sctlr), BOTH(read_currentel), BOTH(spsel), BOTH(read_spsel),
    BOTH(read_midr), BOTH(tlbi), BOTH(iallu), BOTH(at), BOTH(ivac), BOTH(read_sp_el0), BOTH(read_icc_iar),
    BOTH(write_tpidrro), BOTH(read_nzcv), BOTH(write_nzcv), BOTH(read_tpidr), BOTH(write_cntfrq),
};
/* Trapped unless a bit of SCTLR_EL1, CNTKCTL_EL1 or CPACR_EL1 lets EL0 in. */
static const struct { const char *name; op *operation; } TRAPPED[] = {
    BOTH_QUIRK(read_daif), BOTH_QUIRK(write_daif), BOTH(read_ctr), BOTH(zva), BOTH(cvau), BOTH(civac), BOTH(ivau),
    BOTH(read_cntvct), BOTH(read_cntpct), BOTH(read_cntfrq), BOTH(read_cntv_ctl), BOTH(write_cntv_cval), BOTH(read_cntp_ctl),
};

static void classes(void) {
  print("EL1\n");
  for (u32 i = 0; i < ARRAY_LENGTH(OPERATIONS); i++) try_el1(OPERATIONS[i].name, OPERATIONS[i].operation, 0, 0);
  try_el1("read_sp_el0", op_read_sp_el0, 0, 0);
  print("EL0\n");
  for (u32 i = 0; i < ARRAY_LENGTH(OPERATIONS); i++) try_el0(OPERATIONS[i].name, OPERATIONS[i].operation, 0, 0);
  for (u32 i = 0; i < ARRAY_LENGTH(EL0_OPERATIONS); i++)
    try_el0(EL0_OPERATIONS[i].name, EL0_OPERATIONS[i].operation, EL0_OPS, 0);
}

static void quiet_el0(const char *name, op *operation, u64 address) {
  taken.count = 0;
  el0_call(EL0(operation), address, 0, EL0T, EL0(op_exit), 0);
  if (taken.esr == 0x560000e0) taken.count = 0;
  report(name, EL0(operation), 0);
}

static void traps(void) {
  u64 sctlr = READ(sctlr_el1);
  static const u64 bits[] = {0, UMA, UCT, DZE, UCI};
  static const u64 counters[] = {0, 1, 2, 0x100, 0x200};
  for (u32 i = 0; i < ARRAY_LENGTH(bits); i++) {
    WRITE(sctlr_el1, (sctlr & ~(UMA | UCT | DZE | UCI)) | bits[i]);
    WRITE(cntkctl_el1, counters[i]);
    print("SCTLR ");
    print_hex(bits[i]);
    print(" CNTKCTL ");
    print_hex(counters[i]);
    print("\n");
    for (u32 k = 0; k < ARRAY_LENGTH(TRAPPED); k++) quiet_el0(TRAPPED[k].name, TRAPPED[k].operation, EL0_OPS);
    /* QEMU 7.2 puts op1 and op2 the wrong way round into the syndrome. */
    quiet_el0(bits[i] == UMA && !*HOST_QUIRK ? "daifset" : "~daifset", op_daifset, 0);
    quiet_el0(bits[i] == UMA && !*HOST_QUIRK ? "daifclr" : "~daifclr", op_daifclr, 0);
    taken.count = 0;
    print("DZP ");
    print_hex(el0_call(EL0(op_read_dczid), 0, 0, EL0T, EL0(op_exit), 0) >> 4);
    print("\n");
  }
  WRITE(sctlr_el1, sctlr & ~(NTWI | NTWE));
  print("WFx\n");
#ifndef HOST
  quiet_el0("wfi", op_wfi, 0);
#endif
  /* QEMU 7.2 doesn't trap WFE. ERET set the event register: the first one doesn't wait. */
  quiet_el0("wfe", op_wfe, 0);
  WRITE(cntkctl_el1, 0);
  WRITE(sctlr_el1, sctlr);
}

static void floating_point(void) {
  for (u64 fpen = 0; fpen < 4; fpen++) {
    WRITE(cpacr_el1, fpen << 20);
    print("FPEN ");
    print_decimal(fpen);
    print("\n");
    try_el1("fmov", op_fmov, 0, 0);
    try_el1("ldr q", op_ldrq, (u64)data, 0);
    try_el1("mrs fpcr", op_read_fpcr, 0, 0);
    try_el1("msr fpsr", op_write_fpsr, 0, 0);
    try_el1("ld1", op_ld1, (u64)data, 0);
    try_el0("fmov EL0", op_fmov, 0, 0);
    try_el0("mrs fpcr EL0", op_read_fpcr, 0, 0);
    try_el0("msr fpsr EL0", op_write_fpsr, 0, 0);
    try_el0("str q EL0", op_strq, EL0_OPS, 0);
    try_el0("unallocated EL0", op_unallocated, EL0_OPS, 0);
  }
  WRITE(cpacr_el1, 3ul << 20);
}

static void data_alignment(void) {
  u64 sctlr = READ(sctlr_el1);
  for (u32 a = 0; a < 2; a++) {
    WRITE(sctlr_el1, a ? sctlr | A : sctlr);
    for (u64 offset = 0; offset < 10; offset += offset == 2 ? 2 : offset == 4 ? 4 : 1) {
      u64 at = (u64)data + offset;
      for (u32 i = 0; i < 8; i++) data[i] = 0x0102030405060708ul * (i + 1);
      print(a ? "SCTLR.A, offset " : "offset ");
      print_decimal(offset);
      print("\n");
      try_el1("ldr", op_ldr, at, 0);
      try_el1("ldrb", op_ldrb, at, 0);
      try_el1("ldrw", op_ldrw, at, 0);
      try_el1("str", op_str, at, 0x1122334455667788);
      try_el1("ldp", op_ldp, at, 0);
      try_el1("stp", op_stp, at, 0x99);
      try_el1("ldtr", op_ldtr, at, 0);
      try_el1("ldr q", op_ldrq, at, 0);
      try_el1("str q", op_strq, at, 0);
      try_el1("ldp q", op_ldpq, at, 0);
      try_el1("stp q", op_stpq, at, 0);
      try_el1("ld1.4s", op_ld1, at, 0);
      try_el1("prfm", op_prfm, at, 0);
      try_el1("zva", op_zva, at, 0);
      /* Whatever SCTLR.A says. */
      try_el1("ldxr", op_ldxr, at, 0);
      try_el1("ldxp", op_ldxp, at, 0);
      try_el1("ldaxrh", op_ldaxrh, at, 0);
      try_el1("ldar", op_ldar, at, 0);
      try_el1("stlr", op_stlr, at, 5);
    }
  }
  WRITE(sctlr_el1, sctlr);
}

static void stack_alignment(void) {
  static const struct { const char *name; op *operation; } uses[] = {
      BOTH(sp_ldr), BOTH(sp_str), BOTH(sp_ldp), BOTH(sp_ldxr), BOTH(sp_ldar), BOTH(sp_prfm), BOTH(sp_ldrq),
      BOTH(sp_ld1), BOTH(sp_ldur), BOTH(sp_ldr_register),
  };
  static const u64 checks[] = {0, SA, SA0, SA | SA0};
  u64 sctlr = READ(sctlr_el1);
  for (u32 i = 0; i < ARRAY_LENGTH(checks); i++) {
    WRITE(sctlr_el1, (sctlr & ~(SA | SA0)) | checks[i]);
    for (u64 offset = 0; offset < 17; offset += 8) {
      /* QEMU 7.2 doesn't check the alignment of SP. */
      const char *unmodelled = offset % 16 ? "~" : "";
      print("SA bits ");
      print_hex(checks[i]);
      print(" SP + ");
      print_decimal(offset);
      print("\n");
      for (u32 k = 0; k < ARRAY_LENGTH(uses); k++) {
        stack[0] = 1;
        /* EL1t. */
        taken.count = 0;
        asm volatile(
            "adr x9, 1f; str x9, %[resume]; mov x10, sp; msr sp_el0, %[sp]; msr spsel, #0; mov x9, %[pc]; mov x11, #0;"
            "blr x9; mov x11, #1; 1: msr spsel, #1; mov sp, x10; cbz x11, 2f; 2:"
            : [resume] "=Q"(taken.resume)
            : [sp] "r"((u64)stack + 128 + offset), [pc] "r"(uses[k].operation)
            : "x0", "x1", "x2", "x9", "x10", "x11", "x30", "memory");
        taken.resume = 0;
        print(unmodelled);
        report(uses[k].name, (u64)uses[k].operation, 0);
      }
      for (u32 k = 0; k < ARRAY_LENGTH(uses); k++) {
        if (k == 1) continue;
        taken.count = 0;
        el0_call(EL0(uses[k].operation), 0, EL0_OPS + offset, EL0T, EL0(op_exit), 0);
        if (taken.esr == 0x560000e0) taken.count = 0;
        print(unmodelled);
        print("EL0 ");
        report(uses[k].name, EL0(uses[k].operation), 0);
      }
    }
  }
  WRITE(sctlr_el1, sctlr);
}

static void try_return(const char *name, u64 pc, u64 spsr) {
  taken.count = 0;
  taken.resume = 0;
  u64 result = 0;
  asm volatile(
      "adr x9, 1f; str x9, %[resume]; mov x10, sp; msr elr_el1, %[pc]; msr spsr_el1, %[spsr]; mov x0, #0; eret;"
      "1: msr spsel, #1; mov sp, x10; msr daifset, #15"
      : [resume] "=Q"(taken.resume)
      : [pc] "r"(pc), [spsr] "r"(spsr)
      : "x0", "x1", "x9", "x10", "memory", "cc");
  taken.resume = 0;
  report(name, pc, result);
  print("  SPSR ");
  print_hex(taken.spsr);
  print("\n");
}

static void returns(void) {
  static const struct { const char *name; u64 spsr; } modes[] = {
      {"EL1h", EL1H}, {"EL1t", EL1T}, {"NZCV", EL1H | 0xa0000000}, {"no masks", 5}, {"D only", 0x205}, {"A", 0x105},
      {"FI", 0xc5}, {"IL", EL1H | (1 << 20)}, {"NZCV IL", 0x50000000 | EL1H | (1 << 20)}, {"reserved 2", EL1H ^ 7}, {"EL1 M=6", 0x3c6},
      {"EL1 M=7", 0x3c7}, {"EL2h", 0x3c9}, {"EL2t", 0x3c8}, {"EL3h", 0x3cd}, {"EL0h", 0x3c1},
      {"AArch32 User", 0x1d0}, {"AArch32 Supervisor", 0x1d3}, {"illegal, NZCV and no masks", 0xf0000009},
      {"SS", EL1H | (1 << 21)}, {"reserved bits", EL1H | (1ul << 24) | (1ul << 27)},
  };
  for (u32 i = 0; i < ARRAY_LENGTH(modes); i++) {
    /* The Cortex-A57 has AArch32 at EL0; we don't. */
    if (modes[i].spsr == 0x1d0) continue;
    try_return(modes[i].name, (u64)op_svc, modes[i].spsr);
  }
  try_return("misaligned", (u64)op_svc + 2, EL1H);
  try_return("misaligned, illegal", (u64)op_svc + 1, EL1H | 8);
  try_return("illegal, nothing there", 0x0b000000, EL1H | 8);
  try_return("nothing there", 0x0b000000, EL1H);
  try_return("unmapped, IL", 0x1000000000, EL1H | (1 << 20));
  try_return("brk", (u64)op_brk, EL1H | 0xf0000000);
  taken.count = 0;
  guarded_call((u64)op_svc + 2, 0);
  report("br misaligned", (u64)op_svc + 2, 0);
  for (u64 spsr = 0; spsr < 16; spsr++) {
    taken.count = 0;
    el0_call(EL0(op_svc), 0, 0x1230, (spsr << 28) | ((spsr ^ 5) << 6), 0, 0);
    print("EL0 SPSR ");
    print_hex(taken.spsr);
    print(" SP_EL0 ");
    print_hex(taken.sp_el0);
    print(" DAIF ");
    print_hex(READ(daif));
    print(" ");
    report("", EL0(op_svc), 0);
  }
  taken.count = 0;
  el0_call(EL0_OPS + 2, 0, 0, EL0T, 0, 0);
  report("EL0 misaligned", EL0_OPS, 0);
  taken.count = 0;
  el0_call(0x40080000, 0, 0, EL0T, 0, 0);
  report("EL0 kernel page", EL0_OPS, 0);
  taken.count = 0;
  el0_call(0x7000000000, 0, 0, EL0T, 0, 0);
  report("EL0 unmapped", EL0_OPS, 0);
}

static void process_state(void) {
  for (u64 nzcv = 0; nzcv < 16; nzcv++) {
    u64 after, inside;
    taken.count = 0;
    asm volatile("msr nzcv, %2; svc #1; mrs %0, nzcv" : "=r"(after), "=r"(inside) : "r"(nzcv << 28) : "cc", "memory");
    print_hex(after);
    print(" ");
    print_hex(taken.spsr);
    print("\n");
  }
  /* Flags of arithmetic go into SPSR and come back. */
  static const u64 pairs[][2] = {{1, 2}, {2, 1}, {5, 5}, {1ul << 63, 1}, {~0ul, ~0ul}, {~0ul >> 1, ~0ul}};
  for (u32 i = 0; i < ARRAY_LENGTH(pairs); i++) {
    u64 a = pairs[i][0], b = pairs[i][1], f[6];
#define FLAGS(n, instruction)                                                                                          \
  asm volatile(instruction "; svc #2; mrs %0, nzcv" : "=r"(f[n]) : "r"(a), "r"(b) : "cc", "memory");                    \
  print(" " #n " ");                                                                                                   \
  print_hex(taken.spsr >> 28);                                                                                         \
  print(f[n] == (taken.spsr & 0xf0000000) ? "" : " lost")
    FLAGS(0, "subs xzr, %1, %2");
    FLAGS(1, "adds xzr, %1, %2");
    FLAGS(2, "subs wzr, %w1, %w2");
    FLAGS(3, "adds wzr, %w1, %w2");
    FLAGS(4, "ands xzr, %1, %2");
    FLAGS(5, "bics wzr, %w1, %w2");
    FLAGS(0, "ccmp %1, %2, #9, ne");
    FLAGS(1, "adds xzr, %1, %2; sbcs xzr, %1, %2");
    print("\n");
  }
  for (u64 daif = 0; daif < 16; daif++) {
    WRITE(daif, daif << 6);
    u64 now = READ(daif);
    asm volatile("svc #3" ::: "memory");
    print_hex(now);
    print(" ");
    print_hex(taken.spsr & 0x3c0);
    print(" ");
    print_hex(READ(daif));
    asm volatile("msr daifset, #6");
    print(" ");
    print_hex(READ(daif));
    asm volatile("msr daifclr, #12");
    print(" ");
    print_hex(READ(daif));
    print("\n");
    WRITE(daif, 0x3c0);
  }
  u64 selected, value;
  asm volatile("msr spsel, #0; mrs %0, spsel; msr spsel, #1; mrs %1, spsel" : "=&r"(selected), "=&r"(value)::"memory");
  print("SPSel ");
  print_hex(selected);
  print_hex(value);
  asm volatile("msr spsel, %2; mrs %0, spsel; msr spsel, %3; mrs %1, spsel" : "=&r"(selected), "=&r"(value) : "r"(0xff0ul), "r"(~0ul) : "memory");
  print_hex(selected);
  print_hex(value);
  /* SP_EL0 can't be named while it is the stack pointer. */
  taken.count = 0;
  asm volatile("msr sp_el0, %1; msr spsel, #0; mov %0, sp; mrs x9, sp_el0; msr spsel, #1" : "=&r"(value) : "r"(0x4321ul) : "x9", "memory");
  print(" ");
  print_hex(value);
  print(" ");
  print_hex(taken.vector);
  print(" ");
  print_hex(taken.esr);
  print("\n");
}

/* Translation off: everything is Device memory, which QEMU 7.2 doesn't check alignment for. */
static void mmu_off(void) {
  u64 sctlr = READ(sctlr_el1);
  asm volatile("msr sctlr_el1, %0; isb" ::"r"(sctlr & ~1ul) : "memory");
  print("MMU off\n");
  try_el1("ldr", op_ldr, (u64)data, 0);
  try_el1("~ldr.u", op_ldr, (u64)data + 1, 0);
  try_el1("~str.u", op_str, (u64)data + 4, 0);
  try_el1("~ldp.u", op_ldp, (u64)data + 4, 0);
  try_el1("ldp", op_ldp, (u64)data + 8, 0);
  try_el1("ldxr", op_ldxr, (u64)data + 8, 0);
  try_el1("~zva", op_zva, (u64)data, 0);
  try_el1("nothing there", op_ldr, 0x0b000000, 0);
  /* Beyond the physical addresses, where both have 44 bits of them. */
  if ((READ(id_aa64mmfr0_el1) & 15) == 4) {
    try_el1(MAX_ADDRESS "too high", op_ldr, 1ul << 45, 0);
    try_el1(MAX_ADDRESS "too high by far", op_str, 1ul << 63, 0);
    try_el1(MAX_ADDRESS "ldxr too high", op_ldxr, 1ul << 44, 0);
    taken.count = 0;
    guarded_call(1ul << 50, 0);
    report(MAX_ADDRESS "fetch too high", 1ul << 50, 0);
  }
  u64 par;
  asm volatile("at s1e1r, %1; isb; mrs %0, par_el1" : "=r"(par) : "r"(0x40000000));
  print("~PAR ");
  print_hex(par & ~(1ul << 9));
  print("\n");
  asm volatile("msr sctlr_el1, %0; isb" ::"r"(sctlr) : "memory");
}

static void vector_base(void) {
  u64 vbar = READ(vbar_el1);
  print("VBAR ");
  WRITE(vbar_el1, ~0ul);
  print_hex(READ(vbar_el1) & ~0x7fful);
  WRITE(vbar_el1, vbar);
  print("\n");
}

int main(void) {
  map_ops_for_el0();
  classes();
  traps();
  floating_point();
  data_alignment();
  stack_alignment();
  returns();
  process_state();
  mmu_off();
  vector_base();
  print("done\n");
  return 0;
}
