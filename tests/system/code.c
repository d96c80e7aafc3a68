/* Code that changes, translations that change, the exclusive monitor, code at page ends. */
#include "guest.h"

#define LEAF (3ul | (1 << 2) | (3 << 8) | (1 << 10))
#define NG (1ul << 11)
#define MOV_X0(value) (0xd2800000u | (u32)(value) << 5)
#define RET 0xd65f03c0u
#define ADD_X0(value) (0x91000000u | (u32)(value) << 10)
/* B by a distance in bytes. */
#define B(distance) (0x14000000u | ((u32)((distance) / 4) & 0x3ffffff))

static u64 level2[512] __attribute__((aligned(4096)));
static u64 level3[512] __attribute__((aligned(4096)));
static u8 pages[8][4096] __attribute__((aligned(4096)));
#define VA 0xc0000000ul
#define AT(page) ((volatile u32 *)(VA + 4096ul * (page)))

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

static u64 run(const volatile void *code) {
  taken.count = 0;
  u64 result = guarded_call((u64)code, 0);
  return taken.count ? 0xbad00000 | taken.esr >> 26 : result;
}

static void remap(u32 page, u64 physical, u64 more) {
  level3[page] = physical | LEAF | more;
  asm volatile("dsb ishst" ::: "memory");
}

static void tlbi_va(u64 va, u64 asid) {
  asm volatile("tlbi vae1, %0; dsb ish; isb" ::"r"(asid << 48 | (va >> 12 & 0xfffffffffff)) : "memory");
}

static void changing_code(void) {
  volatile u32 *code = AT(0);
  for (u32 i = 0; i < 5; i++) {
    code[0] = MOV_X0(i + 1);
    code[1] = RET;
    sync_code(code);
    line("rewritten", run(code));
  }
  /* Through another address. */
  remap(1, (u64)pages[0], 0);
  tlbi_va(VA + 4096, 0);
  for (u32 i = 0; i < 3; i++) {
    AT(1)[0] = MOV_X0(0x100 + i);
    sync_code(AT(1));
    line("through an alias", run(code));
  }
  /* Each kind of store. */
  u64 pair = MOV_X0(0x21) | (u64)RET << 32;
  asm volatile("str %1, [%0]" ::"r"(code), "r"(pair) : "memory");
  sync_code(code);
  line("64-bit store", run(code));
  pair = MOV_X0(0x22) | (u64)RET << 32;
  asm volatile("stp %1, %1, [%0]" ::"r"(code), "r"(pair) : "memory");
  sync_code(code);
  line("STP", run(code));
  asm volatile("strh %w1, [%0]" ::"r"(code), "r"(MOV_X0(0x23) & 0xffff) : "memory");
  sync_code(code);
  line("STRH", run(code));
  asm volatile("strb %w1, [%0]" ::"r"(code), "r"(MOV_X0(0x24) & 0xff) : "memory");
  sync_code(code);
  line("STRB", run(code));
  u64 old;
  u32 failed;
  do asm volatile("ldxr %0, [%2]; stxr %w1, %3, [%2]" : "=&r"(old), "=&r"(failed) : "r"(code), "r"(MOV_X0(0x25) | (u64)RET << 32) : "memory");
  while (failed);
  sync_code(code);
  line("STXR", run(code));
  asm volatile("str %w1, [%0, #2]; str %w2, [%0, #-2]" ::"r"(code + 4), "r"(0x12345678), "r"(0) : "memory");
  asm volatile("str %1, [%0, #-2]" ::"r"(code + 4), "r"(((u64)MOV_X0(0x26) << 16) | ((u64)(RET & 0xffff) << 48)) : "memory");
  ((volatile u8 *)code)[22] = RET >> 16 & 0xff;
  ((volatile u8 *)code)[23] = RET >> 24;
  sync_code(code);
  line("unaligned stores", run(code + 4));
  WRITE(cpacr_el1, 3ul << 20);
  /* dup v0.2d, x1; str q0, [x0] */
  register u64 at asm("x0") = (u64)code;
  register u64 both asm("x1") = MOV_X0(0x27) | (u64)RET << 32;
  asm volatile(".inst 0x4e080c20; .inst 0x3d800000" ::"r"(at), "r"(both) : "memory");
  sync_code(code);
  line("STR Q", run(code));
  asm volatile("dc zva, %0; dsb ish" ::"r"(code) : "memory");
  sync_code(code);
  line("DC ZVA", run(code));
  /* A page end: one store changes the last word of a page and the first of the next. */
  remap(2, (u64)pages[2], 0);
  remap(3, (u64)pages[3], 0);
  flush_tlb();
  AT(2)[1022] = MOV_X0(0);
  for (u32 i = 1; i < 4; i++) {
    AT(2)[1023] = ADD_X0(i);
    AT(3)[0] = ADD_X0(i * 16);
    AT(3)[1] = RET;
    sync_code(AT(2) + 1023);
    sync_code(AT(3));
    line("across pages", run(AT(2) + 1022));
    u64 two = ADD_X0(i + 4) | (u64)ADD_X0(i * 64) << 32;
    asm volatile("str %1, [%0]" ::"r"(AT(2) + 1023), "r"(two) : "memory");
    sync_code(AT(2) + 1023);
    sync_code(AT(3));
    line("stored across pages", run(AT(2) + 1022));
  }
  /* Code that writes the instruction some way ahead, with the maintenance that is due. x0 points at the word. */
  static const u32 writer[] = {
      0xb9000001, /* str w1, [x0] */
      0xd50b7b20, /* dc cvau, x0 */
      0xd5033b9f, /* dsb ish */
      0xd50b7520, /* ic ivau, x0 */
      0xd5033b9f, /* dsb ish */
      0xd5033fdf, /* isb */
      0xd2800000, /* overwritten */
      RET,
  };
  for (u32 i = 0; i < ARRAY_LENGTH(writer); i++) AT(0)[64 + i] = writer[i];
  sync_code(AT(0) + 64);
  for (u32 i = 0; i < 4; i++) {
    register u64 x0 asm("x0") = (u64)(AT(0) + 70);
    register u64 x1 asm("x1") = MOV_X0(0x55 + i);
    asm volatile("blr %2" : "+r"(x0) : "r"(x1), "r"(AT(0) + 64) : "x30", "memory");
    line("just ahead", x0);
  }
  /* Data beside code, written while the code runs. */
  static const u32 counter[] = {
      0xd2800000, /* mov x0, #0 */
      0x10000141, /* adr x1, .+40 */
      0xf9400022, /* ldr x2, [x1] */
      0x91000442, /* add x2, x2, #1 */
      0xf9000022, /* str x2, [x1] */
      0x91000400, /* add x0, x0, #1 */
      0xf107d01f, /* cmp x0, #500 */
      0x54ffff61, /* b.ne .-20 */
      0xaa0203e0, /* mov x0, x2 */
      RET,
  };
  for (u32 i = 0; i < ARRAY_LENGTH(counter); i++) AT(0)[128 + i] = counter[i];
  for (u32 i = 0; i < 8; i++) AT(0)[138 + i] = 0;
  for (u32 i = 0; i < ARRAY_LENGTH(counter); i += 4) sync_code(AT(0) + 128 + i);
  line("data beside code", run(AT(0) + 128));
  line("again", run(AT(0) + 128));
}

static void branches(void) {
  remap(2, (u64)pages[2], 0);
  remap(3, (u64)pages[3], 0);
  flush_tlb();
  /* From the last word of a page on and back. */
  AT(2)[1023] = B(4 + 4 * 10);
  AT(3)[10] = ADD_X0(1);
  AT(3)[11] = B(-4 * (11 + 1024 - 1000));
  AT(2)[1000] = ADD_X0(2);
  AT(2)[1001] = RET;
  AT(3)[0] = B(-4);
  AT(3)[1023] = B(-4 * 1023);
  sync_code(AT(2) + 1000);
  sync_code(AT(2) + 1023);
  sync_code(AT(3));
  sync_code(AT(3) + 10);
  sync_code(AT(3) + 1023);
  line("branch at a page's end", run(AT(2) + 1023));
  line("to the last word", run(AT(3)));
  line("from the last to the first", run(AT(3) + 1023));
  remap(4, (u64)pages[4], 0);
  tlbi_va(VA + 4 * 4096, 0);
  level3[5] = 0;
  tlbi_va(VA + 5 * 4096, 0);
  AT(4)[1023] = ADD_X0(3);
  sync_code(AT(4) + 1023);
  taken.count = 0;
  guarded_call((u64)(AT(4) + 1023), 0);
  report("off the end", (u64)AT(5), 0);
}

static void translations(void) {
  for (u32 i = 0; i < 8; i++) {
    *(volatile u64 *)pages[i] = 0x1000 + i;
    *(volatile u32 *)(pages[i] + 64) = MOV_X0(0x2000 + i);
    *(volatile u32 *)(pages[i] + 68) = RET;
    sync_code(pages[i] + 64);
  }
#define LOOK(name)                                                                                                     \
  print(name);                                                                                                         \
  print(" ");                                                                                                          \
  print_hex(*(volatile u64 *)AT(6));                                                                                   \
  line("", run(AT(6) + 16))
  remap(6, (u64)pages[1], 0);
  flush_tlb();
  LOOK("page 1");
  remap(6, (u64)pages[2], 0);
  tlbi_va(VA + 6 * 4096, 0);
  LOOK("VAE1");
  remap(6, (u64)pages[3], 0);
  asm volatile("tlbi vaae1is, %0; dsb ish; isb" ::"r"((VA + 6 * 4096) >> 12));
  LOOK("VAAE1IS");
  remap(6, (u64)pages[4], 0);
  asm volatile("tlbi vale1, %0; dsb ish; isb" ::"r"((VA + 6 * 4096) >> 12));
  LOOK("VALE1");
  remap(6, (u64)pages[5], 0);
  asm volatile("tlbi vmalle1is; dsb ish; isb");
  LOOK("VMALLE1IS");
  /* Address spaces: entries of one ASID are not seen by another. */
  u64 ttbr = READ(ttbr0_el1);
  for (u64 asid = 1; asid < 4; asid++) {
    WRITE(ttbr0_el1, ttbr | asid << 48);
    remap(6, (u64)pages[asid], NG);
    LOOK("a new ASID");
  }
  for (u64 asid = 1; asid < 4; asid++) {
    WRITE(ttbr0_el1, ttbr | asid << 48);
    remap(6, (u64)pages[asid + 4], NG);
    asm volatile("tlbi aside1, %0; dsb ish; isb" ::"r"(asid << 48));
    LOOK("ASIDE1");
  }
  WRITE(ttbr0_el1, ttbr);
  /* Permissions that change. */
  remap(6, (u64)pages[1], 1 << 7);
  asm volatile("tlbi vmalle1; dsb ish; isb");
  try_el1("read-only", op_str, VA + 6 * 4096, 1);
  remap(6, (u64)pages[1], 0);
  tlbi_va(VA + 6 * 4096, 0);
  try_el1("writable", op_str, VA + 6 * 4096, 0x1001);
  remap(6, (u64)pages[1], 1ul << 53);
  tlbi_va(VA + 6 * 4096, 0);
  LOOK("PXN");
  level3[6] = 0;
  asm volatile("dsb ishst");
  tlbi_va(VA + 6 * 4096, 0);
  try_el1("gone", op_ldr, VA + 6 * 4096, 0);
  /* From nothing to something needs no TLBI. */
  remap(6, (u64)pages[2], 0);
  asm volatile("isb");
  LOOK("there again");
  /* A block in place of a table. */
  u64 table = level2[0];
  level2[0] = (0x40000000ul + 0x4000000) | 1 | (1 << 2) | (3 << 8) | (1 << 10);
  *(volatile u64 *)(0x44000000 + 6 * 4096) = 0xb10c;
  *(volatile u32 *)(0x44000000 + 6 * 4096 + 64) = MOV_X0(0xb10c);
  *(volatile u32 *)(0x44000000 + 6 * 4096 + 68) = RET;
  flush_tlb();
  LOOK("block");
  level2[0] = 0;
  asm volatile("dsb ishst");
  tlbi_va(VA + 6 * 4096, 0);
  try_el1("nothing", op_ldr, VA + 6 * 4096, 0);
  level2[0] = table;
  asm volatile("dsb ishst; isb");
  LOOK("table");
}

static volatile u64 word[4] __attribute__((aligned(64)));

static void exclusives(void) {
  u64 value;
  u32 failed;
#define EXCLUSIVE(name, between)                                                                                       \
  word[0] = 0x11;                                                                                                      \
  word[1] = 0x22;                                                                                                      \
  asm volatile("ldxr %0, [%2]; " between "; stxr %w1, %3, [%2]"                                                        \
               : "=&r"(value), "=&r"(failed) : "r"(word), "r"(0x33ul), "r"(0x44ul), "r"(word + 1) : "memory");         \
  print(name);                                                                                                         \
  print(" ");                                                                                                          \
  print_hex(value);                                                                                                    \
  print(failed ? " failed " : " stored ");                                                                             \
  line("", word[0])
  EXCLUSIVE("LDXR, STXR", "nop");
  EXCLUSIVE("CLREX", "clrex");
  EXCLUSIVE("another value in between", "str %4, [%2]");
  EXCLUSIVE("exception in between", "svc #5");
  EXCLUSIVE("STXR elsewhere", "stxr %w1, %4, [%5]");
  EXCLUSIVE("STXR twice", "stxr %w1, %4, [%2]");
  EXCLUSIVE("LDXR elsewhere", "ldxr %0, [%5]");
  EXCLUSIVE("LDXR again", "ldxr %0, [%2]");
  EXCLUSIVE("other data written", "str %4, [%5]");
  u64 low, high;
  word[0] = 1;
  word[1] = 2;
  asm volatile("ldxp %0, %1, [%3]; stxp %w2, %1, %0, [%3]" : "=&r"(low), "=&r"(high), "=&r"(failed) : "r"(word) : "memory");
  print(failed ? "LDXP failed" : "LDXP stored");
  line("", word[0] << 4 | word[1]);
  asm volatile("ldxp %w0, %w1, [%3]; stxp %w2, %w1, %w0, [%3]" : "=&r"(low), "=&r"(high), "=&r"(failed) : "r"(word) : "memory");
  print(failed ? "LDXP words failed" : "LDXP words stored");
  line("", word[0]);
  asm volatile("ldaxrb %w0, [%2]; add %w0, %w0, #5; stlxrb %w1, %w0, [%2]" : "=&r"(value), "=&r"(failed) : "r"((u8 *)word + 3) : "memory");
  print(failed ? "bytes failed" : "bytes stored");
  line("", word[0]);
  asm volatile("ldaxrh %w0, [%2]; add %w0, %w0, #7; stlxrh %w1, %w0, [%2]" : "=&r"(value), "=&r"(failed) : "r"((u8 *)word + 6) : "memory");
  print(failed ? "halfwords failed" : "halfwords stored");
  line("", word[0]);
  /* To a page that may be read only. */
  remap(6, (u64)pages[6], 1 << 7);
  tlbi_va(VA + 6 * 4096, 0);
  taken.count = 0;
  asm volatile("ldxr %0, [%2]; stxr %w1, %0, [%2]" : "=&r"(value), "=&r"(failed) : "r"(AT(6)) : "memory");
  report("read-only", taken.elr, 0);
  line("count", taken.count);
}

int main(void) {
  u64 *level1 = (u64 *)READ(ttbr0_el1);
  level1[3] = (u64)level2 | 3;
  level2[0] = (u64)level3 | 3;
  remap(0, (u64)pages[0], 0);
  flush_tlb();
  changing_code();
  branches();
  translations();
  exclusives();
  print("done\n");
  return 0;
}
