/* Four CPUs: power by PSCI, exclusives, locks, events, interrupts between CPUs, TLB maintenance. GIC: 2 or 3. */
#include "guest.h"

#define CPUS 4
#define ROUNDS 5000
#define IO(address) (*(volatile u32 *)(u64)(address))
#define GICD 0x08000000u
#define GICC 0x08010000u
#define GICR_OF(cpu) (0x080a0000u + (cpu) * 0x20000u)

#define ICC_PMR s3_0_c4_c6_0
#define ICC_SGI1R s3_0_c12_c11_5
#define ICC_IAR1 s3_0_c12_c12_0
#define ICC_EOIR1 s3_0_c12_c12_1
#define ICC_SRE s3_0_c12_c12_5
#define ICC_IGRPEN1 s3_0_c12_c12_7
#define GET(name) READ_(name)
#define READ_(name) READ(name)
#define SET(name, value) WRITE_(name, value)
#define WRITE_(name, value) WRITE(name, value)

#define CPU_OFF 0x84000002
#define CPU_ON 0xc4000003
#define AFFINITY_INFO 0xc4000004

extern u8 secondary_entry[];
static u8 stacks[CPUS][4096] __attribute__((aligned(16)));

static u64 psci(u64 function, u64 a, u64 b, u64 c) {
  register u64 x0 asm("x0") = function;
  register u64 x1 asm("x1") = a;
  register u64 x2 asm("x2") = b;
  register u64 x3 asm("x3") = c;
  asm volatile(FIRMWARE : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3)::"memory", "x9", "x30");
  return x0;
}

static u64 cpu_on(u64 cpu) { return psci(CPU_ON, cpu, (u64)secondary_entry, (u64)stacks[cpu] + sizeof stacks[cpu]); }
static u64 self(void) { return READ(mpidr_el1) & 0xff; }

static void line(const char *name, u64 value) {
  print(name);
  print(" ");
  print_hex(value);
  print("\n");
}

/* Atomic by exclusives; returns the old value. */
static u64 add_exclusive(volatile u64 *at, u64 n) {
  u64 old, sum;
  u32 failed;
  asm volatile("1: ldaxr %0, [%3]; add %1, %0, %4; stlxr %w2, %1, [%3]; cbnz %w2, 1b"
               : "=&r"(old), "=&r"(sum), "=&r"(failed) : "r"(at), "r"(n) : "memory");
  return old;
}

/* A ticket lock that waits with WFE for a store to the serving number, as Linux does. */
static struct { volatile u64 next, serving; } lock;
static void take(void) {
  u64 mine = add_exclusive(&lock.next, 1), now;
  for (;;) {
    asm volatile("ldaxr %0, [%1]" : "=r"(now) : "r"(&lock.serving) : "memory");
    if (now == mine) break;
    asm volatile("wfe" ::: "memory");
  }
  asm volatile("clrex");
}
static void give(void) {
  asm volatile("stlr %0, [%1]; sev" ::"r"(lock.serving + 1), "r"(&lock.serving) : "memory");
}

/* All CPUs that take part come here before one goes on; waits with YIELD. */
static volatile u64 arrived;
static void meet(u64 cpus) {
  u64 round = add_exclusive(&arrived, 1) / cpus;
  while (arrived < (round + 1) * cpus) asm volatile("yield" ::: "memory");
}

static volatile u64 counter, locked_counter, winners, losers, interrupted, mapped_seen[CPUS], job, ids;
static volatile u64 level3[512] __attribute__((aligned(4096)));
static u8 pages[2][4096] __attribute__((aligned(4096)));
#define WINDOW 0x7fe00000ul

static void initialise_interface(u64 cpu) {
  if (GIC == 2) {
    IO(GICC) = 1;
    IO(GICC + 4) = 0xf0;
    IO(GICD + 0x100) = 0xffff;
  } else {
    SET(ICC_SRE, 7);
    IO(GICR_OF(cpu) + 0x14) &= ~2u;
    while (IO(GICR_OF(cpu) + 0x14) & 4);
    IO(GICR_OF(cpu) + 0x10080) = ~0u;
    IO(GICR_OF(cpu) + 0x10100) = 0xffff;
    SET(ICC_IGRPEN1, 1);
    SET(ICC_PMR, 0xf0);
  }
}

static void send_to_others(u32 sgi) {
  asm volatile("dsb sy" ::: "memory");
  if (GIC == 2) IO(GICD + 0xf00) = 1u << 24 | sgi;
  else SET(ICC_SGI1R, 1ul << 40 | (u64)sgi << 24);
}
static void send_to(u64 cpu, u32 sgi) {
  asm volatile("dsb sy" ::: "memory");
  if (GIC == 2) IO(GICD + 0xf00) = 1u << (16 + cpu) | sgi;
  else SET(ICC_SGI1R, (u64)sgi << 24 | 1ul << cpu);
}

void on_irq(u64 vector) {
  (void)vector;
  u32 id = GIC == 2 ? IO(GICC + 0x0c) : (u32)GET(ICC_IAR1);
  add_exclusive(&interrupted, 1);
  /* With GICv2 the number of the sender stands beside it. */
  add_exclusive(&ids, (u64)(id & 0x3ff) << (16 * self()));
  if (GIC == 2) IO(GICC + 0x10) = id;
  else SET(ICC_EOIR1, id);
}

static void count(u64 cpu) {
  meet(CPUS);
  for (u32 i = 0; i < ROUNDS; i++) add_exclusive(&counter, 1);
  for (u32 i = 0; i < ROUNDS; i++) {
    take();
    locked_counter = locked_counter + 1;
    give();
  }
  meet(CPUS);
  (void)cpu;
}

void secondary_main(void) {
  u64 cpu = self();
  if (job == 0) {
    count(cpu);
    initialise_interface(cpu);
    meet(CPUS);
    /* WFI ends for a masked interrupt, so none can slip in between the look and the wait. */
    while (!(ids >> (16 * cpu) & 0xffff)) asm volatile("wfi; msr daifclr, #2; nop; msr daifset, #2" ::: "memory");
    asm volatile("msr daifclr, #2");
    while (interrupted < CPUS - 1) asm volatile("yield");
    meet(CPUS);
    /* CPU 2 answers CPU 1, which answers CPU 0. */
    u64 before = interrupted;
    meet(CPUS);
    if (cpu == 2) {
      while (interrupted < before + 1);
      send_to(1, 5);
    }
    if (cpu == 1) {
      while (interrupted < before + 2);
      send_to(0, 6);
    }
    meet(CPUS);
    asm volatile("msr daifset, #2");
    /* The window shows another page once CPU 0 has changed it for all. */
    mapped_seen[cpu] = *(volatile u64 *)WINDOW;
    meet(CPUS);
    meet(CPUS);
    mapped_seen[cpu] |= *(volatile u64 *)WINDOW << 32;
    meet(CPUS);
  } else if (cpu != 3) {
    /* CPUs 1 and 2, with CPU 0, all want to start CPU 3. */
    meet(3);
    u64 result = cpu_on(3);
    add_exclusive(result == 0 ? &winners : &losers, 1);
    meet(3);
  } else {
    add_exclusive(&counter, 1);
    while (job != 2) asm volatile("yield");
  }
}

static void wait_until_off(u64 cpu) {
  while (psci(AFFINITY_INFO, cpu, 0, 0) != 1) asm volatile("yield");
}

int main(void) {
  line("MPIDR", READ(mpidr_el1));
  for (u64 cpu = 1; cpu < CPUS; cpu++) line("off", psci(AFFINITY_INFO, cpu, 0, 0));
  line("CPU_ON missing", psci(CPU_ON, CPUS, (u64)secondary_entry, 0));
  for (u64 cpu = 1; cpu < CPUS; cpu++) line("CPU_ON", cpu_on(cpu));
  count(0);
  line("counter", counter);
  line("locked counter", locked_counter);
  for (u64 cpu = 0; cpu < CPUS; cpu++) line("on", psci(AFFINITY_INFO, cpu, 0, 0));
  line("CPU_ON again", cpu_on(1));

  if (GIC == 2) IO(GICD) = 1;
  else IO(GICD) = 0x12;
  initialise_interface(0);
  asm volatile("msr daifclr, #2");
  meet(CPUS);
  send_to_others(3);
  while (interrupted < CPUS - 1) asm volatile("wfe");
  line("interrupted", interrupted);
  line("ids", ids);
  ids = 0;
  meet(CPUS);
  meet(CPUS);
  send_to(2, 4);
  while (interrupted < CPUS + 2);
  line("relay", ids);
  /* The window's table is there before the others look. */
  boot_level2[(WINDOW - 0x40000000ul) >> 21] = (u64)level3 | 3;
  level3[0] = (u64)pages[0] | 1 << 10 | 3 << 8 | 1 << 2 | 3;
  pages[0][0] = 0x11;
  pages[1][0] = 0x22;
  asm volatile("dsb ish; tlbi vmalle1is; dsb ish; isb" ::: "memory");
  meet(CPUS);
  asm volatile("msr daifset, #2");
  mapped_seen[0] = *(volatile u64 *)WINDOW;
  meet(CPUS);
  level3[0] = 0;
  asm volatile("dsb ishst; tlbi vaae1is, %0; dsb ish; isb" ::"r"(WINDOW >> 12) : "memory");
  level3[0] = (u64)pages[1] | 1 << 10 | 3 << 8 | 1 << 2 | 3;
  asm volatile("dsb ish; isb" ::: "memory");
  meet(CPUS);
  mapped_seen[0] |= *(volatile u64 *)WINDOW << 32;
  meet(CPUS);
  for (u64 cpu = 0; cpu < CPUS; cpu++) line("window", mapped_seen[cpu]);

  for (u64 cpu = 1; cpu < CPUS; cpu++) wait_until_off(cpu);
  print("all off\n");
  job = 1;
  arrived = 0;
  counter = 0;
  line("CPU_ON", cpu_on(1));
  line("CPU_ON", cpu_on(2));
  meet(3);
  u64 result = cpu_on(3);
  add_exclusive(result == 0 ? &winners : &losers, 1);
  meet(3);
  /* QEMU 7.2 lets several win (PSCI CPU_ON: ON_PENDING or ALREADY_ON for all but one). */
  line("~winners", winners);
  line("~losers", losers);
  while (counter != 1);
  job = 2;
  for (u64 cpu = 1; cpu < CPUS; cpu++) wait_until_off(cpu);
  line("started once", counter);
  print("done\n");
  return 0;
}
