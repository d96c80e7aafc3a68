/*
 * The Interrupt Translation Service of a GICv3, and LPIs: registers, tables flat and of two levels, commands, their
 * errors, messages of a PCI device (the entropy device in slot 1). Two CPUs, of which the second stays off.
 */
#include "pci.h"

#define IO(address) M32(address)
#define IO64(address) (*(volatile u64 *)(u64)(address))
#define GICD 0x08000000ul
#define GITS 0x08080000ul
#define TRANSLATER (GITS + 0x10040)
#define GICR(cpu) (0x080a0000ul + 0x20000ul * (cpu))
#define CTLR 0x0
#define TYPER 0x8
#define CBASER 0x80
#define CWRITER 0x88
#define CREADR 0x90
#define BASER(n) (0x100 + 8 * (n))
#define PROPBASER 0x70
#define PENDBASER 0x78
#define VALID (1ul << 63)
#define INDIRECT (1ul << 62)
#define RNG 1
#define RNG_ID (RNG << 3)
#define FIRST 8192u

#define PAGES_64K __attribute__((aligned(0x10000)))
static u8 properties[0x10000] PAGES_64K;
static u8 pendings[2][0x10000] PAGES_64K;
static u64 queue[0x1000 / 8] PAGES_64K;
static u64 devices[0x10000 / 8] PAGES_64K;
static u64 collections[0x1000 / 8] PAGES_64K;
static u64 second_level[0x1000 / 8] PAGES_64K;
static u64 translations[4][0x1000 / 8] PAGES_64K;

static void barrier(void) { asm volatile("dsb sy" ::: "memory"); }

static u32 queue_at;
/* Puts a command into the queue without telling the ITS. */
static void put(u64 w0, u64 w1, u64 w2, u64 w3) {
  volatile u64 *command = queue + queue_at / 8;
  command[0] = w0;
  command[1] = w1;
  command[2] = w2;
  command[3] = w3;
  queue_at = (queue_at + 32) % sizeof(queue);
}
/* Has it execute what is in the queue. */
static void run(void) {
  barrier();
  IO64(GITS + CWRITER) = queue_at;
  for (u32 tries = 0; tries < 1000 && (IO64(GITS + CREADR) & 0xfffe0) != queue_at; tries++);
  if (IO64(GITS + CREADR) != queue_at) line("CREADR", IO64(GITS + CREADR));
}
static void mapd(u32 device, u32 bits, void *table, u64 valid) {
  put((u64)device << 32 | 8, bits - 1, (u64)table | valid, 0);
}
static void mapc(u32 collection, u32 cpu, u64 valid) { put(9, 0, (u64)cpu << 16 | collection | valid, 0); }
static void mapti(u32 device, u32 event, u32 intid, u32 collection) {
  put((u64)device << 32 | 0xa, (u64)intid << 32 | event, collection, 0);
}
static void mapi(u32 device, u32 event, u32 collection) { put((u64)device << 32 | 0xb, event, collection, 0); }
static void movi(u32 device, u32 event, u32 collection) { put((u64)device << 32 | 1, event, collection, 0); }
static void event(u32 code, u32 device, u32 number) { put((u64)device << 32 | code, number, 0, 0); }
#define INT 3
#define CLEAR 4
#define INV 0xc
#define DISCARD 0xf
static void invall(u32 collection) { put(0xd, 0, collection, 0); }
static void movall(u32 from, u32 to) { put(0xe, 0, (u64)from << 16, (u64)to << 16); }
static void sync(u32 cpu) { put(5, 0, (u64)cpu << 16, 0); }

static u32 acknowledge(void) { return READ(s3_0_c12_c12_0); }
static u32 highest(void) { return READ(s3_0_c12_c12_2); }
static u32 running(void) { return READ(s3_0_c12_c11_3); }
static void end(u32 id) { WRITE(s3_0_c12_c12_1, id); }
static void property(u32 intid, u32 value) {
  ((volatile u8 *)properties)[intid - FIRST] = value;
  barrier();
}
static u32 pending_bit(u32 cpu, u32 intid) {
  barrier();
  return ((volatile u8 *)pendings[cpu])[intid / 8] >> intid % 8 & 1;
}

/* Takes whatever is pending for this CPU, in order. */
static void take(const char *name) {
  print(name);
  print(":");
  for (;;) {
    u32 id = acknowledge();
    if (id == 1023) break;
    print(" ");
    print_decimal(id);
    end(id);
  }
  print("\n");
}

void on_irq(u64 vector) {
  line("interrupt at vector", vector * 0x80);
  take("  taken");
}

/* Lines with ~: QEMU 7.2 lets every bit of these registers be written. */
static void registers(void) {
  line("CTLR", IO(GITS + CTLR));
  line("TYPER but for the size of entries", IO64(GITS + TYPER) & ~0xf0ul);
  line("architecture", IO(GITS + 0xffe8));
  line("GICD_TYPER, INTIDs", IO(GICD + 4) & 0x00fa0000);
  for (u32 cpu = 0; cpu < 2; cpu++) {
    line("GICR_TYPER", IO64(GICR(cpu) + 8) & ~(3ul << 24));
    line("GICR_CTLR", IO(GICR(cpu)));
  }
  for (u32 n = 0; n < 8; n++) {
    line("BASER but for the size of pages", IO64(GITS + BASER(n)) & ~(3ul << 8));
    IO64(GITS + BASER(n)) = ~0ul & ~(3ul << 8);
    line("  writable", IO64(GITS + BASER(n)));
    IO64(GITS + BASER(n)) = 0;
  }
  IO64(GITS + CBASER) = ~0ul;
  line("~CBASER", IO64(GITS + CBASER));
  IO64(GITS + CBASER) = 0;
  IO64(GITS + CWRITER) = ~0ul << 1;
  line("~CWRITER", IO64(GITS + CWRITER));
  IO64(GITS + CWRITER) = 0;
  IO64(GITS + CREADR) = ~0ul;
  line("~CREADR", IO64(GITS + CREADR));
  IO64(GICR(0) + PROPBASER) = ~0ul;
  line("~PROPBASER", IO64(GICR(0) + PROPBASER));
  IO64(GICR(0) + PENDBASER) = ~0ul;
  line("~PENDBASER", IO64(GICR(0) + PENDBASER));
}

static void start(void) {
  WRITE(s3_0_c12_c12_5, 7);
  IO(GICD) = 0x12;
  WRITE(s3_0_c12_c12_7, 1);
  WRITE(s3_0_c4_c6_0, 0xf0);
  for (u32 cpu = 0; cpu < 2; cpu++) {
    IO64(GICR(cpu) + PROPBASER) = (u64)properties | 15;
    IO64(GICR(cpu) + PENDBASER) = (u64)pendings[cpu] | 1ul << 62;
    IO(GICR(cpu)) = 1;
    line("GICR_CTLR", IO(GICR(cpu)));
    line("~PENDBASER's PTZ", IO64(GICR(cpu) + PENDBASER) >> 62);
  }
  IO64(GITS + CBASER) = (u64)queue | VALID;
  IO64(GITS + CWRITER) = 0;
  IO64(GITS + BASER(0)) = (u64)devices | VALID | 2ul << 8; /* one page of 64K */
  IO64(GITS + BASER(1)) = (u64)collections | VALID;
  IO(GITS + CTLR) = 1;
  line("CTLR", IO(GITS + CTLR) & 1);
  for (u32 i = 0; i < 64; i++) property(FIRST + i, 0x81);
}

static void mapping(void) {
  event(INT, 5, 0);
  run();
  take("device not mapped");
  mapd(5, 5, translations[0], VALID);
  event(INT, 5, 0);
  run();
  take("event not mapped");
  mapti(5, 0, FIRST + 3, 1);
  event(INT, 5, 0);
  run();
  take("collection not mapped");
  mapc(1, 0, VALID);
  sync(0);
  event(INT, 5, 0);
  run();
  line("highest", highest());
  line("ISR_EL1", READ(isr_el1));
  u32 id = acknowledge();
  line("acknowledged", id);
  line("running", running());
  line("ISR_EL1", READ(isr_el1));
  event(INT, 5, 0);
  run();
  line("again while running: highest", highest());
  line("acknowledged", acknowledge());
  end(id);
  line("running", running());
  take("after its end");
  for (u32 i = 0; i < 32; i++) mapti(5, i, FIRST + i, 1);
  event(INT, 5, 31);
  event(INT, 5, 32);
  mapti(5, 32, FIRST + 40, 1);
  event(INT, 5, 7);
  event(INT, 5, 7);
  run();
  take("events 31, 32 and 7");
  mapti(5, 1, 100, 1);
  event(INT, 5, 1);
  mapti(5, 2, 0x10000, 1);
  event(INT, 5, 2);
  run();
  take("INTIDs that are no LPIs");
  mapd(6, 14, translations[1], VALID);
  mapi(6, 17, 1);
  event(INT, 6, 17);
  run();
  take("MAPI of an event that is no LPI");
}

static void configuration(void) {
  for (u32 i = 8; i < 12; i++) property(FIRST + i, 0xc1 - (i & 3) * 0x20);
  for (u32 i = 8; i < 12; i++) event(INV, 5, i);
  for (u32 i = 8; i < 12; i++) event(INT, 5, i);
  run();
  take("by priority");
  property(FIRST + 8, 0x80);
  event(INV, 5, 8);
  event(INT, 5, 8);
  run();
  take("not enabled");
  property(FIRST + 8, 0x81);
  event(INV, 5, 8);
  run();
  take("enabled");
  for (u32 i = 8; i < 12; i++) property(FIRST + i, 0x80);
  invall(1);
  for (u32 i = 8; i < 12; i++) event(INT, 5, i);
  run();
  take("none enabled");
  for (u32 i = 8; i < 12; i++) property(FIRST + i, 0xa1);
  invall(1);
  sync(0);
  run();
  WRITE(s3_0_c4_c6_0, 0xa0);
  line("masked: ISR_EL1", READ(isr_el1));
  line("highest", highest());
  take("masked");
  WRITE(s3_0_c4_c6_0, 0xf0);
  take("all of them");
  event(INT, 5, 8);
  event(INT, 5, 9);
  event(CLEAR, 5, 8);
  run();
  take("8 cleared");
  event(INT, 5, 8);
  run();
  IO(GICD) = 0x10;
  line("group disabled: ISR_EL1", READ(isr_el1));
  IO(GICD) = 0x12;
  WRITE(s3_0_c12_c12_7, 0);
  line("group disabled: ISR_EL1", READ(isr_el1));
  WRITE(s3_0_c12_c12_7, 1);
  take("enabled");
  event(INT, 5, 8);
  run();
  event(DISCARD, 5, 8);
  event(INT, 5, 8);
  run();
  take("discarded");
  mapti(5, 8, FIRST + 50, 1);
  event(INT, 5, 8);
  run();
  take("mapped again");
}

static void with_spis(void) {
  IO(GICR(0) + 0x10080) = ~0u;
  IO(GICR(0) + 0x10100) = 0xffff;
  for (u32 i = 0; i < 16; i++) M8(GICR(0) + 0x10400 + i) = i < 8 ? 0x80 : 0xa0;
  event(INT, 5, 9);
  event(INT, 5, 30);
  run();
  WRITE(s3_0_c12_c11_5, 8ul << 24 | 1);
  WRITE(s3_0_c12_c11_5, 3ul << 24 | 1);
  take("SGIs 3 and 8, LPIs 9 and 30");
  /* Preemption. */
  property(FIRST + 9, 0x41);
  event(INV, 5, 9);
  event(INT, 5, 30);
  run();
  u32 outer = acknowledge();
  event(INT, 5, 9);
  run();
  u32 inner = acknowledge();
  line("outer", outer);
  line("inner", inner);
  line("running", running());
  end(inner);
  line("running", running());
  end(outer);
  line("running", running());
  /* Split end of interrupt: nothing to deactivate. */
  WRITE(s3_0_c12_c12_4, 2);
  event(INT, 5, 30);
  run();
  u32 id = acknowledge();
  end(id);
  line("dropped", running());
  event(INT, 5, 30);
  run();
  take("again, without deactivation");
  WRITE(s3_0_c12_c11_1, id);
  WRITE(s3_0_c12_c12_4, 0);
}

static void moving(void) {
  mapc(2, 1, VALID);
  movi(5, 20, 2);
  event(INT, 5, 20);
  run();
  take("moved to the other CPU");
  movi(5, 20, 1);
  run();
  take("and back, pending");
  event(INT, 5, 20);
  event(INT, 5, 21);
  movall(0, 1);
  run();
  take("all moved");
  movall(1, 0);
  run();
  take("all moved back");
  movall(0, 5);
  movall(5, 0);
  event(INT, 5, 21);
  run();
  take("to no CPU");
  mapc(3, 7, VALID);
  movi(5, 21, 3);
  event(INT, 5, 21);
  run();
  take("collection of no CPU");
  movi(5, 21, 1);
  mapc(1, 0, 0);
  event(INT, 5, 22);
  run();
  take("collection not mapped any more");
  mapc(1, 1, VALID);
  event(INT, 5, 22);
  mapc(1, 0, VALID);
  event(INT, 5, 23);
  run();
  take("collection of the other CPU for a while");
  movall(1, 0);
  run();
  take("what it got");
}

static void enabling(void) {
  event(INT, 5, 24);
  event(INT, 5, 25);
  run();
  line("acknowledged", acknowledge() - FIRST);
  end(FIRST + 24);
  IO(GICR(0)) = 0;
  line("GICR_CTLR", IO(GICR(0)));
  line("ISR_EL1", READ(isr_el1));
  line("in the table", pending_bit(0, FIRST + 24) | pending_bit(0, FIRST + 25) << 1);
  event(INT, 5, 26);
  run();
  IO(GICR(0)) = 1;
  take("enabled again");
  IO(GICR(0)) = 0;
  ((volatile u8 *)pendings[0])[(FIRST + 27) / 8] |= 1 << (FIRST + 27) % 8;
  barrier();
  IO64(GICR(0) + PENDBASER) = (u64)pendings[0];
  IO(GICR(0)) = 1;
  take("from the table");
  IO(GICR(0)) = 0;
  IO64(GICR(0) + PROPBASER) = (u64)properties | 12; /* 13 bits: no LPI */
  IO(GICR(0)) = 1;
  event(INT, 5, 28);
  run();
  take("no room for LPIs");
  IO(GICR(0)) = 0;
  IO64(GICR(0) + PROPBASER) = (u64)properties | 13;
  IO(GICR(0)) = 1;
  event(INT, 5, 29);
  mapti(5, 28, 0x4000, 1);
  event(INT, 5, 28);
  run();
  take("14 bits");
  IO(GICR(0)) = 0;
  IO64(GICR(0) + PROPBASER) = (u64)properties | 15;
  IO(GICR(0)) = 1;
  IO(GITS + CTLR) = 0;
  line("GITS_CTLR", IO(GITS + CTLR));
  event(INT, 5, 29);
  barrier();
  IO64(GITS + CWRITER) = queue_at;
  line("read while disabled", (IO64(GITS + CREADR) & 0xfffe0) == queue_at);
  take("nothing");
  IO(GITS + CTLR) = 1;
  line("read", IO64(GITS + CREADR) == queue_at);
  take("enabled");
}

static void two_levels(void) {
  mapd(5, 5, translations[0], 0);
  event(INT, 5, 29);
  run();
  take("device not mapped any more");
  IO(GITS + CTLR) = 0;
  for (u32 i = 0; i < sizeof(devices) / 8; i++) ((volatile u64 *)devices)[i] = 0;
  IO64(GITS + BASER(0)) = (u64)devices | VALID | INDIRECT; /* a page of 4K, of pages of 4K */
  IO(GITS + CTLR) = 1;
  mapd(0x205, 5, translations[2], VALID);
  mapti(0x205, 1, FIRST + 1, 1);
  event(INT, 0x205, 1);
  run();
  take("no page");
  ((volatile u64 *)devices)[1] = (u64)second_level | VALID;
  mapd(0x205, 5, translations[2], VALID);
  mapti(0x205, 1, FIRST + 1, 1);
  event(INT, 0x205, 1);
  mapd(0x405, 5, translations[3], VALID);
  mapti(0x405, 1, FIRST + 2, 1);
  event(INT, 0x405, 1);
  run();
  take("one page");
  mapd(0x12345, 5, translations[2], VALID);
  mapti(0x12345, 1, FIRST + 5, 1);
  event(INT, 0x12345, 1);
  run();
  take("beyond the table");
}

static void garbage(void) {
  u32 before = queue_at;
  put(0x55, ~0ul, ~0ul, ~0ul);
  put(0, 0, 0, 0);
  put(~0ul, ~0ul, ~0ul, ~0ul);
  for (u32 code = 1; code < 16; code++)
    if (code != 8 && code != 9) put(code | 0xfffffffful << 32, ~0ul, ~VALID, ~0ul);
  event(INT, 0x205, 1);
  run();
  line("commands", (queue_at - before) / 32);
  take("after garbage");
  /* More than the queue is long, in pieces. */
  for (u32 i = 0; i < 300; i++) {
    sync(0);
    if (i % 50 == 49) run();
  }
  event(INT, 0x205, 1);
  run();
  take("round the queue");
}

static void messages(void) {
  ((volatile u64 *)devices)[0] = (u64)second_level | VALID;
  mapd(RNG_ID, 5, translations[3], VALID);
  mapti(RNG_ID, 0, FIRST + 60, 1);
  mapti(RNG_ID, 3, FIRST + 61, 1);
  run();
  start_rng(RNG, 0, 1);
  for (u32 number = 0; number < 2; number++) {
    M32(RNG_TABLE + 16 * number) = (u32)TRANSLATER;
    M32(RNG_TABLE + 16 * number + 4) = 0;
    M32(RNG_TABLE + 16 * number + 8) = 3 * number;
    M32(RNG_TABLE + 16 * number + 12) = 0;
  }
  M16(config_at(RNG) + find_capability(RNG, 0x11, 0) + 2) = 0x8000;
  for (u32 round = 0; round < 3; round++) {
    ask_rng(RNG);
    take("message");
  }
  M32(RNG_TABLE + 16 + 8) = 2;
  ask_rng(RNG);
  take("event not mapped");
  M32(RNG_TABLE + 16 + 8) = 32;
  ask_rng(RNG);
  take("no such event");
  M32(RNG_TABLE + 16 + 8) = 0;
  IO(GITS + CTLR) = 0;
  ask_rng(RNG);
  IO(GITS + CTLR) = 1;
  take("while disabled");
  ask_rng(RNG);
  asm volatile("msr daifclr, #2; isb; msr daifset, #2");
}

int main(void) {
  map_pci();
  registers();
  start();
  print("mapping\n");
  mapping();
  print("configuration\n");
  configuration();
  print("beside other interrupts\n");
  with_spis();
  print("moving\n");
  moving();
  print("enabling\n");
  enabling();
  print("two levels\n");
  two_levels();
  print("garbage\n");
  garbage();
  print("messages\n");
  messages();
  take("at the end");
  print("done\n");
  return 0;
}
