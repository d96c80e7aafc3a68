/* Bank 1 of the flash as data and as code, in array mode and while it isn't. */
#include "guest.h"

#define BANK 0x04000000ul
#define F32 ((volatile u32 *)BANK)
/* Two 16-bit devices side by side. */
#define COMMAND(value) ((u32)(value) << 16 | (value))
#define BLOCK_LENGTH 0x40000

static u64 level2[512] __attribute__((aligned(4096)));

void on_irq(u64 vector) {
  print_hex(vector);
  print(" unexpected interrupt\n");
  power_off();
}

static void line(const char *name, u64 value) {
  print(name);
  print(" ");
  print_hex(value);
  print("\n");
}

static void wait(void) {
  while ((F32[0] & COMMAND(0x80)) != COMMAND(0x80));
}

static void program(u32 index, u32 value) {
  F32[index] = COMMAND(0x40);
  F32[index] = value;
  wait();
}

static void reads(const char *name) {
  u64 low, high;
  print(name);
  print("\n");
  line("byte", *(volatile u8 *)(BANK + 1));
  line("halfword", *(volatile unsigned short *)(BANK + 2));
  line("word", F32[1]);
  line("doubleword", *(volatile u64 *)BANK);
  asm volatile("ldp %0, %1, [%2]" : "=r"(low), "=r"(high) : "r"(BANK) : "memory");
  line("pair", low);
  line("", high);
  register u64 x0 asm("x0") = BANK;
  register u64 x1 asm("x1");
  asm volatile(".inst 0x3dc00000; .inst 0x4e183c01; fmov x0, d0" : "+r"(x0), "=r"(x1)::"memory");
  line("vector", x0);
  line("", x1);
}

int main(void) {
  WRITE(cpacr_el1, 3ul << 20);
  /* Device memory that may be executed: the bank as Normal memory, as firmware maps it. */
  u64 *level1 = (u64 *)READ(ttbr0_el1);
  for (u64 i = 0; i < 512; i++) level2[i] = i << 21 | 1 | (1 << 10) | 3ul << 53;
  for (u64 i = 0; i < 64; i++) level2[i] = i << 21 | 1 | (i < 32 ? 2 << 2 : 1 << 2) | (3 << 8) | (1 << 10);
  level1[0] = (u64)level2 | 3;
  flush_tlb();

  /* Bank 0 is where we came from. */
  line("bank 0", *(volatile u32 *)0 == *(volatile u32 *)0x40080000);
  F32[0] = COMMAND(0x20);
  F32[0] = COMMAND(0xd0);
  wait();
  line("status", F32[0]);
  F32[0] = COMMAND(0xff);
  reads("erased");
  static const u32 code[] = {
      0xd2802460, /* mov x0, #0x123 */
      0x91000400, /* add x0, x0, #1 */
      0xd65f03c0, /* ret */
      0x12345678, 0x9abcdef0, 0x0fedcba9,
  };
  for (u32 i = 0; i < ARRAY_LENGTH(code); i++) program(i, code[i]);
  F32[0] = COMMAND(0xff);
  reads("programmed");
  line("run", guarded_call(BANK, 0));
  /* A word of code changes under its address: bits are cleared. 0x123 becomes 0x103. */
  program(0, 0xd2802060);
  F32[0] = COMMAND(0xff);
  sync_code(F32);
  /* QEMU 7.2 still executes what was there before. */
  line("~run", guarded_call(BANK, 0));
  F32[0] = COMMAND(0x90);
  print("identifier mode\n");
  line("manufacturer", F32[0] & 0xffff);
  F32[0] = COMMAND(0x98);
  print("query mode\n");
  line("Q", F32[0x10] & 0xff);
  line("R", F32[0x11] & 0xff);
  line("Y", F32[0x12] & 0xff);
  F32[0] = COMMAND(0x70);
  /* QEMU 7.2 has no ready bit before the next operation. */
  line("~status", F32[0]);
  F32[0] = COMMAND(0xff);
  reads("array again");
  line("~run", guarded_call(BANK, 0));
  print("done\n");
  return 0;
}
