/* Self-hosted debug with EL2: who takes debug exceptions, debugging EL2 itself, contexts of guests. */
#include "levels.h"

void on_irq(u64 vector) {
  print_hex(vector);
  print(" unexpected interrupt\n");
  power_off();
}

#define MDSCR_SS 1ul
#define MDSCR_KDE (1ul << 13)
#define MDSCR_MDE (1ul << 15)
#define MDCR_TDE (1ul << 8)
#define PSTATE_D (1ul << 9)
#define PSTATE_SS (1ul << 21)

/* E, at EL0 and EL1, all bytes. */
#define BREAKPOINT 0x1e7u
#define WATCHPOINT 0x1fffu
#define HMC (1u << 13)
#define LBN(n) ((u32)(n) << 16)
#define BT(type) ((u32)(type) << 20)

#define LDR_X3_X0 0xf9400003
#define STR_X3_X0 0xf9000003
#define DAIFCLR_D 0xd50348ff
#define DAIFSET_D 0xd50348df

static void set_hcr(u64 bits) {
  WRITE(hcr_el2, RW | bits);
  asm volatile("tlbi alle1; dsb sy; isb" ::: "memory");
}

static void off(void) {
  WRITE(mdscr_el1, 0);
  WRITE(dbgbcr0_el1, 0);
  WRITE(dbgbcr4_el1, 0);
  WRITE(dbgwcr0_el1, 0);
}

static void print_far(void) {
  u32 below_el2 = is_from_vector();
  u64 class = (below_el2 ? GET(ESR_OF_EL1) : taken.esr) >> 26;
  if (taken.count == 0 || (class != 0x34 && class != 0x35)) return;
  print("  FAR data+");
  print_hex((below_el2 ? GET(FAR_OF_EL1) : taken.far) - (u64)data);
  print("\n");
}

/* Each kind of debug exception, from the level of `spsr`. */
static void kinds(u64 spsr) {
  static const u64 enables[] = {MDSCR_MDE | MDSCR_KDE, MDSCR_MDE};
  for (u32 i = 0; i < ARRAY_LENGTH(enables); i++) {
    WRITE(dbgbvr0_el1, code + 1);
    WRITE(dbgbcr0_el1, BREAKPOINT);
    WRITE(mdscr_el1, enables[i]);
    below(i ? "breakpoint, no KDE" : "breakpoint", NOP, spsr, 0, 0);
    off();
    WRITE(dbgwvr0_el1, data + 2);
    WRITE(dbgwcr0_el1, WATCHPOINT);
    WRITE(mdscr_el1, enables[i]);
    below(i ? "load, no KDE" : "load", LDR_X3_X0, spsr, (u64)(data + 2), 0);
    print_far();
    below(i ? "store, no KDE" : "store", STR_X3_X0, spsr, (u64)(data + 2), 0);
    print_far();
    off();
    WRITE(mdscr_el1, (enables[i] & MDSCR_KDE) | MDSCR_SS);
    below(i ? "step, no KDE" : "step", NOP, spsr | PSTATE_SS, 0, 0);
    below(i ? "step pending, no KDE" : "step pending", NOP, spsr, 0, 0);
    first = SVC(5);
    below(i ? "step of SVC, no KDE" : "step of SVC", NOP, spsr | PSTATE_SS, 0, 0);
    first = HVC(5);
    below(i ? "step of HVC, no KDE" : "step of HVC", NOP, spsr | PSTATE_SS, 0, 0);
    first = 0x0000beef;
    below(i ? "step of undefined, no KDE" : "step of undefined", NOP, spsr | PSTATE_SS, 0, 0);
    first = 0;
    off();
  }
  below("brk", BRK(0x123), spsr, 0, 0);
}

static void routing(void) {
  static const struct { const char *name; u64 hcr, mdcr, spsr; } cases[] = {
      {"EL0 to EL1", 0, 0, EL0T},
      {"EL0, TDE", 0, MDCR_TDE, EL0T},
      {"EL0, TGE", TGE, 0, EL0T},
      {"EL1", 0, 0, GUEST_EL1H & ~PSTATE_D},
      {"EL1, D", 0, 0, GUEST_EL1H},
      {"EL1, TDE", 0, MDCR_TDE, GUEST_EL1H & ~PSTATE_D},
      {"EL1, TDE, D", 0, MDCR_TDE, GUEST_EL1H},
  };
  for (u32 i = 0; i < ARRAY_LENGTH(cases); i++) {
    print(cases[i].name);
    print("\n");
    set_hcr(cases[i].hcr);
    WRITE(mdcr_el2, cases[i].mdcr);
    kinds(cases[i].spsr);
  }
  set_hcr(0);
  WRITE(mdcr_el2, 0);
}

/* What the guest may do with the registers while EL2 debugs it. */
static void traps(void) {
  print("registers of a guest that is debugged\n");
  WRITE(mdcr_el2, MDCR_TDE);
  below("mrs mdscr_el1", MRS(2, 0, 0, 2, 2), GUEST_EL1H, 0, 0);
  below("msr dbgbcr0_el1", MSR(2, 0, 0, 0, 5), GUEST_EL1H, 0, 0);
  below("msr oslar_el1", MSR(2, 0, 1, 0, 4), GUEST_EL1H, 0, 0);
  WRITE(mdcr_el2, 0);
}

/* A word at EL2 with D clear; what was taken. */
static void at_el2(const char *name, u32 word, u64 x0) {
  code[0] = DAIFCLR_D;
  code[1] = word;
  code[2] = DAIFSET_D;
  code[3] = RET;
  sync_range(code, 16);
  taken.count = 0;
  ((op *)code)(x0, 0);
  u64 count = taken.count;
  print(name);
  print(" ");
  print_decimal(count);
  if (count) {
    print_registers(taken.vector, taken.esr, taken.elr, taken.spsr, 0, (u64)(code + 1));
    print("\n");
    print_far();
  } else {
    print("\n");
  }
}

static void el2_itself(void) {
  for (u32 tde = 0; tde < 2; tde++)
    for (u32 kde = 0; kde < 2; kde++)
      for (u32 hmc = 0; hmc < 2; hmc++) {
        print(tde ? "TDE " : "");
        print(kde ? "KDE " : "");
        print(hmc ? "HMC\n" : "\n");
        WRITE(mdcr_el2, tde ? MDCR_TDE : 0);
        WRITE(dbgbvr0_el1, code + 1);
        WRITE(dbgbcr0_el1, BREAKPOINT | (hmc ? HMC : 0));
        WRITE(mdscr_el1, MDSCR_MDE | (kde ? MDSCR_KDE : 0));
        at_el2("breakpoint", NOP, 0);
        off();
        WRITE(dbgwvr0_el1, data + 2);
        WRITE(dbgwcr0_el1, WATCHPOINT | (hmc ? HMC : 0));
        WRITE(mdscr_el1, MDSCR_MDE | (kde ? MDSCR_KDE : 0));
        at_el2("load", LDR_X3_X0, (u64)data + 9);
        off();
      }
  WRITE(mdcr_el2, 0);
}

/* EL2's vector for its own exceptions turns stepping off first. */
static u32 step_vectors[512] __attribute__((aligned(2048)));

/* Stepping from EL2 to itself. */
static void step_el2(void) {
  print("step at EL2\n");
  u32 *entry = step_vectors + 0x200 / 4;
  entry[0] = MSR(2, 0, 0, 2, 2) | 31;
  entry[1] = 0xd5033fdf;
  entry[2] = 0x14000000 | (((u64)vectors + 0x200 - (u64)(entry + 2)) >> 2 & 0x3ffffff);
  sync_range(entry, 64);
  WRITE(vbar_el2, step_vectors);
  WRITE(mdcr_el2, MDCR_TDE);
  code[0] = NOP;
  code[1] = NOP;
  code[2] = SVC(LEAVE);
  sync_range(code, 16);
  WRITE(mdscr_el1, MDSCR_SS | MDSCR_KDE);
  for (u32 ss = 0; ss < 2; ss++) {
    taken.count = 0;
    /* The first exception ends it. */
    taken.resume = (u64)from_el0;
    el0_call((u64)code, 0, 0, (EL2H & ~PSTATE_D) | (ss ? PSTATE_SS : 0), 0, 0);
    asm volatile("msr daifset, #8");
    WRITE(mdscr_el1, MDSCR_SS | MDSCR_KDE);
    print(ss ? "not pending" : "pending");
    print_registers(taken.vector, taken.esr, taken.elr, taken.spsr, 0, (u64)code);
    print("\n");
  }
  off();
  WRITE(mdcr_el2, 0);
  WRITE(vbar_el2, vectors);
}

/* QEMU 7.2 knows CONTEXTIDR_EL1 alone. */
static void contexts(void) {
  WRITE(vttbr_el2, 0x12ul << 48);
  WRITE(contextidr_el1, 0x345);
  WRITE(mdcr_el2, MDCR_TDE);
  static const struct { const char *name; u64 value; u32 type; } cases[] = {
      {"CONTEXTIDR", 0x345, 3}, {"another", 0x346, 3}, {"~VMID", 0x12ul << 32, 9}, {"~another VMID", 0x13ul << 32, 9},
      {"~both", 0x12ul << 32 | 0x345, 11}, {"~both, another", 0x12ul << 32 | 0x346, 11},
      {"~both, another VMID", 0x13ul << 32 | 0x345, 11}, {"unlinked type", 0x345, 2},
  };
  for (u32 i = 0; i < ARRAY_LENGTH(cases); i++) {
    WRITE(dbgbvr4_el1, cases[i].value);
    WRITE(dbgbcr4_el1, 0x1e1 | BT(cases[i].type));
    WRITE(dbgbvr0_el1, code + 1);
    WRITE(dbgbcr0_el1, BREAKPOINT | HMC | BT(1) | LBN(4));
    WRITE(mdscr_el1, MDSCR_MDE | MDSCR_KDE);
    print(cases[i].name);
    run_below(NOP, GUEST_EL1H, 0, 0);
    print(is_quiet() ? " no" : " hit");
    run_below(NOP, EL0T, 0, 0);
    print(is_quiet() ? " no" : " hit");
    WRITE(dbgbvr0_el1, code + 1);
    at_el2("", NOP, 0);
    off();
  }
  print("~VMID alone");
  WRITE(dbgbvr4_el1, 0x12ul << 32);
  WRITE(dbgbcr4_el1, BREAKPOINT | BT(8));
  WRITE(mdscr_el1, MDSCR_MDE);
  run_below(NOP, GUEST_EL1H, 0, 0);
  print_registers(taken.vector, taken.esr, taken.elr, taken.spsr, 0, (u64)code);
  print("\n");
  off();
  WRITE(mdcr_el2, 0);
  WRITE(vttbr_el2, 0);
}

int main(void) {
  WRITE(sctlr_el1, SCTLR_EL1);
  WRITE(cptr_el2, 0x33ff);
  WRITE(oslar_el1, 0);
  use_vectors(HVC(0));
  off();
  routing();
  traps();
  el2_itself();
  step_el2();
  contexts();
  print("done\n");
  return 0;
}
