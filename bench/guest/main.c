/* Runs the kernels and prints `name group checksum microseconds`, one line each, then powers off. */
#include "kernels.h"

#define PL011_DR (*(volatile u32 *)0x09000000)
#define PL011_FR (*(volatile u32 *)0x09000018)
#define FR_TXFF (1u << 5)

/* GCC calls these even for freestanding programs. */
void *memset(void *to, int value, u64 count) {
  for (u8 *at = to; count--; at++) *at = (u8)value;
  return to;
}

void *memcpy(void *restrict to, const void *restrict from, u64 count) {
  u8 *out = to;
  for (const u8 *in = from; count--;) *out++ = *in++;
  return to;
}

void power_off(void) __attribute__((noreturn));

static void print(const char *text) {
  for (; *text; text++) {
    while (PL011_FR & FR_TXFF);
    PL011_DR = (u8)*text;
  }
}

static void print_hex(u64 value) {
  char text[17];
  for (int i = 0; i < 16; i++) text[i] = "0123456789abcdef"[value >> (60 - 4 * i) & 15];
  text[16] = 0;
  print(text);
}

static void print_decimal(u64 value) {
  char text[21];
  char *first = text + 20;
  *first = 0;
  do *--first = (char)('0' + value % 10);
  while (value /= 10);
  print(first);
}

static u64 ticks(void) {
  u64 value;
  __asm__ volatile("isb\n\tmrs %0, cntvct_el0" : "=r"(value)::"memory");
  return value;
}

static u64 ticks_per_second(void) {
  u64 value;
  __asm__("mrs %0, cntfrq_el0" : "=r"(value));
  return value;
}

void unexpected_exception(u64 esr, u64 elr, u64 far) {
  print("\nunexpected exception: ESR ");
  print_hex(esr);
  print(" ELR ");
  print_hex(elr);
  print(" FAR ");
  print_hex(far);
  print("\n");
  power_off();
}

/* Whether `name` is one of the words of SELECTION, which the build states; with no words all are. */
static int is_selected(const char *name) {
  static const char selection[] = SELECTION;
  const char *at = selection;
  if (!*at) return 1;
  while (*at) {
    const char *rest = name;
    while (*rest && *at == *rest) at++, rest++;
    if (!*rest && (*at == ',' || !*at)) return 1;
    while (*at && *at++ != ',');
  }
  return 0;
}

void benchmark_main(void) {
  map_pages();
  for (const struct kernel *kernel = kernels; kernel->name; kernel++) {
    if (!is_selected(kernel->name)) continue;
    const u64 rounds = kernel->rounds * PERCENT / 100;
    const u64 start = ticks();
    const u64 checksum = kernel->run(rounds ? rounds : 1);
    const u64 elapsed = ticks() - start;
    print(kernel->name);
    print(" ");
    print(kernel->group);
    print(" ");
    print_hex(checksum);
    print(" ");
    print_decimal(elapsed * 1000000 / ticks_per_second());
    print("\n");
  }
  print("done\n");
}
