/* Generic timers, WFI, and the interrupt controller's CPU interface. GIC: 2 or 3. */
#include "guest.h"

#define IO(address) (*(volatile u32 *)(u64)(address))
#define GICD 0x08000000u
#define GICC 0x08010000u
#define GICR_SGI 0x080b0000u
/* Where SGIs and PPIs have their registers. */
#define LOCAL (GIC == 2 ? GICD : GICR_SGI)

/* A host's physical timer is EL2's; the virtual one is EL1's by its other name: QEMU 7.2 doesn't connect EL2's. */
#define VIRTUAL_TIMER 27
#ifdef HOST
#define PHYSICAL_TIMER 26
#define CNTV_CTL s3_5_c14_c3_1
#define CNTV_CVAL s3_5_c14_c3_2
#define CNTV_TVAL s3_5_c14_c3_0
#else
#define PHYSICAL_TIMER 30
#define CNTV_CTL cntv_ctl_el0
#define CNTV_CVAL cntv_cval_el0
#define CNTV_TVAL cntv_tval_el0
#endif
#define ENABLE 1
#define IMASK 2

#define ICC_PMR s3_0_c4_c6_0
#define ICC_IAR0 s3_0_c12_c8_0
#define ICC_EOIR0 s3_0_c12_c8_1
#define ICC_DIR s3_0_c12_c11_1
#define ICC_RPR s3_0_c12_c11_3
#define ICC_SGI1R s3_0_c12_c11_5
#define ICC_SGI0R s3_0_c12_c11_7
#define ICC_IAR1 s3_0_c12_c12_0
#define ICC_EOIR1 s3_0_c12_c12_1
#define ICC_HPPIR1 s3_0_c12_c12_2
#define ICC_BPR1 s3_0_c12_c12_3
#define ICC_CTLR s3_0_c12_c12_4
#define ICC_SRE s3_0_c12_c12_5
#define ICC_IGRPEN0 s3_0_c12_c12_6
#define ICC_IGRPEN1 s3_0_c12_c12_7
/* The names above expand before they get to READ and WRITE. */
#define GET(name) READ_(name)
#define READ_(name) READ(name)
#define SET(name, value) WRITE_(name, value)
#define WRITE_(name, value) WRITE(name, value)

static u32 acknowledge(void) { return GIC == 2 ? IO(GICC + 0x0c) : GET(ICC_IAR1); }
static void end(u32 id) {
  if (GIC == 2) IO(GICC + 0x10) = id;
  else SET(ICC_EOIR1, id);
}
static void deactivate(u32 id) {
  if (GIC == 2) IO(GICC + 0x1000) = id;
  else SET(ICC_DIR, id);
}
static u32 running_priority(void) { return GIC == 2 ? IO(GICC + 0x14) : GET(ICC_RPR); }
static u32 highest_pending(void) { return GIC == 2 ? IO(GICC + 0x18) : GET(ICC_HPPIR1); }
static void set_mask(u32 priority) {
  if (GIC == 2) IO(GICC + 4) = priority;
  else SET(ICC_PMR, priority);
}
static void set_binary_point(u32 value) {
  if (GIC == 2) IO(GICC + 8) = value;
  else SET(ICC_BPR1, value);
}
static void split_end(u32 on) {
  if (GIC == 2) IO(GICC) = 1 | on << 9;
  else SET(ICC_CTLR, on << 1);
}
static void send(u32 sgi) {
  if (GIC == 2) IO(GICD + 0xf00) = 2u << 24 | sgi;
  else SET(ICC_SGI1R, (u64)sgi << 24 | 1);
}
static void priority(u32 id, u32 value) { ((volatile u8 *)(u64)(LOCAL + 0x400))[id] = value; }
static void enable(u32 id) { IO(LOCAL + 0x100) = 1u << id; }
static u32 pending(void) { return IO(LOCAL + 0x200); }
static u32 active(void) { return IO(LOCAL + 0x300); }

static void initialise(void) {
  if (GIC == 2) {
    IO(GICD) = 1;
    IO(GICC) = 1;
  } else {
    SET(ICC_SRE, 7);
    IO(GICD) = 0x12; /* affinity routing, group 1 */
    IO(GICR_SGI - 0x10000 + 0x14) &= ~2u; /* awake */
    while (IO(GICR_SGI - 0x10000 + 0x14) & 4);
    IO(LOCAL + 0x80) = ~0u; /* all in group 1 */
    SET(ICC_IGRPEN1, 1);
    SET(ICC_CTLR, 0);
  }
  IO(LOCAL + 0x180) = ~0u;
  IO(LOCAL + 0x100) = 0xffff;
  set_mask(0xf0);
}

static void line(const char *name, u64 value) {
  print(name);
  print(" ");
  print_hex(value);
  print("\n");
}

static u32 nested;
static void (*during)(u32 id);

void on_irq(u64 vector) {
  if (vector % 4 == 2) {
    u32 id = GIC == 2 ? acknowledge() : (u32)GET(ICC_IAR0);
    print("FIQ, vector ");
    print_hex(vector * 0x80);
    line(" id", id);
    if (GIC == 2) end(id);
    else SET(ICC_EOIR0, id);
    return;
  }
  u32 id = acknowledge();
  for (u32 i = 0; i < nested; i++) print("  ");
  print("IRQ, vector ");
  print_hex(vector * 0x80);
  print(" id ");
  print_decimal(id & 0x3ff);
  line(" running at", running_priority());
  if ((id & 0x3ff) == VIRTUAL_TIMER) SET(CNTV_CTL, 0);
  if ((id & 0x3ff) == PHYSICAL_TIMER) WRITE(cntp_ctl_el0, 0);
  if (during) {
    nested++;
    during(id & 0x3ff);
    nested--;
  }
  if ((id & 0x3ff) < 1020) end(id);
}

static void unmask(void) { asm volatile("msr daifclr, #3; isb; nop; nop" ::: "memory"); }
static void mask(void) { asm volatile("msr daifset, #3" ::: "memory"); }
static void window(const char *name) {
  print(name);
  print("\n");
  unmask();
  mask();
}

static void timers(void) {
  enable(VIRTUAL_TIMER);
  enable(PHYSICAL_TIMER);
  for (u32 round = 0; round < 3; round++) {
    u64 due = READ(cntvct_el0) + READ(cntfrq_el0) / 20;
    SET(CNTV_CVAL, due);
    SET(CNTV_CTL, ENABLE);
    line("ISTATUS before", GET(CNTV_CTL) >> 2);
    do asm volatile("wfi");
    while (!READ(isr_el1));
    line("woken in time", READ(cntvct_el0) >= due);
    line("ISR_EL1", READ(isr_el1));
    line("pending", highest_pending());
    line("CTL", GET(CNTV_CTL));
    window("virtual timer");
    line("ISR_EL1", READ(isr_el1));
    WRITE(cntp_tval_el0, READ(cntfrq_el0) / 2000);
    WRITE(cntp_ctl_el0, ENABLE);
    do asm volatile("wfi");
    while (!READ(isr_el1));
    window("physical timer");
  }
  print("taken away\n");
  SET(CNTV_TVAL, -1);
  SET(CNTV_CTL, ENABLE);
  line("ISR_EL1", READ(isr_el1));
  SET(CNTV_CTL, ENABLE | IMASK);
  line("masked, ISR_EL1", READ(isr_el1));
  line("CTL", GET(CNTV_CTL));
  SET(CNTV_CTL, ENABLE);
  line("ISR_EL1", READ(isr_el1));
  SET(CNTV_CVAL, ~0ul >> 1);
  line("later, ISR_EL1", READ(isr_el1));
  window("nothing");
  line("spurious", acknowledge() & 0x3ff);
  SET(CNTV_TVAL, 100000);
  line("TVAL is relative", (long)(GET(CNTV_CVAL) - READ(cntvct_el0)) <= 100000);
  SET(CNTV_TVAL, 0x80000000);
  line("TVAL has a sign", GET(CNTV_CVAL) < READ(cntvct_el0) || GET(CNTV_CVAL) >> 63);
  SET(CNTV_CTL, 0);
  /* Both at once: the lower number first. */
  WRITE(cntp_tval_el0, -1);
  SET(CNTV_TVAL, -1);
  WRITE(cntp_ctl_el0, ENABLE);
  SET(CNTV_CTL, ENABLE);
  window("both");
  priority(PHYSICAL_TIMER, 0x20);
  priority(VIRTUAL_TIMER, 0x40);
  WRITE(cntp_tval_el0, -1);
  SET(CNTV_TVAL, -1);
  WRITE(cntp_ctl_el0, ENABLE);
  SET(CNTV_CTL, ENABLE);
  window("both, by priority");
}

static void ordered(u32 id) {
  (void)id;
  unmask();
  mask();
}

static void sends(u32 id) {
  if (id == 3) {
    send(2); /* lower priority */
    send(4); /* the same */
    send(5); /* higher */
    unmask();
    mask();
    print("  end of 3\n");
  }
}

static void drops(u32 id) {
  static u32 calls;
  if (id != 6 || calls++) return;
  send(6);
  line("  active", active());
  line("  pending", pending());
  unmask();
  mask();
}

static void groups(void) {
  for (u32 id = 0; id < 16; id++) priority(id, 0x80);
  window("no SGI");
  for (u32 id = 0; id < 16; id++) send(15 - id);
  line("pending", pending());
  window("by number");
  for (u32 id = 0; id < 16; id++) {
    priority(id, 0x90 - (id & ~1u) * 8);
    send(id);
  }
  line("highest", highest_pending());
  window("by priority");
  for (u32 id = 0; id < 16; id++) priority(id, id < 4 ? 0x80 : 0x80 - (id & 3) * 0x10);
  print("mask\n");
  send(1);
  for (u32 limit = 0; limit < 0x100; limit += 0x40) {
    set_mask(limit);
    line("PMR", limit);
    line("ISR_EL1", READ(isr_el1));
  }
  set_mask(0xf0);
  window("mask lifted");
  during = sends;
  priority(2, 0xa0);
  priority(3, 0x80);
  priority(4, 0x80);
  priority(5, 0x60);
  send(3);
  window("preemption");
  set_binary_point(7);
  send(3);
  window("no preemption within a group of priorities");
  set_binary_point(0);
  during = ordered;
  send(2);
  send(3);
  send(5);
  window("highest first");
  during = drops;
  send(6);
  window("the same again while active");
  split_end(1);
  during = 0;
  send(7);
  window("priority drop only");
  line("active", active());
  line("running", running_priority());
  send(7);
  line("still active: pending", pending());
  window("not again");
  deactivate(7);
  line("active", active());
  window("deactivated");
  deactivate(7);
  line("active", active());
  split_end(0);
}

static void places(void) {
  u64 value;
  during = 0;
  priority(1, 0x80);
  send(1);
  el0_call(EL0(op_nop), 0, 0x5000, 0, EL0(op_exit), 0);
  line("EL0 came back with", taken.esr);
  send(1);
  asm volatile("mov x9, sp; msr spsel, #0; mov sp, x9; msr daifclr, #2; nop; msr daifset, #2; msr spsel, #1" ::: "x9", "memory");
  /* NZCV and registers survive. */
  send(1);
  asm volatile("mov x9, #77; subs xzr, x9, #78; msr daifclr, #2; nop; mrs %0, nzcv; add %0, %0, x9; msr daifset, #2"
               : "=r"(value)::"x9", "cc", "memory");
  line("kept", value);
  /* A masked interrupt wakes WFI and stays pending. */
  send(1);
  asm volatile("wfi");
  line("woken, ISR_EL1", READ(isr_el1));
  window("then taken");
  /* SEV, WFE. */
  asm volatile("sev; wfe; sevl; wfe");
  send(1);
  asm volatile("wfe");
  window("WFE");
  if (GIC == 3) {
    /* Group 0 is signalled as FIQ. */
    IO(LOCAL + 0x80) = ~0x100u;
    IO(GICD) = 0x13;
    SET(ICC_IGRPEN0, 1);
    SET(ICC_SGI0R, 8ul << 24 | 1);
    line("ISR_EL1", READ(isr_el1));
    asm volatile("msr daifclr, #2; nop; msr daifset, #2");
    window("group 0");
    send(8);
    window("group 1's register, group 0's interrupt");
    line("pending", pending());
  }
}

int main(void) {
  map_ops_for_el0();
  /* Ours is 0 where there is EL2: it has no interface for virtual machines. */
#ifdef HOST
  print("~");
#endif
  print("ID_AA64PFR0_EL1.GIC ");
  print_decimal(READ(id_aa64pfr0_el1) >> 24 & 15);
  print("\n");
  initialise();
  timers();
  groups();
  places();
  print("done\n");
  return 0;
}
