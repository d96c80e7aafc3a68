/*
 * Optional features of `max` that are more than an instruction: PSTATE's PAN, UAO, DIT and SSBS, E0PD, speculation
 * restrictions, the level in TLBI's operand. Where they are absent, their encodings are undefined.
 */
#include "guest.h"

#define TARGET 0x44000000ul
#define VALID_PAGE 3ul
#define LEAF ((1ul << 2) | (3ul << 8) | (1ul << 10) | (1ul << 11) | VALID_PAGE)
#define AP(n) ((u64)(n) << 6)
/* The fourth entry of the boot's level 1. */
#define LOW 0xc0000000ul
#define HIGH (~0ul << 39)

/* The names of all features' registers. */
asm(".arch armv8.5-a");

#define SPAN (1ul << 23)
#define DSSBS (1ul << 44)
#define ENRCTX (1ul << 10)
#define E0PD0 (1ul << 55)
#define E0PD1 (1ul << 56)

#define WRITE_IMMEDIATE(name, value) asm volatile("msr " #name ", #" #value "; isb" ::: "memory")
/* SYS #op1, Cn, Cm, #op2, X9 */
#define SYS(op1, crn, crm, op2) (0xd5080009u | (op1) << 16 | (crn) << 12 | (crm) << 8 | (op2) << 5)

static u64 tables[4][512] __attribute__((aligned(4096)));
static u64 *const page = &tables[1][0];
static u32 stub[2] __attribute__((aligned(8)));

void on_irq(u64 vector) {
  print_hex(vector);
  print(" unexpected interrupt\n");
  power_off();
}

/* One page at LOW and at HIGH. */
static void map_target(void) {
  u64 *level1 = (u64 *)READ(ttbr0_el1);
  level1[3] = (u64)tables[0] | 3;
  tables[0][0] = (u64)tables[1] | 3;
  tables[2][0] = (u64)tables[0] | 3;
  WRITE(ttbr1_el1, tables[2]);
  WRITE(tcr_el1, (READ(tcr_el1) & ~(1ul << 23)) | (25ul << 16) | (1ul << 24) | (1ul << 26) | (3ul << 28) | (2ul << 30));
}

static void outcome(void) {
  print(" ");
  if (taken.count == 0 || taken.esr == 0x560000e0) {
    print("-");
  } else {
    print_hex(taken.esr >> 26);
    print(":");
    print_hex(taken.esr & 0x1ffffff & ~DATA_ABORT_DETAILS);
  }
  taken.count = 0;
}

static void by_el1(op *operation, u64 va) {
  taken.count = 0;
  operation(va, 0);
  outcome();
}

static void by_el0(op *operation, u64 va) {
  taken.count = 0;
  el0_call(EL0(operation), va, 0, EL0T, EL0(op_exit), 0);
  outcome();
}

static u64 state(void) {
  return (READ(pan) >> 22 & 1) << 3 | (READ(uao) >> 23 & 1) << 2 | (READ(dit) >> 24 & 1) << 1 | (READ(ssbs) >> 12 & 1);
}

/* PAN, UAO, DIT and SSBS as bits 3 to 0: what they are, what an exception saves and leaves, and what is restored. */
static void process_state(void) {
  u64 sctlr = READ(sctlr_el1);
  for (u64 span = 0; span < 2; span++)
    for (u64 dssbs = 0; dssbs < 2; dssbs++) {
      WRITE(sctlr_el1, (sctlr & ~(SPAN | DSSBS)) | span * SPAN | dssbs * DSSBS);
      for (u64 bits = 0; bits < 16; bits++) {
        WRITE(pan, bits >> 3 << 22);
        WRITE(uao, (bits >> 2 & 1) << 23);
        WRITE(dit, (bits >> 1 & 1) << 24);
        WRITE(ssbs, (bits & 1) << 12);
        taken.count = 0;
        u64 before = state();
        asm volatile("svc #1" ::: "memory");
        u64 after = state();
        /* QEMU 7.2 clears DIT where an exception is taken. */
        if (bits & 2) print("~");
        print_hex(before);
        print(" saved ");
        print_hex(taken.spsr & ~0xf0000000ul);
        print(" restored ");
        print_hex(after);
        /* What is left of EL0's after an exception, which is not returned from. */
        WRITE(pan, 0);
        u64 of_el0 = (bits >> 3) << 22 | (bits >> 2 & 1) << 23 | (bits >> 1 & 1) << 24 | (bits & 1) << 12;
        el0_call(EL0(op_exit), 0, 0, EL0T | of_el0, 0, 0);
        print(" on entry ");
        print_hex(state());
        print(" SPSR ");
        print_hex(taken.spsr);
        print("\n");
      }
    }
  WRITE(sctlr_el1, sctlr);
  WRITE(pan, 0);
  WRITE(dit, 0);
  WRITE(ssbs, 0);
  print("immediates ");
  WRITE_IMMEDIATE(pan, 1);
  print_hex(state());
  WRITE_IMMEDIATE(uao, 1);
  print_hex(state());
  WRITE_IMMEDIATE(dit, 1);
  print_hex(state());
  WRITE_IMMEDIATE(ssbs, 1);
  print_hex(state());
  WRITE_IMMEDIATE(pan, 0);
  print_hex(state());
  WRITE_IMMEDIATE(uao, 0);
  print_hex(state());
  WRITE_IMMEDIATE(dit, 0);
  print_hex(state());
  WRITE_IMMEDIATE(ssbs, 0);
  print_hex(state());
  print("\n");
}

/* Outcomes of LDR, STR, LDTR, STTR at EL1 and of LDR, STR at EL0, by PAN, UAO and permissions. */
static void access_override(void) {
  for (u64 ap = 0; ap < 4; ap++) {
    *page = TARGET | LEAF | AP(ap);
    flush_tlb();
    for (u32 bits = 0; bits < 4; bits++) {
      print("AP ");
      print_decimal(ap);
      print(bits & 1 ? " PAN" : "");
      print(bits & 2 ? " UAO" : "");
      for (u32 half = 0; half < 2; half++) {
        u64 va = half ? HIGH : LOW;
        WRITE(pan, (u64)(bits & 1) << 22);
        WRITE(uao, (u64)(bits >> 1) << 23);
        by_el1(op_ldr, va);
        by_el1(op_str, va);
        by_el1(op_ldtr, va);
        by_el1(op_sttr, va);
        print(" |");
        by_el0(op_ldr, va);
        by_el0(op_str, va);
        print(half ? "\n" : " ||");
      }
    }
  }
  WRITE(pan, 0);
  WRITE(uao, 0);
}

/* EL0 sees nothing of a half, nor does who asks for it. */
static void el0_prevented(void) {
  u64 tcr = READ(tcr_el1);
  *page = TARGET | LEAF | AP(1);
  for (u32 bits = 0; bits < 4; bits++) {
    WRITE(tcr_el1, tcr | (bits & 1 ? E0PD0 : 0) | (bits & 2 ? E0PD1 : 0));
    flush_tlb();
    print(bits & 1 ? "E0PD0 " : "");
    print(bits & 2 ? "E0PD1 " : "");
    print(":");
    for (u32 half = 0; half < 2; half++) {
      u64 va = half ? HIGH : LOW;
      by_el1(op_ldr, va);
      by_el1(op_ldtr, va);
      by_el1(op_sttr, va);
      by_el1(op_ldtr, va + 0x1000);
      WRITE(uao, 1ul << 23);
      by_el1(op_sttr, va);
      WRITE(uao, 0);
      asm volatile("at s1e0r, %0; isb" ::"r"(va));
      print(" PAR ");
      print_hex(READ(par_el1) & 0x7f);
      asm volatile("at s1e1r, %0; isb" ::"r"(va));
      print(" ");
      print_hex(READ(par_el1) & 0x7f);
      taken.count = 0;
      el0_call(va, va, 0, EL0T, EL0(op_exit), 0);
      outcome();
      print(half ? "\n" : " |");
    }
  }
  WRITE(tcr_el1, tcr);
  flush_tlb();
}

/* The instruction at EL1 and EL0. */
static void speculation(const char *name, u32 instruction) {
  u64 sctlr = READ(sctlr_el1);
  *page = (u64)stub | LEAF | AP(3) | (1ul << 53);
  *page &= ~0xffful | LEAF | AP(3);
  stub[0] = instruction;
  stub[1] = 0xd65f03c0;
  sync_code(stub);
  print(name);
  for (u32 on = 0; on < 2; on++) {
    WRITE(sctlr_el1, on ? sctlr | ENRCTX : sctlr);
    flush_tlb();
    taken.count = 0;
    guarded_call((u64)stub, 0);
    outcome();
    taken.count = 0;
    el0_call(LOW + ((u64)stub & 0xfff), 0, 0, EL0T, EL0(op_exit), 0);
    outcome();
  }
  print("\n");
  WRITE(sctlr_el1, sctlr);
}

/* TLBI with the level of the entry in bits 47:44. */
static void translation_level(void) {
  *page = TARGET | LEAF;
  flush_tlb();
  print("TLBI with a level");
  for (u64 level = 0; level < 4; level++) {
    *page = TARGET | LEAF;
    asm volatile("dsb sy; tlbi vae1, %0; dsb sy; isb" ::"r"(LOW >> 12 | (4 | level) << 44) : "memory");
    by_el1(op_ldr, LOW);
    *page = 0;
    asm volatile("dsb sy; tlbi vae1, %0; dsb sy; isb" ::"r"(LOW >> 12 | (level == 3 ? 7ul << 44 : 0)) : "memory");
    by_el1(op_ldr, LOW);
  }
  print("\n");
}

#ifdef CPU_MAX
#define IS_MAX 1
#else
#define IS_MAX 0
#endif

int main(void) {
  map_ops_for_el0();
  map_target();
  *(u32 *)TARGET = 0xd65f03c0; /* ret */
  sync_code((void *)TARGET);
  if (IS_MAX) {
    process_state();
    access_override();
    translation_level();
  } else {
    taken.count = 0;
    WRITE_IMMEDIATE(pan, 1);
    outcome();
    WRITE_IMMEDIATE(uao, 1);
    outcome();
    WRITE_IMMEDIATE(dit, 1);
    outcome();
    WRITE_IMMEDIATE(ssbs, 1);
    outcome();
    (void)READ(uao);
    outcome();
    WRITE(uao, 0);
    outcome();
    print("\n");
  }
  el0_prevented();
  speculation("CFP RCTX", SYS(3, 7, 3, 4));
  speculation("DVP RCTX", SYS(3, 7, 3, 5));
  speculation("CPP RCTX", SYS(3, 7, 3, 7));
  print("done\n");
  return 0;
}
