/*
 * Every encoding of MRS, MSR (register), SYS and SYSL, at EL1 and at EL0: a line for each that isn't undefined.
 *
 *     EL1 MRS 0xc000     EL, instruction, op0:op1:CRn:CRm:op2; "trapped" where the exception is not that of an
 *                        undefined instruction
 *
 * MSR writes what MRS has read, and zero where it reads nothing, so that registers keep their values. SYS gets the
 * address of memory that may be maintained and zeroed.
 */
#include "guest.h"

enum { STUBS = 2048, STUB_WORDS = 2 };
#define RET 0xd65f03c0u
#define SVC_EXIT 0xd4001c01u /* svc #0xe0 */

#define MRS 0xd5300000u
#define MSR 0xd5100000u
#define SYS 0xd5080000u
#define SYSL 0xd5280000u

/* An instruction and what ends it, for each encoding with the same op0 and op1. */
static u32 stubs[STUBS][STUB_WORDS] __attribute__((aligned(4096)));
static u8 scratch[4096] __attribute__((aligned(4096)));
static u64 values[STUBS];
static u8 is_read[STUBS];

#define EL0_STUBS EL0_OPS
#define EL0_SCRATCH (EL0_OPS + sizeof stubs)
static u64 tables[512 * 2] __attribute__((aligned(4096)));

/* The stubs, read-only, and the scratch page, read-write, for EL0; through the third entry of level 1. */
static void map_for_el0(void) {
  u64 *level1 = (u64 *)READ(ttbr0_el1);
  u64 *level2 = tables, *level3 = tables + 512;
  enum { PAGES = sizeof stubs / 4096 };
  level1[2] = (u64)level2 | 3;
  level2[0] = (u64)level3 | 3;
  for (u64 page = 0; page < PAGES; page++)
    level3[page] = ((u64)stubs + page * 4096) | (1ul << 53) | (1 << 10) | (3 << 8) | (3 << 6) | (1 << 2) | 3;
  level3[PAGES] = (u64)scratch | (3ul << 53) | (1 << 10) | (3 << 8) | (1 << 6) | (1 << 2) | 3;
  flush_tlb();
}

static void line(int el, const char *name, u32 encoding) {
  u64 class = taken.esr >> 26;
  if (taken.count != 0 && class == 0) return;
  print(el == 1 ? "EL1 " : "EL0 ");
  print(name);
  print(" ");
  print_hex(encoding);
  print(taken.count != 0 ? " trapped\n" : "\n");
}

/* The instruction with every CRn, CRm and op2. */
static void prepare(u32 instruction, u32 op0, u32 op1, u32 end) {
  for (u32 i = 0; i < STUBS; i++) {
    stubs[i][0] = instruction | (op0 & 1) << 19 | op1 << 16 | i << 5;
    stubs[i][1] = end;
  }
  for (u64 at = 0; at < sizeof stubs; at += 64) sync_code((u8 *)stubs + at);
}

static u64 run(int el, u32 i, u64 x0) {
  taken.count = 0;
  if (el == 1) return ((u64(*)(u64))(u64)stubs[i])(x0);
  u64 result = el0_call(EL0_STUBS + 8 * i, x0, 0, EL0T, 0, 0);
  if (taken.esr == 0x560000e0 && taken.count == 1) taken.count = 0;
  return result;
}

static void try_all(int el) {
  u32 end = el == 1 ? RET : SVC_EXIT;
  u64 address = el == 1 ? (u64)scratch : EL0_SCRATCH;
  for (u32 op0 = 2; op0 < 4; op0++)
    for (u32 op1 = 0; op1 < 8; op1++) {
      u32 first = op0 << 14 | op1 << 11;
      prepare(MRS, op0, op1, end);
      for (u32 i = 0; i < STUBS; i++) {
        values[i] = run(el, i, 0);
        is_read[i] = taken.count == 0;
        line(el, "MRS", first | i);
      }
      prepare(MSR, op0, op1, end);
      for (u32 i = 0; i < STUBS; i++) {
        run(el, i, is_read[i] ? values[i] : 0);
        line(el, "MSR", first | i);
      }
    }
  for (u32 op1 = 0; op1 < 8; op1++) {
    u32 first = 1 << 14 | op1 << 11;
    prepare(SYS, 1, op1, end);
    for (u32 i = 0; i < STUBS; i++) {
      run(el, i, address);
      line(el, "SYS", first | i);
    }
    prepare(SYSL, 1, op1, end);
    for (u32 i = 0; i < STUBS; i++) {
      run(el, i, 0);
      line(el, "SYSL", first | i);
    }
  }
}

void on_irq(u64 vector) { (void)vector; }

int main(void) {
  map_for_el0();
  try_all(1);
  try_all(0);
  print("done\n");
  return 0;
}
