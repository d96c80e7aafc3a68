/* Firmware calls by HVC. */
#include "guest.h"

void on_irq(u64 vector) {
  print_hex(vector);
  print(" unexpected interrupt\n");
  power_off();
}

static u64 kept;

static u64 call(u64 function, u64 a, u64 b, u64 c) {
  register u64 x0 asm("x0") = function;
  register u64 x1 asm("x1") = a;
  register u64 x2 asm("x2") = b;
  register u64 x3 asm("x3") = c;
  register u64 x4 asm("x4") = 0x4444;
  register u64 x17 asm("x17") = 0x1717;
  asm volatile("hvc #0" : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3), "+r"(x4), "+r"(x17)::"memory");
  kept = x4 == 0x4444 && x17 == 0x1717;
  return x0;
}

static void line(const char *name, u64 function, u64 a, u64 b, u64 c) {
  u64 result = call(function, a, b, c);
  print(name);
  print(" ");
  print_hex(result);
  print(kept ? "\n" : " registers lost\n");
}

int main(void) {
  map_ops_for_el0();
  line("version", 0x84000000, 0, 0, 0);
  line("features: version", 0x8400000a, 0x84000000, 0, 0);
  line("features: CPU_ON", 0x8400000a, 0x84000003, 0, 0);
  line("features: CPU_ON 64", 0x8400000a, 0xc4000003, 0, 0);
  line("features: CPU_OFF", 0x8400000a, 0x84000002, 0, 0);
  line("features: CPU_SUSPEND", 0x8400000a, 0xc4000001, 0, 0);
  line("features: AFFINITY_INFO", 0x8400000a, 0xc4000004, 0, 0);
  line("features: SYSTEM_OFF", 0x8400000a, 0x84000008, 0, 0);
  line("features: SYSTEM_RESET", 0x8400000a, 0x84000009, 0, 0);
  line("features: features", 0x8400000a, 0x8400000a, 0, 0);
  line("features: MIGRATE", 0x8400000a, 0x84000005, 0, 0);
  line("features: unknown", 0x8400000a, 0x84000077, 0, 0);
  line("features: 64-bit CPU_OFF", 0x8400000a, 0xc4000002, 0, 0);
  line("MIGRATE_INFO_TYPE", 0x84000006, 0, 0, 0);
  line("MIGRATE", 0x84000005, 0, 0, 0);
  line("CPU_ON myself", 0xc4000003, 0, 0x40080000, 0);
  line("CPU_ON missing", 0xc4000003, 7, 0x40080000, 0);
  line("CPU_ON missing cluster", 0x84000003, 0x100, 0x40080000, 0);
  line("AFFINITY_INFO", 0xc4000004, 0, 0, 0);
  line("AFFINITY_INFO 32", 0x84000004, 0, 0, 0);
  line("AFFINITY_INFO missing", 0xc4000004, 9, 0, 0);
  /* QEMU 7.2 takes any level, and all of X0 for the function. */
  line("~AFFINITY_INFO level", 0xc4000004, 0, 4, 0);
  line("unknown PSCI", 0x840000ff, 0, 0, 0);
  line("unknown architecture call", 0x80007fff, 0, 0, 0);
  line("unknown vendor call", 0xc6000001, 0, 0, 0);
  line("unknown yielding call", 0x00000001, 0, 0, 0);
  line("all ones", ~0ul, 0, 0, 0);
  line("~upper half ignored", 0x1234567884000006, 0, 0, 0);
  try_el0("hvc at EL0", op_hvc, 0x84000000, 0);
  try_el0("smc at EL0", op_smc, 0x84000000, 0);
  print("done\n");
  return 0;
}
