/*
 * EL2: exceptions to it and from it, what it traps, interrupts by level, its translation regime, its timer.
 * The program runs at EL2. Operations below it run with their translation off, so at their physical addresses.
 */
#include "levels.h"

static volatile u32 interrupts;
static void clear_pending(void);
void on_irq(u64 vector) {
  interrupts++;
  print(" EL2 vector ");
  print_hex(vector * 0x80);
  clear_pending();
}

static void set_hcr(u64 bits) {
  WRITE(hcr_el2, RW | bits);
  asm volatile("tlbi alle1; dsb sy; isb" ::: "memory");
}

/* ---- what EL2 is */

static void identification(void) {
  print("CurrentEL ");
  print_hex(READ(currentel));
  print(" DAIF ");
  print_hex(READ(daif));
  print(" SPSel ");
  print_hex(READ(spsel));
  print(" EL2 is there ");
  print_decimal((READ(id_aa64pfr0_el1) >> 8 & 15) != 0);
  print("\nVPIDR ");
  print_decimal(READ(vpidr_el2) == READ(midr_el1));
  print(" VMPIDR ");
  print_decimal(READ(vmpidr_el2) == READ(mpidr_el1));
  print("\n");
  WRITE(vpidr_el2, 0x1234567);
  WRITE(vmpidr_el2, 0x80000123);
  below("EL1 MIDR", MRS(3, 0, 0, 0, 0), EL1H, 0, 0);
  below("EL1 MPIDR", MRS(3, 0, 0, 0, 5), EL1H, 0, 0);
  print("EL2 MPIDR ");
  print_hex(READ(mpidr_el1));
  print("\n");
  WRITE(vpidr_el2, READ(midr_el1));
  WRITE(vmpidr_el2, READ(mpidr_el1));
}

/* What is written to registers of EL2 and comes back, of the bits that are alike everywhere. */
static void storage(void) {
#define KEEPS(name, mask)                         \
  do {                                            \
    u64 before = READ(name);                      \
    WRITE(name, mask);                            \
    u64 ones = READ(name) & (mask);               \
    WRITE(name, 0);                               \
    u64 zeros = READ(name) & (mask);              \
    WRITE(name, before);                          \
    print(#name " ");                             \
    print_hex(ones);                              \
    print(" ");                                   \
    print_hex(zeros);                             \
    print("\n");                                  \
  } while (0)
  KEEPS(hcr_el2, 0x37fffd5ful & ~(1ul << 27));
  KEEPS(mdcr_el2, 0xf00);
  KEEPS(cptr_el2, 0x80000400);
  KEEPS(vttbr_el2, ~0ul << 48 | 0xfffffffff000);
  KEEPS(vtcr_el2, 0x7ffff);
  KEEPS(esr_el2, 0xffffffff);
  KEEPS(far_el2, ~0ul);
  KEEPS(hpfar_el2, 0xfffffff0);
  KEEPS(elr_el2, ~0ul);
  KEEPS(spsr_el2, 0xf01003cf);
  KEEPS(vbar_el2, ~0x7fful);
  KEEPS(tpidr_el2, ~0ul);
  KEEPS(cntvoff_el2, ~0ul);
  KEEPS(cnthctl_el2, 0xff);
  KEEPS(cnthp_cval_el2, ~0ul);
  KEEPS(vpidr_el2, 0xffffffff);
  KEEPS(vmpidr_el2, 0xff00fffffful);
  KEEPS(sp_el1, ~0ul);
  KEEPS(sp_el0, ~0ul);
  KEEPS(elr_el1, ~0ul);
  KEEPS(sctlr_el1, 0x04000205ul);
  /* Where there is neither EL3 nor a need for them. */
  here("rvbar_el2", MRS(3, 4, 12, 0, 1), 0, 0);
  here("rvbar_el1", MRS(3, 0, 12, 0, 1), 0, 0);
  here("scr_el3", MRS(3, 6, 1, 1, 0), 0, 0);
  here("sp_el2", MRS(3, 6, 4, 1, 0), 0, 0);
  here("write rvbar_el2", MSR(3, 4, 12, 0, 1), 0, 0);
}

/* ---- exceptions by level */

static const struct { const char *name; u32 word; } CLASSES[] = {
    {"svc", SVC(0x1234)}, {"hvc", HVC(0x5678)}, {"brk", BRK(0x9abc)}, {"udf", 0x0000beef},
    {"unallocated", 0xffffffff}, {"hlt", 0xd4400020}, {"mrs vbar_el2", MRS(3, 4, 12, 0, 0)}, {"msr vbar_el2", MSR(3, 4, 12, 0, 0)},
    {"mrs hcr_el2", MRS(3, 4, 1, 1, 0)}, {"tlbi alle2", SYS(4, 8, 7, 0)}, {"tlbi alle1", SYS(4, 8, 7, 4)},
    {"tlbi vmalls12e1is", SYS(4, 8, 3, 6)}, {"tlbi ipas2e1", SYS(4, 8, 4, 1)}, {"tlbi ipas2le1is", SYS(4, 8, 0, 5)},
    {"tlbi vae2", SYS(4, 8, 7, 1)}, {"tlbi vale2is", SYS(4, 8, 3, 5)}, {"at s1e2r", SYS(4, 7, 8, 0)}, {"at s12e1r", SYS(4, 7, 8, 4)},
    {"mrs vbar_el1", MRS(3, 0, 12, 0, 0)}, {"mrs currentel", MRS(3, 0, 4, 2, 2)}, {"mrs spsel", MRS(3, 0, 4, 2, 0)},
    {"mrs sp_el1", MRS(3, 4, 4, 1, 0)}, {"mrs esr_el1", MRS(3, 0, 5, 2, 0)}, {"ldr unmapped", 0xf9400000},
    {"mrs vbar_el12", MRS(3, 5, 12, 0, 0)}, {"br", 0xd61f0000},
};

static void classes(const char *title, u64 hcr, u64 spsr) {
  print(title);
  print("\n");
  set_hcr(hcr);
  /* Above the physical addresses that there are. */
  const u64 address = 1ul << 45;
  for (u32 i = 0; i < ARRAY_LENGTH(CLASSES); i++) {
    u32 word = CLASSES[i].word;
    /* VBAR_EL2's value; the address to branch to or load from. */
    u64 x1 = word == MSR(3, 4, 12, 0, 0) ? (u64)vectors : 0;
    if (spsr == EL2H) {
      if (word == 0xd61f0000 || word == 0xf9400000) continue;
      here(CLASSES[i].name, word, address, x1);
    } else {
      below(CLASSES[i].name, word, spsr, word == 0xd61f0000 ? (u64)code + 2 : address, x1);
    }
  }
  set_hcr(0);
}

static void calls(void) {
  for (u32 tge = 0; tge < 2; tge++)
    for (u32 spsr = EL0T; spsr <= EL1H; spsr++) {
      if (tge && spsr != EL0T) continue;
      if (spsr != EL0T && spsr < EL1T) continue;
      print("SPSR ");
      print_hex(spsr);
      print(tge ? " TGE\n" : "\n");
      set_hcr((tge ? TGE : 0) | TSC);
      below("smc, TSC", SMC(0x321), spsr, 0x84000000, 0);
      set_hcr(tge ? TGE : 0);
      below("hvc", HVC(0x321), spsr, 0, 0);
      below("smc", SMC(0), spsr, 0x84000000, 0);
      use_vectors(SMC(0));
      set_hcr((tge ? TGE : 0) | TSC | HCD);
      below("hvc, HCD", HVC(0x321), spsr, 0, 0);
      use_vectors(HVC(0));
    }
  set_hcr(0);
  here("hvc here", HVC(0x11), 0, 0);
  set_hcr(HCD);
  here("hvc here, HCD", HVC(0x11), 0, 0);
  set_hcr(TSC);
  here("smc here, TSC", SMC(0), 0x84000000, 0);
  set_hcr(0);
  /* All registers of the masks, at both levels. */
  for (u64 spsr = 0; spsr < 16; spsr++) {
    print("flags and masks");
    below(" EL1", HVC(7), spsr << 28 | (spsr ^ 10) << 6 | 5, 0, 0);
    print("flags and masks");
    below(" EL0", SVC(7), spsr << 28 | (spsr ^ 10) << 6, 0, 0);
  }
}

/* ---- traps
 *
 * QEMU 7.2 lets EL0 read CNTPCT_EL0 by EL1PCEN instead of EL1PCTEN, and doesn't fault for DC ZVA on Device memory.
 */

#define RWOP(name, ...) {"read " name, MRS(__VA_ARGS__)}, {"write " name, MSR(__VA_ARGS__)}
#define RO(name, ...) {"read " name, MRS(__VA_ARGS__)}
static const struct { const char *name; u32 word; } TRAPPABLE[] = {
    RWOP("sctlr", 3, 0, 1, 0, 0), RWOP("ttbr0", 3, 0, 2, 0, 0), RWOP("ttbr1", 3, 0, 2, 0, 1), RWOP("tcr", 3, 0, 2, 0, 2),
    RWOP("esr", 3, 0, 5, 2, 0), RWOP("far", 3, 0, 6, 0, 0), RWOP("afsr0", 3, 0, 5, 1, 0), RWOP("afsr1", 3, 0, 5, 1, 1),
    RWOP("mair", 3, 0, 10, 2, 0), RWOP("amair", 3, 0, 10, 3, 0), RWOP("contextidr", 3, 0, 13, 0, 1),
    RWOP("actlr", 3, 0, 1, 0, 1), RWOP("cpacr", 3, 0, 1, 0, 2), RWOP("vbar", 3, 0, 12, 0, 0), RWOP("par", 3, 0, 7, 4, 0),
    RWOP("elr", 3, 0, 4, 0, 1), RWOP("tpidr", 3, 0, 13, 0, 4), RWOP("tpidr_el0", 3, 3, 13, 0, 2),
    RO("midr", 3, 0, 0, 0, 0), RO("revidr", 3, 0, 0, 0, 6), RO("aidr", 3, 1, 0, 0, 7), RO("clidr", 3, 1, 0, 0, 1),
    RO("ccsidr", 3, 1, 0, 0, 0), RWOP("csselr", 3, 2, 0, 0, 0), RO("ctr", 3, 3, 0, 0, 1), RO("dczid", 3, 3, 0, 0, 7),
    RO("pfr0", 3, 0, 0, 4, 0), RO("isar0", 3, 0, 0, 6, 0), RO("mmfr1", 3, 0, 0, 7, 1), RO("id_isar0", 3, 0, 0, 2, 0),
    RO("mvfr0", 3, 0, 0, 3, 0), RO("reserved id", 3, 0, 0, 4, 2), RO("reserved id 2", 3, 0, 0, 7, 7),
    {"dc isw", SYS(0, 7, 6, 2)}, {"dc csw", SYS(0, 7, 10, 2)}, {"dc cisw", SYS(0, 7, 14, 2)}, {"dc ivac", SYS(0, 7, 6, 1)},
    {"dc cvac", SYS(3, 7, 10, 1)}, {"dc civac", SYS(3, 7, 14, 1)}, {"dc cvau", SYS(3, 7, 11, 1)}, {"ic ivau", SYS(3, 7, 5, 1)},
    {"ic iallu", SYS(0, 7, 5, 0)}, {"ic ialluis", SYS(0, 7, 1, 0)}, {"dc zva", SYS(3, 7, 4, 1)}, {"at s1e1r", SYS(0, 7, 8, 0)},
    {"tlbi vmalle1", SYS(0, 8, 7, 0)}, {"tlbi vae1", SYS(0, 8, 7, 1)}, {"tlbi aside1is", SYS(0, 8, 3, 2)},
    {"tlbi vaae1is", SYS(0, 8, 3, 3)}, {"tlbi vale1", SYS(0, 8, 7, 5)}, {"tlbi vaale1is", SYS(0, 8, 3, 7)},
    {"fmov", FMOV_X3_D0}, {"read fpcr", MRS(3, 3, 4, 4, 0)},
    RO("cntpct", 3, 3, 14, 0, 1), RO("cntvct", 3, 3, 14, 0, 2), RO("cntfrq", 3, 3, 14, 0, 0), RWOP("cntp_ctl", 3, 3, 14, 2, 1),
    RWOP("cntp_cval", 3, 3, 14, 2, 2), RO("cntp_tval", 3, 3, 14, 2, 0), RWOP("cntv_ctl", 3, 3, 14, 3, 1), RWOP("cntkctl", 3, 0, 14, 1, 0),
    RWOP("mdscr", 2, 0, 0, 2, 2), {"write oslar", MSR(2, 0, 1, 0, 4)}, RO("oslsr", 2, 0, 1, 1, 4), RO("osdlr", 2, 0, 1, 3, 4),
    RO("mdrar", 2, 0, 1, 0, 0), RWOP("dbgbvr0", 2, 0, 0, 0, 4), RO("dbgwcr1", 2, 0, 0, 1, 7), RO("mdccsr", 2, 3, 0, 1, 0),
    {"brk", BRK(3)}, {"mrs daif", MRS(3, 3, 4, 2, 1)},
};

#define READ_CNTPCT MRS(3, 3, 14, 0, 1)
#define ZVA SYS(3, 7, 4, 1)

static u32 differs(u32 i, u64 spsr) {
  u64 value = 0;
  u32 word = TRAPPABLE[i].word;
  if (word == READ_CNTPCT && spsr == EL0T) return 0;
  /* Writes keep the register as it is. */
  if (IS_MSR(word) && word != MSR(2, 0, 1, 0, 4)) value = run_here(word | 1 << 21, 0, 0);
  if (word >> 19 == 0xd5080000 >> 19) value = (u64)data;
  run_below(word, spsr, 0, value);
  if (word == ZVA && ((is_from_vector() ? READ(esr_el1) : taken.esr) & ~(1ul << 26)) == 0x92000061) return 0;
  return !is_quiet();
}

static u8 baseline[ARRAY_LENGTH(TRAPPABLE)];

/* What is another outcome than with nothing trapped. */
static void trapped(const char *what, u32 bit, u64 spsr) {
  print(what);
  print(" ");
  print_decimal(bit);
  print(spsr == EL0T ? " EL0:" : " EL1:");
  for (u32 i = 0; i < ARRAY_LENGTH(TRAPPABLE); i++) {
    u32 now = differs(i, spsr);
    if (now == baseline[i] && !(now && !is_from_vector())) continue;
    print(" ");
    print(TRAPPABLE[i].name);
    if (now) {
      print(is_from_vector() ? "(1:" : "(");
      print_hex(is_from_vector() ? READ(esr_el1) : taken.esr);
      print(")");
    }
  }
  print("\n");
}

static void take_baseline(u64 spsr) {
  print(spsr == EL0T ? "EL0" : "EL1");
  print(" untrapped:");
  for (u32 i = 0; i < ARRAY_LENGTH(TRAPPABLE); i++) {
    baseline[i] = (u8)differs(i, spsr);
    if (baseline[i]) continue;
    print(" ");
    print(TRAPPABLE[i].name);
  }
  print("\n");
}

static void traps(u64 spsr) {
  WRITE(sctlr_el1, SCTLR_EL1 | UCI | UCT | DZE | UMA);
  WRITE(cntkctl_el1, 0x303);
  WRITE(cpacr_el1, 3ul << 20);
  WRITE(mdcr_el2, 0);
  WRITE(cptr_el2, 0x33ff);
  WRITE(cnthctl_el2, 3);
  set_hcr(0);
  take_baseline(spsr);
  static const u8 hcr_bits[] = {0, 1, 2, 9, 10, 15, 16, 17, 18, 20, 21, 22, 23, 24, 25, 26, 28, 30};
  for (u32 i = 0; i < ARRAY_LENGTH(hcr_bits); i++) {
    /* Stage 2 isn't there. */
    if (hcr_bits[i] < 3) continue;
    set_hcr(1ul << hcr_bits[i]);
    trapped("HCR", hcr_bits[i], spsr);
  }
  set_hcr(0);
  for (u32 bit = 8; bit < 12; bit++) {
    WRITE(mdcr_el2, 1ul << bit);
    trapped("MDCR", bit, spsr);
  }
  WRITE(mdcr_el2, 0);
  WRITE(cptr_el2, 0x33ff | 1 << 10);
  trapped("CPTR", 10, spsr);
  WRITE(cptr_el2, 0x33ff | 1ul << 31);
  trapped("CPTR", 31, spsr);
  WRITE(cptr_el2, 0x33ff);
  for (u32 bits = 0; bits < 4; bits++) {
    WRITE(cnthctl_el2, bits);
    trapped("CNTHCTL", bits, spsr);
  }
  if (spsr == EL0T) {
    for (u32 on = 0; on < 2; on++) {
      WRITE(sctlr_el1, on ? SCTLR_EL1 | UCI | UCT | DZE | UMA : SCTLR_EL1);
      WRITE(cntkctl_el1, on ? 0x303 : 0);
      for (u32 fpen = 0; fpen < 4; fpen++) {
        if (on && fpen == 3) continue;
        WRITE(cpacr_el1, (u64)fpen << 20);
        WRITE(cnthctl_el2, fpen);
        set_hcr(TGE);
        trapped(on ? "TGE with EL1's permission, FPEN" : "TGE, FPEN", fpen, spsr);
        set_hcr(0x3ul << 22 | 3ul << 17);
        trapped("EL1 first, FPEN", fpen, spsr);
      }
    }
    WRITE(cnthctl_el2, 3);
    set_hcr(TGE | 0x7f67e000ul);
    WRITE(sctlr_el1, SCTLR_EL1 | UCI | UCT | DZE | UMA);
    WRITE(cntkctl_el1, 0x303);
    WRITE(cpacr_el1, 3ul << 20);
    trapped("TGE and all", 0, spsr);
  } else {
    WRITE(cpacr_el1, 0);
    WRITE(cptr_el2, 0x33ff | 1 << 10);
    below("CPACR before CPTR", FMOV_X3_D0, spsr, 0, 0);
    WRITE(cpacr_el1, 3ul << 20);
    WRITE(cptr_el2, 0x33ff);
  }
  set_hcr(0);
}

static void other_traps(void) {
  WRITE(sctlr_el1, SCTLR_EL1 | UCI | UCT | DZE);
  for (u32 bits = 0; bits < 4; bits++) {
    WRITE(cntkctl_el1, 1);
    WRITE(cnthctl_el2, bits);
    print("~CNTHCTL ");
    print_decimal(bits);
    print(" EL0 cntpct");
    run_below(READ_CNTPCT, EL0T, 0, 0);
    print_outcome((u64)(code + 1), 0);
  }
  WRITE(cnthctl_el2, 3);
  WRITE(cptr_el2, 0x33ff | 1 << 10);
  here("EL2 fmov, TFP", FMOV_X3_D0, 0, 0);
  here("EL2 fpcr, TFP", MRS(3, 3, 4, 4, 0), 0, 0);
  WRITE(cptr_el2, 0x33ff);
  here("EL2 fmov", FMOV_X3_D0, 0, 0);
  WRITE(cptr_el2, 0x33ff | 1ul << 31);
  here("EL2 cpacr, TCPAC", MRS(3, 0, 1, 0, 2), 0, 0);
  WRITE(cptr_el2, 0x33ff);
  /* Encodings of implementations. QEMU 7.2 hasn't TIDCP. */
  for (u32 on = 0; on < 2; on++) {
    set_hcr(on ? TIDCP : 0);
    print(on ? "TIDCP\n" : "no TIDCP\n");
    below(on ? "~mrs" : "mrs", MRS(3, 5, 15, 3, 2), EL1H, 0, 0);
    below(on ? "~msr" : "msr", MSR(3, 3, 11, 3, 7), EL1H, 0, 0);
    below(on ? "~sys" : "sys", SYS(3, 15, 1, 2), EL1T, 0, 0);
    below(on ? "~sysl" : "sysl", SYSL(7, 11, 15, 7), EL1T, 0, 0);
    below("sys, CRn 10", SYS(3, 10, 1, 2), EL1H, 0, 0);
    below("mrs EL0", MRS(3, 5, 15, 3, 2), EL0T, 0, 0);
    here("mrs EL2", MRS(3, 5, 15, 3, 2), 0, 0);
  }
  set_hcr(0);
  /* DCZID_EL0.DZP at each level. */
  for (u32 tdz = 0; tdz < 2; tdz++)
    for (u32 dze = 0; dze < 2; dze++) {
      set_hcr(tdz ? TDZ : 0);
      WRITE(sctlr_el1, dze ? SCTLR_EL1 | DZE : SCTLR_EL1);
      print("DZP ");
      print_decimal(run_below(MRS(3, 3, 0, 0, 7), EL0T, 0, 0) >> 4 & 1);
      print_decimal(run_below(MRS(3, 3, 0, 0, 7), EL1H, 0, 0) >> 4 & 1);
      print_decimal(READ(dczid_el0) >> 4 & 1);
      print("\n");
    }
  set_hcr(0);
  /* Waiting: at EL1 it would, were it not trapped. */
  for (u32 i = 0; i < 4; i++) {
    WRITE(sctlr_el1, i & 1 ? SCTLR_EL1 | NTWI | NTWE : SCTLR_EL1);
    set_hcr(TWI | TWE | (i & 2 ? TGE : 0));
    print(i & 1 ? "nTWx " : "");
    below(i & 2 ? "TGE EL0 wfi" : "EL0 wfi", WFI, EL0T, 0, 0);
    /* QEMU 7.2 doesn't trap WFE. The first one after ERET finds the event. */
    first = WFE;
    print(i & 1 ? "~nTWx " : "~");
    below(i & 2 ? "TGE EL0 wfe" : "EL0 wfe", WFE, EL0T, 0, 0);
    if (!(i & 2)) {
      print(i & 1 ? "~nTWx " : "~");
      below("EL1 wfe", WFE, EL1H, 0, 0);
    }
    first = 0;
    if (i & 2) continue;
    print(i & 1 ? "nTWx " : "");
    below("EL1 wfi", WFI, EL1H, 0, 0);
  }
  set_hcr(0);
  WRITE(sctlr_el1, SCTLR_EL1);
}

/* ---- returns */

static void try_return(u64 spsr, u64 hcr) {
  WRITE(hcr_el2, hcr);
  code[0] = SVC(LEAVE);
  sync_range(code, 4);
  taken.count = 0;
  taken.resume = (u64)from_el0;
  el0_call((u64)code, 0, (u64)(stack + 32), spsr, 0, 0);
  taken.resume = 0;
  WRITE(hcr_el2, RW);
  print("return to ");
  print_hex(spsr);
  print(hcr & TGE ? " TGE" : "");
  if (taken.vector < 8) {
    print_registers(taken.vector, taken.esr, taken.elr, taken.spsr, 0, (u64)code);
    print("\n");
  } else {
    print_outcome((u64)code, 0);
  }
}

static void returns(void) {
  for (u64 mode = 0; mode < 16; mode++) {
    if (mode == (EL2H & 15) || mode == (EL2T & 15)) continue;
    try_return(0x3c0 | mode, RW);
    try_return(0xa00003c0 | mode, RW | TGE);
  }
  /* AArch32: not at EL1 where HCR_EL2.RW is set; EL0's, which we don't have, is. */
  for (u64 mode = 0x11; mode < 0x20; mode++) try_return(0x1c0 | mode, RW);
  try_return(EL1H | 1ul << 20, RW);
  try_return(EL0T | 1ul << 20, RW);
  try_return(EL0T | 1ul << 20, RW | TGE);
  try_return(EL1H | 1ul << 28 | 1ul << 20, RW | TGE);
}

static void stack_pointers(void) {
  WRITE(sp_el0, 0x1230);
  WRITE(sp_el1, 0x4560);
  for (u32 spsr = EL1T; spsr <= EL1H; spsr++) {
    below("SP", MOV_X0_SP | 3, spsr, 0, 0);
    below("read SP_EL0", MRS(3, 0, 4, 1, 0), spsr, 0, 0);
    below("write SP_EL0", MSR(3, 0, 4, 1, 0), spsr, 0, 0x7890);
    print("SP_EL0 ");
    print_hex(READ(sp_el0));
    print(" SP_EL1 ");
    print_hex(READ(sp_el1));
    print("\n");
  }
  u64 selected;
  WRITE(sp_el0, 0x7770);
  asm volatile("msr spsel, #0; mov %0, sp; msr spsel, #1" : "=r"(selected));
  print("EL2t SP ");
  print_hex(selected);
  print("\n");
  /* An exception from EL1 leaves SP_EL1 there. */
  WRITE(sp_el1, 0xabc0);
  below("sub sp", 0xd10043ff, EL1H, 0, 0);
  print("SP_EL1 ");
  print_hex(READ(sp_el1));
  print("\n");
  /* SP alignment: SCTLR_EL1.SA and SA0 below, SCTLR_EL2.SA here. */
  for (u32 i = 0; i < 4; i++) {
    WRITE(sctlr_el1, SCTLR_EL1 | (u64)i << 3);
    /* QEMU 7.2 doesn't check the alignment of SP. */
    print("~SA0:SA ");
    print_decimal(i);
    WRITE(sp_el1, (u64)(stack + 32) + 8);
    below(" EL1", 0xf94003e3, EL1H, 0, 0);
    print("~SA0:SA ");
    print_decimal(i);
    u64 spsr = EL0T;
    code[0] = MOV_X3_X1;
    code[1] = 0xf94003e3;
    code[2] = MOV_X0_X3;
    code[3] = SVC(LEAVE);
    sync_range(code, 16);
    taken.count = 0;
    u64 result = el0_call((u64)code, 0, (u64)(stack + 32) + 8, spsr, 0, 0);
    print(" EL0");
    print_outcome((u64)(code + 1), result);
  }
  WRITE(sctlr_el1, SCTLR_EL1);
  u64 sctlr = READ(sctlr_el2);
  for (u32 sa = 0; sa < 2; sa++) {
    WRITE(sctlr_el2, (sctlr & ~8ul) | sa << 3);
    taken.count = 0;
    asm volatile("mov x9, sp; sub sp, sp, #8; ldr x10, [sp, #-64]; mov sp, x9" ::: "x9", "x10", "memory");
    print("~SCTLR_EL2.SA ");
    print_decimal(sa);
    print(taken.count ? " ESR " : " ok");
    if (taken.count) print_hex(taken.esr);
    print("\n");
  }
  WRITE(sctlr_el2, sctlr);
  /* SCTLR.A of each level. */
  for (u32 i = 0; i < 4; i++) {
    WRITE(sctlr_el1, SCTLR_EL1 | (i & 1) << 1);
    WRITE(sctlr_el2, sctlr | (i & 2));
    print("A ");
    print_decimal(i);
    here(" EL2", 0xf9400003, (u64)data + 1, 0);
  }
  WRITE(sctlr_el1, SCTLR_EL1);
  WRITE(sctlr_el2, sctlr);
}

/* ---- interrupts */

#define IO(address) (*(volatile u32 *)(u64)(address))
#define GICD 0x08000000u
#define GICR 0x080a0000u
#define GICR_SGI 0x080b0000u
#define IRQ_SGI 1
#define FIQ_SGI 2

static void start_gic(void) {
  IO(GICD) = 0x13;
  IO(GICR + 0x14) = 0;
  while (IO(GICR + 0x14) & 4) {}
  IO(GICR_SGI + 0x80) = ~(1u << FIQ_SGI);
  IO(GICR_SGI + 0x100) = 1u << IRQ_SGI | 1u << FIQ_SGI | 1u << 26 | 1u << 27 | 1u << 28 | 1u << 30;
  WRITE(s3_4_c12_c9_5, 0xf);
  WRITE(s3_0_c4_c6_0, 0xff);
  WRITE(s3_0_c12_c12_6, 1);
  WRITE(s3_0_c12_c12_7, 1);
}

static void clear_pending(void) {
  IO(GICR_SGI + 0x280) = 0xffff;
  WRITE(cnthp_ctl_el2, 0);
}

static void set_pending(u32 which) {
  clear_pending();
  if (which & 1) IO(GICR_SGI + 0x200) = 1u << IRQ_SGI;
  if (which & 2) IO(GICR_SGI + 0x200) = 1u << FIQ_SGI;
  /* Let the line settle. */
  for (volatile u32 i = 0; i < 100; i++) {}
}

static void interrupt_row(u32 which, u64 hcr, u64 masks) {
  static const u64 levels[] = {EL0T & 15, EL1T & 15, EL1H & 15};
  for (u32 i = 0; i < 3; i++) {
    if (i && hcr & TGE) continue;
    WRITE(hcr_el2, RW | hcr);
    run_below(NOP, levels[i] | masks, 0, 0);
    u64 left = READ(hcr_el2);
    WRITE(hcr_el2, RW);
    print(i == 0 ? " | EL0" : i == 1 ? " | EL1t" : " | EL1h");
    if (is_quiet()) {
      print(" -");
    } else {
      u32 at_el1 = is_from_vector();
      print(at_el1 ? " EL1 " : " EL2 ");
      print_hex((at_el1 ? taken.esr & 15 : taken.vector) * 0x80);
      u64 spsr = at_el1 ? READ(spsr_el1) : taken.spsr;
      if (spsr != (levels[i] | masks)) {
        print(" SPSR ");
        print_hex(spsr);
      }
      u64 elr = at_el1 ? READ(elr_el1) : taken.elr;
      if (elr != (u64)code) {
        print(" ELR ");
        print_hex(elr - (u64)code);
      }
      if (at_el1 && (taken.esr & 3) == 3) {
        print(" ESR ");
        print_hex(READ(esr_el1));
      }
    }
    if ((left ^ hcr) & (VF | VI | VSE)) {
      print(" HCR ");
      print_hex(left & (VF | VI | VSE));
    }
  }
  /* Here. */
  WRITE(hcr_el2, RW | hcr);
  print(" | EL2");
  interrupts = 0;
  asm volatile("msr daif, %0; nop; isb; nop; msr daifset, #15" ::"r"(masks) : "memory");
  WRITE(hcr_el2, RW);
  print(interrupts ? "" : " -");
  if (interrupts) set_pending(which);
}

static void routing(void) {
  static const struct { const char *name; u64 bits; } settings[] = {
      {"none", 0}, {"IMO", IMO}, {"FMO", FMO}, {"AMO", AMO}, {"IMO FMO AMO", IMO | FMO | AMO}, {"TGE", TGE}, {"TGE IMO", TGE | IMO},
  };
  for (u32 which = 0; which < 4; which++) {
    set_pending(which);
    for (u32 i = 0; i < ARRAY_LENGTH(settings); i++)
      for (u32 masked = 0; masked < 2; masked++) {
        print(which == 0 ? "nothing" : which == 1 ? "IRQ" : which == 2 ? "FIQ" : "IRQ and FIQ");
        print(" pending, ");
        print(settings[i].name);
        print(masked ? ", masked" : ", unmasked");
        /* Which of the two is taken first is open. */
        interrupt_row(which, settings[i].bits, which == 3 && !masked ? 0x80 : masked ? 0x3c0 : 0);
        print("\n");
      }
  }
  set_pending(0);
  for (u32 virtual = 0; virtual < 8; virtual++)
    for (u32 i = 0; i < ARRAY_LENGTH(settings); i++)
      for (u32 masked = 0; masked < 5; masked++) {
        static const u64 masks[] = {0, 0x80, 0x40, 0x100, 0x3c0};
        /* One at a time. */
        u64 open = (virtual & 1 ? 0x80 : 0) | (virtual & 2 ? 0x40 : 0) | (virtual & 4 ? 0x100 : 0);
        open &= ~masks[masked];
        if (open & (open - 1)) continue;
        print("virtual ");
        print_decimal(virtual);
        print(", ");
        print(settings[i].name);
        print(", masks ");
        print_hex(masks[masked]);
        interrupt_row(0, settings[i].bits | (virtual & 1 ? VI : 0) | (virtual & 2 ? VF : 0) | (virtual & 4 ? VSE : 0), masks[masked]);
        print("\n");
      }
  /* ISR_EL1 shows what is pending at the level. */
  for (u32 which = 0; which < 4; which++)
    for (u32 i = 0; i < 5; i++)
      for (u32 virtual = 0; virtual < 2; virtual++) {
        set_pending(which);
        set_hcr(settings[i].bits | (virtual ? VI | VF | VSE : 0));
        print("ISR ");
        print_decimal(which);
        print(" ");
        print(settings[i].name);
        print(virtual ? ", virtual: EL2 " : ": EL2 ");
        print_hex(READ(isr_el1));
        print(" EL1");
        below("", MRS(3, 0, 12, 1, 0), EL1H, 0, 0);
      }
  set_hcr(0);
  set_pending(0);
}

/* A virtual or a physical interrupt ends WFI. */
static void waiting(void) {
  set_hcr(IMO | VI);
  below("wfi with a virtual IRQ, masked", WFI, EL1H, 0, 0);
  set_hcr(IMO | VI | TWI);
  below("wfi with a virtual IRQ, trapped", WFI, EL1H, 0, 0);
  set_pending(1);
  set_hcr(TWI);
  below("wfi with an IRQ, trapped", WFI, EL1H, 0, 0);
  set_hcr(0);
  set_pending(0);
}

/* ---- timers */

static void timers(void) {
  WRITE(cntvoff_el2, 1ul << 40);
  u64 physical = READ(cntpct_el0), virtual = READ(cntvct_el0);
  print("EL2 CNTVCT is behind ");
  print_decimal((physical - virtual + (1 << 29)) >> 30);
  u64 at_el1 = run_below(MRS(3, 3, 14, 0, 2), EL1H, 0, 0);
  print(" EL1 ");
  print_decimal((READ(cntpct_el0) - at_el1 + (1 << 29)) >> 30);
  print("\n");
  WRITE(cntvoff_el2, 0);
  WRITE(cnthp_tval_el2, 1000);
  WRITE(cnthp_ctl_el2, 1);
  while (!(READ(cnthp_ctl_el2) & 4)) {}
  for (volatile u32 i = 0; i < 10000; i++) {}
  print("CNTHP_CTL ");
  print_hex(READ(cnthp_ctl_el2));
  print(" pending ");
  print_hex(IO(GICR_SGI + 0x200));
  print(" TVAL is negative ");
  print_decimal(READ(cnthp_tval_el2) >> 31 & 1);
  print(" IMO");
  interrupt_row(0, IMO, 0);
  print("\n");
  WRITE(cnthp_tval_el2, 0);
  WRITE(cnthp_ctl_el2, 3);
  for (volatile u32 i = 0; i < 10000; i++) {}
  print("masked ");
  print_hex(READ(cnthp_ctl_el2));
  print(" pending ");
  print_hex(IO(GICR_SGI + 0x200));
  print("\n");
  WRITE(cnthp_ctl_el2, 0);
  /* Waiting for it. */
  WRITE(hcr_el2, RW | IMO);
  WRITE(cnthp_tval_el2, 100000);
  WRITE(cnthp_ctl_el2, 1);
  asm volatile("wfi");
  print("woken, ISTATUS ");
  print_decimal(READ(cnthp_ctl_el2) >> 2);
  print("\n");
  WRITE(cnthp_ctl_el2, 0);
  WRITE(hcr_el2, RW);
}

/* ---- firmware */

static volatile u64 secondary[4];

void secondary_main(void) {
  secondary[1] = READ(currentel);
  secondary[2] = READ(daif);
  secondary[3] = READ(mpidr_el1) & 0xff;
  asm volatile("dsb sy");
  secondary[0] = 1;
}

extern u8 secondary_entry[];
static u64 secondary_stack[512] __attribute__((aligned(16)));

static void psci(void) {
  here("PSCI_VERSION", SMC(0), 0x84000000, 0);
  register u64 x0 asm("x0") = 0xc4000003, x1 asm("x1") = 1, x2 asm("x2") = (u64)secondary_entry, x3 asm("x3") = (u64)(secondary_stack + 512);
  asm volatile(FIRMWARE : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3)::"memory", "x9", "x30");
  print("CPU_ON ");
  print_hex(x0);
  while (!secondary[0]) asm volatile("yield");
  print(": CurrentEL ");
  print_hex(secondary[1]);
  print(" DAIF ");
  print_hex(secondary[2]);
  print(" MPIDR ");
  print_hex(secondary[3]);
  print("\n");
}

/* ---- the EL2 translation regime */

#define VALID 1ul
#define TABLE_OR_PAGE 3ul
#define ATTR(n) ((u64)(n) << 2)
#define AP(n) ((u64)(n) << 6)
#define INNER (3ul << 8)
#define AF (1ul << 10)
#define XN_BITS(n) ((u64)(n) << 53)
#define LEAF (ATTR(1) | INNER | AF | AP(1))
#define TCR_EL2 ((1ul << 31) | (1 << 23) | (1 << 8) | (1 << 10) | (3 << 12) | (2 << 16))
#define TBI (1ul << 20)
#define WXN (1ul << 19)
#define TARGET 0x44000000ul
#define NOTHING 0x0b000000ul

static u64 tables[12][8192] __attribute__((aligned(65536)));
static u32 tables_used;

struct space {
  u32 grain, size, start;
  u64 *root;
};

static u32 shift_of(const struct space *space, u32 level) { return (space->grain - 3) * (4 - level) + 3; }

static u64 *new_table(void) {
  u64 *table = tables[tables_used++];
  for (u32 i = 0; i < 8192; i++) table[i] = 0;
  return table;
}

static u64 *entry_of(const struct space *space, u64 va, u32 level) {
  u64 *table = space->root;
  for (u32 at = space->start;; at++) {
    u64 bits = at == space->start ? 64 - space->size - shift_of(space, at) : space->grain - 3;
    u64 *entry = table + (va >> shift_of(space, at) & ((1ul << bits) - 1));
    if (at == level) return entry;
    if (!(*entry & 1)) *entry = (u64)new_table() | TABLE_OR_PAGE;
    table = (u64 *)(*entry & 0x0000fffffffff000);
  }
}

/* The program where it is, and nothing else. */
static struct space make_space(u32 grain, u32 size) {
  tables_used = 0;
  struct space space = {grain, size, 4 - (64 - size - 4) / (grain - 3), new_table()};
  u32 level = grain == 12 ? 1 : 2;
  u64 block = 1ul << shift_of(&space, level);
  for (u64 pa = 0; pa < 0x80000000; pa += block)
    *entry_of(&space, pa, level) = pa | (pa < 0x40000000 ? ATTR(0) | AF | XN_BITS(2) : LEAF) | VALID;
  return space;
}

static void use(u64 root, u64 tcr) {
  u64 sctlr = READ(sctlr_el2);
  asm volatile(
      "msr sctlr_el2, %0; isb; msr ttbr0_el2, %1; msr tcr_el2, %2; isb; tlbi alle2; dsb sy; isb; msr sctlr_el2, %3; isb"
      ::"r"(sctlr & ~1ul), "r"(root), "r"(tcr), "r"(sctlr) : "memory");
}

static u64 tcr_of(const struct space *space) {
  return TCR_EL2 | space->size | (space->grain == 16 ? 1ul : space->grain == 14 ? 2ul : 0) << 14;
}

static void prepare_target(void) {
  u64 *target = (u64 *)TARGET;
  for (u32 i = 0; i < 64; i++) target[i] = 0x0101010101010101ul * i + 0x8070605040302010ul;
  *(u32 *)(TARGET + 0x80) = RET;
  sync_code((void *)(TARGET + 0x80));
}

static void print_par(const char *name) {
  print(name);
  print(" PAR ");
  print_hex(READ(par_el1) & ~(1ul << 9));
  print("\n");
}

static void try_fetch(const char *name, u64 va) {
  taken.count = 0;
  u64 result = guarded_call(va, 0x77);
  report(name, va, result);
}

static void all_accesses(u64 va) {
  try_el1("ldr", op_ldr, va, 0);
  try_el1("str", op_str, va + 8, 0x1111);
  try_el1("stp", op_stp, va + 16, 1);
  try_el1("ldtr", op_ldtr, va, 0);
  try_el1("sttr", op_sttr, va + 24, 0);
  try_el1("zva", op_zva, va + 68, 0);
  try_fetch("fetch", va + 0x80);
  asm volatile("at s1e2r, %0; isb" ::"r"(va));
  print_par("AT S1E2R");
  asm volatile("at s1e2w, %0; isb" ::"r"(va));
  print_par("AT S1E2W");
}

static void regime(u32 grain, u32 size) {
  u64 ttbr = READ(ttbr0_el2), tcr = READ(tcr_el2);
  struct space space = make_space(grain, size);
  print("granule ");
  print_decimal(1u << (grain - 10));
  print("K T0SZ ");
  print_decimal(size);
  print("\n");
  u64 va = (1ul << (63 - size)) + TARGET;
  if (va < 0x80000000) va = 0x7fff0000 - (1ul << 29);
  u64 *entry = 0;
  u32 can_map = shift_of(&space, 3) < 64 - space.size && va >= 0x80000000;
  if (can_map) {
    entry = entry_of(&space, va, 3);
    *entry = TARGET | LEAF | TABLE_OR_PAGE;
  }
  prepare_target();
  use((u64)space.root, tcr_of(&space));
  if (can_map) {
    all_accesses(va);
    print("no access flag\n");
    *entry &= ~AF;
    flush_tlb();
    all_accesses(va);
    *entry = (TARGET + (1ul << 45)) | LEAF | TABLE_OR_PAGE;
    flush_tlb();
    print("output address too large\n");
    all_accesses(va);
    for (u32 ap = 0; ap < 4; ap++)
      for (u32 xn = 0; xn < 4; xn++) {
        *entry = TARGET | ATTR(1) | INNER | AF | AP(ap) | XN_BITS(xn) | TABLE_OR_PAGE;
        flush_tlb();
        print("AP ");
        print_decimal(ap);
        print(" XN:PXN ");
        print_decimal(xn);
        print("\n");
        all_accesses(va);
      }
    *entry = TARGET | LEAF | TABLE_OR_PAGE;
    u64 *middle = entry_of(&space, va, 2);
    u64 table = *middle;
    for (u32 bits = 1; bits < 32; bits <<= 1) {
      *middle = table | (u64)bits << 59;
      flush_tlb();
      print("table attributes ");
      print_hex(bits);
      print("\n");
      all_accesses(va);
    }
    *middle = table;
    flush_tlb();
    print("tags\n");
    u64 tagged = va | 0xa5ul << 56;
    try_el1("ldr tagged", op_ldr, tagged, 0);
    try_el1("ldr bit 55", op_ldr, va | 1ul << 55, 0);
    use((u64)space.root, tcr_of(&space) | TBI);
    try_el1("ldr tagged, TBI", op_ldr, tagged, 0);
    try_el1("ldr bit 55, TBI", op_ldr, va | 1ul << 55, 0);
    try_el1("ldr bit 48, TBI", op_ldr, va | 1ul << 48, 0);
    /* adr x0, . : the tag is gone from PC. */
    *(u32 *)(TARGET + 0x80) = 0x10000000;
    *(u32 *)(TARGET + 0x84) = RET;
    sync_code((void *)(TARGET + 0x80));
    try_fetch("fetch tagged", tagged + 0x80);
    try_fetch("fetch bit 55", (tagged | 1ul << 55) + 0x80);
    asm volatile("at s1e2r, %0; isb" ::"r"(tagged));
    print_par("AT tagged");
    use((u64)space.root, tcr_of(&space));
  }
  try_el1("ldr beyond", op_ldr, 1ul << (64 - size), 0);
  try_el1("ldr high", op_ldr, ~0ul << (63 - size), 0);
  try_el1("ldr unmapped", op_ldr, 0x80000000, 0);
  if (can_map) {
    u64 *middle = entry_of(&space, va, 2);
    *middle = TABLE_OR_PAGE | NOTHING;
    flush_tlb();
    try_el1("table where nothing is", op_ldr, va, 0);
    *middle = TABLE_OR_PAGE | 1ul << 42;
    flush_tlb();
    try_el1("table too high", op_ldr, va, 0);
    *middle = 0;
    flush_tlb();
    try_el1("no table", op_ldr, va, 0);
  }
  use(ttbr, tcr);
}

/* What can be written can't be executed. */
static void wxn(void) {
  u64 sctlr = READ(sctlr_el2);
  prepare_target();
  for (u32 on = 0; on < 2; on++) {
    WRITE(sctlr_el2, on ? sctlr | WXN : sctlr);
    flush_tlb();
    print("WXN ");
    print_decimal(on);
    print("\n");
    all_accesses(TARGET);
    try_fetch("read-only", (u64)op_ret);
  }
  WRITE(sctlr_el2, sctlr);
  flush_tlb();
}

/* Two regimes side by side: the same address, other pages. */
static void regimes(void) {
  struct space el1 = {12, 25, 1, 0};
  tables_used = 0;
  el1.root = new_table();
  u64 *middle = new_table(), *pages = new_table();
  /* The operations' block, and a page of its own at TARGET's address. */
  el1.root[1] = (u64)middle | TABLE_OR_PAGE;
  for (u32 i = 0; i < 16; i++) middle[i] = (0x40000000 + i * 0x200000ul) | ATTR(1) | INNER | AF | VALID;
  middle[32] = (u64)pages | TABLE_OR_PAGE;
  pages[0] = 0x44100000 | ATTR(1) | INNER | AF | TABLE_OR_PAGE;
  *(u64 *)0x44000000 = 0x1111;
  *(u64 *)0x44100000 = 0x2222;
  *(u64 *)0x44200000 = 0x3333;
  WRITE(ttbr0_el1, el1.root);
  WRITE(tcr_el1, 25 | (1 << 8) | (1 << 10) | (3 << 12) | (1 << 23) | (2ul << 32));
  WRITE(mair_el1, 0x44ff00);
  WRITE(sctlr_el1, SCTLR_EL1 | 5);
  set_hcr(0);
  asm volatile("dsb sy; tlbi alle1; dsb sy; isb" ::: "memory");
  const u32 ldr = 0xf9400003; /* ldr x3, [x0] */
  for (u32 round = 0; round < 2; round++) {
    here("EL2", ldr, TARGET, 0);
    below("EL1", ldr, EL1H, TARGET, 0);
    below("EL0", ldr, EL0T, TARGET, 0);
  }
  pages[0] = 0x44200000 | ATTR(1) | INNER | AF | AP(1) | TABLE_OR_PAGE;
  asm volatile("dsb sy; tlbi vae1is, %0; dsb sy; isb" ::"r"(TARGET >> 12) : "memory");
  below("EL1, TLBI VAE1IS", ldr, EL1H, TARGET, 0);
  below("EL0", 0xf9400003, EL0T, TARGET, 0);
  pages[0] = 0x44100000 | ATTR(1) | INNER | AF | AP(1) | TABLE_OR_PAGE;
  asm volatile("dsb sy; tlbi vmalls12e1; dsb sy; isb" ::: "memory");
  below("EL1, TLBI VMALLS12E1", ldr, EL1H, TARGET, 0);
  pages[0] = 0x44200000 | ATTR(1) | INNER | AF | AP(1) | TABLE_OR_PAGE;
  asm volatile("dsb sy; tlbi alle1is; dsb sy; isb" ::: "memory");
  below("EL1, TLBI ALLE1IS", ldr, EL1H, TARGET, 0);
  here("EL2", ldr, TARGET, 0);
  below("EL1 unmapped", ldr, EL1H, 0x50000000, 0);
  below("EL1 high", ldr, EL1H, ~0xffful, 0);
  below("EL1 store", 0xf9000003, EL1H, TARGET + 0x1000, 0);
  for (u32 ap = 0; ap < 4; ap++) {
    pages[0] = 0x44200000 | ATTR(1) | INNER | AF | AP(ap) | TABLE_OR_PAGE;
    asm volatile("dsb sy; tlbi alle1; dsb sy; isb" ::: "memory");
    print("AP ");
    print_decimal(ap);
    print("\n");
    asm volatile("at s1e1r, %0; isb" ::"r"(TARGET));
    print_par("S1E1R");
    asm volatile("at s1e1w, %0; isb" ::"r"(TARGET));
    print_par("S1E1W");
    asm volatile("at s1e0r, %0; isb" ::"r"(TARGET));
    print_par("S1E0R");
    asm volatile("at s1e0w, %0; isb" ::"r"(TARGET));
    print_par("S1E0W");
    asm volatile("at s12e1r, %0; isb" ::"r"(TARGET));
    print_par("S12E1R");
    asm volatile("at s12e1w, %0; isb" ::"r"(TARGET));
    print_par("S12E1W");
    asm volatile("at s12e0r, %0; isb" ::"r"(TARGET));
    print_par("S12E0R");
    asm volatile("at s12e0w, %0; isb" ::"r"(TARGET));
    print_par("S12E0W");
    asm volatile("at s1e2r, %0; isb" ::"r"(TARGET));
    print_par("S1E2R");
    below("EL1 ldr", ldr, EL1H, TARGET, 0);
    below("EL1 str", 0xf9000003, EL1H, TARGET, 0x3333);
    below("EL1 ldtr", 0xf8400803, EL1H, TARGET, 0);
    below("EL0 ldr", ldr, EL0T, TARGET, 0);
    below("EL0 str", 0xf9000003, EL0T, TARGET, 0x3333);
    below("EL1 at", SYS(0, 7, 8, 0), EL1H, 0, TARGET);
    print_par("EL1 at");
  }
  /* EL0 with TGE: EL1's translation is off, but not in QEMU 7.2. */
  WRITE(hcr_el2, RW | TGE);
  asm volatile("tlbi alle1; dsb sy; isb" ::: "memory");
  below("~EL0 with TGE", ldr, EL0T, TARGET, 0);
  below("EL0 with TGE, misaligned", 0xd61f0000, EL0T, TARGET + 2, 0);
  below("~EL0 with TGE, nothing there", ldr, EL0T, NOTHING, 0);
  WRITE(hcr_el2, RW);
  WRITE(sctlr_el1, SCTLR_EL1);
  asm volatile("tlbi alle1; dsb sy; isb" ::: "memory");
}

/* TCR_EL2 outside of a host: HA, HD and HPD are elsewhere. */
static void controls_of_model(void) {
  static const struct { const char *name; u64 bits; } controls[] = {
      {"-", 0}, {"HA", 1 << 21}, {"HD", 1 << 22}, {"HA HD", 3 << 21},
#ifdef CPU_MAX
      /* QEMU 7.2 has it on every CPU. */
      {"HPD", 1 << 24},
#endif
  };
  u64 ttbr = READ(ttbr0_el2), tcr = READ(tcr_el2), va = (1ul << 38) + TARGET;
  for (u32 i = 0; i < ARRAY_LENGTH(controls); i++) {
    struct space space = make_space(12, 25);
    u64 *entry = entry_of(&space, va, 3);
    *entry_of(&space, va, 2) |= 1ul << 62; /* read-only */
    prepare_target();
    use((u64)space.root, tcr_of(&space) | controls[i].bits);
    for (u32 is_writable = 0; is_writable < 2; is_writable++) {
      if (is_writable) *entry_of(&space, va, 2) &= ~(1ul << 62);
      for (u32 bits = 0; bits < 8; bits++) {
        u64 leaf = TARGET | (LEAF & ~AF) | (bits & 1 ? AF : 0) | (bits & 2 ? AP(2) : 0) | (bits & 4 ? 1ul << 51 : 0) | TABLE_OR_PAGE;
        print(controls[i].name);
        print(is_writable ? " table writable leaf " : " table read-only leaf ");
        print_hex(leaf);
        print("\n");
        for (u32 k = 0; k < 3; k++) {
          *entry = leaf;
          flush_tlb();
          if (k == 0) try_el1("ldr", op_ldr, va, 0);
          if (k == 1) try_el1("str", op_str, va + 8, 0x1111);
          if (k == 2) try_fetch("fetch", va + 0x80);
          print("descriptor changed by ");
          print_hex(*entry ^ leaf);
          print("\n");
        }
      }
    }
    use(ttbr, tcr);
  }
}

/* What differs between our models: a run of its own. */
#ifndef OF_MODEL
#define OF_MODEL 0
#endif

int main(void) {
  use_vectors(HVC(0));
  if (OF_MODEL) {
    controls_of_model();
    print("done\n");
    return 0;
  }
  WRITE(sctlr_el1, SCTLR_EL1);
  WRITE(cptr_el2, 0x33ff);
  identification();
  storage();
  classes("EL2", 0, EL2H);
  classes("EL1h", 0, EL1H);
  classes("EL1t", 0, EL1T);
  classes("EL0", 0, EL0T);
  classes("EL0, TGE", TGE, EL0T);
  calls();
  traps(EL1H);
  traps(EL0T);
  other_traps();
  returns();
  stack_pointers();
  start_gic();
  routing();
  waiting();
  timers();
  psci();
  regime(12, 16);
  regime(12, 25);
  regime(12, 32);
  regime(16, 16);
  regime(16, 25);
  wxn();
  regimes();
  print("done\n");
  return 0;
}
