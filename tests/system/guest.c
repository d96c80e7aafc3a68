#include "guest.h"

/* GCC calls these even for freestanding programs. */
void *memset(void *to, int value, u64 count) {
  for (volatile u8 *at = to; count--; at++) *at = (u8)value;
  return to;
}

void *memcpy(void *to, const void *from, u64 count) {
  volatile u8 *out = to;
  for (const u8 *in = from; count--;) *out++ = *in++;
  return to;
}

void print(const char *text) {
  for (; *text; text++) PL011_DR = (u8)*text;
}

void print_hex(u64 value) {
  char text[19] = "0x";
  int digits = 1;
  while (digits < 16 && value >> (4 * digits)) digits++;
  for (int i = 0; i < digits; i++) text[2 + i] = "0123456789abcdef"[value >> (4 * (digits - 1 - i)) & 15];
  text[2 + digits] = 0;
  print(text);
}

void print_decimal(u64 value) {
  char text[21];
  char *first = text + 20;
  *first = 0;
  do *--first = (char)('0' + value % 10);
  while (value /= 10);
  print(first);
}

void report(const char *name, u64 pc, u64 result) {
  print(name);
  if (taken.count == 0) {
    print(" ok ");
    print_hex(result);
  } else {
    u64 class = taken.esr >> 26;
    print(" vector ");
    print_hex(taken.vector * 0x80);
    print(" ESR ");
    print_hex(class == 0x24 || class == 0x25 ? taken.esr & ~DATA_ABORT_DETAILS : taken.esr);
    print(" ELR ");
    if (taken.elr - pc < 64) {
      print("+");
      print_hex(taken.elr - pc);
    } else {
      print_hex(taken.elr);
    }
    /* Aborts and PC alignment faults set FAR_EL1. */
    if (class == 0x20 || class == 0x21 || class == 0x22 || class == 0x24 || class == 0x25) {
      print(" FAR ");
      print_hex(taken.far);
    }
    if (taken.count > 1) {
      print(" exceptions ");
      print_decimal(taken.count);
    }
  }
  print("\n");
}

u64 try_el1(const char *name, op *operation, u64 address, u64 data) {
  taken.count = 0;
  u64 result = operation(address, data);
  report(name, (u64)operation, result);
  return result;
}

static u64 el0_tables[512 * 2] __attribute__((aligned(4096)));
extern u64 boot_level1[];

/* 64 KiB of pages at EL0_OPS, through the third entry of the boot's level 1 table. */
void map_ops_for_el0(void) {
  u64 *level1 = (u64 *)READ(ttbr0_el1);
  u64 *level2 = el0_tables, *level3 = el0_tables + 512;
  level1[2] = (u64)level2 | 3;
  level2[0] = (u64)level3 | 3;
  for (u64 page = 0; page < 16; page++)
    level3[page] = ((u64)ops_start + page * 4096) | (1ul << 53) | (1 << 10) | (3 << 8) | (3 << 6) | (1 << 2) | 3;
  flush_tlb();
}

u64 try_el0(const char *name, op *operation, u64 address, u64 data) {
  taken.count = 0;
  u64 result = el0_call(EL0(operation), address, 0, EL0T, EL0(op_exit), data);
  /* Nothing happened but the way back. */
  if (taken.esr == 0x560000e0 && taken.elr == EL0(op_exit) + 4) taken.count = 0;
  report(name, EL0(operation), result);
  return result;
}
