/*
 * PCI Express: configuration space, BARs, the test device, interrupts by pin and by MSI-X through GICv2m. GIC: 2 or 3.
 * Slot 1 has a virtio entropy device, slot 2 the test device.
 */
#include "pci.h"

#define IO(address) M32(address)
#define GICD 0x08000000ul
#define GICC 0x08010000ul
#define GICR 0x080a0000ul
#define V2M 0x08020000ul
#define RNG 1
#define TESTDEV 2
/* SPI of pin A of slot 1, and what the frame's messages become. */
#define PIN_INTID (32 + 4)

static void identity(u32 device) {
  u64 at = config_at(device);
  print("slot ");
  print_decimal(device);
  line(": vendor and device", M32(at));
  if (M32(at) == 0xffffffff) return;
  line("  class", M32(at + 8) >> 8);
  line("  revision", M8(at + 8));
  line("  header type", M8(at + 0xe));
  line("  subsystem", M32(at + 0x2c));
  line("  pin", M8(at + 0x3d));
  line("  command", M16(at + 4));
  M32(at + 4) = 0xffffffff;
  line("  command's writable bits", M16(at + 4));
  M32(at + 4) = 0;
  M8(at + 0x3c) = 0xa5;
  M8(at + 0x3d) = 0xa5;
  line("  line and pin", M16(at + 0x3c));
  M8(at + 0x3c) = 0;
  M8(at + 0xc) = 0x5a;
  line("  cache line size", M32(at + 0xc));
  for (u32 bar = 0x10; bar <= 0x30; bar += bar == 0x24 ? 12 : 4) {
    u32 before = M32(at + bar);
    M32(at + bar) = 0xffffffff;
    u32 mask = M32(at + bar);
    M32(at + bar) = before;
    if (!before && !mask) continue;
    print("  BAR at ");
    print_hex(bar);
    line(bar == 0x24 && before == 0 ? " half, mask" : " mask", mask);
    line("    after", M32(at + bar));
  }
  M16(at + 0x12) = 0x1234;
  line("  halfword of BAR 0", M32(at + 0x10));
  M32(at + 0x10) = 0;
}

static void capabilities(u32 device) {
  u64 at = config_at(device);
  line("MSI-X control", M16(at + find_capability(device, 0x11, 0) + 2));
  line("  table", M32(at + find_capability(device, 0x11, 0) + 4));
  line("  pending bits", M32(at + find_capability(device, 0x11, 0) + 8));
  for (u32 type = 1; type <= 5; type++) {
    u32 offset = find_capability(device, 9, type);
    print("virtio capability ");
    print_decimal(type);
    line(": bytes", M8(at + offset + 2));
    for (u32 word = 1; word * 4 < M8(at + offset + 2); word++) line("  word", M32(at + offset + 4 * word));
  }
  u32 window = find_capability(device, 9, 5);
  M8(at + window + 4) = 4;
  M32(at + window + 8) = 0x12;
  M32(at + window + 12) = 2;
  line("queues, through configuration space", M16(at + window + 16));
}

/* Nothing is decoded, and nothing happens, unless memory space is enabled and the address is right. */
static void decoding(void) {
  u64 at = config_at(TESTDEV);
  M32(at + 0x10) = WINDOW32 + 0x10000;
  M32(at + 0x14) = 0x1000;
  line("disabled", M32(WINDOW32 + 0x10000));
  line("disabled", M32(WINDOW_IO + 0x1000));
  M32(WINDOW32 + 0x10000) = 0;
  M16(at + 4) = 2;
  line("memory", M32(WINDOW32 + 0x10000));
  line("no I/O", M32(WINDOW_IO + 0x1000));
  M16(at + 4) = 1;
  line("no memory", M32(WINDOW32 + 0x10000));
  line("I/O", M32(WINDOW_IO + 0x1000));
  M16(at + 4) = 3;
  line("beyond its end", M32(WINDOW32 + 0x11000));
  line("beyond its end", M16(WINDOW_IO + 0x1100));
  line("64-bit window", M32(WINDOW64_AT + 0x123450));
  M32(at + 0x10) = WINDOW32 + 0x20000;
  line("moved", M32(WINDOW32 + 0x10000));
  line("moved", M32(WINDOW32 + 0x20000));
}

static void tests(u64 base) {
  for (u32 number = 0; number < 4; number++) {
    M8(base) = number;
    line("test", number);
    if (M8(base + 1) != 1) {
      line("  width", M8(base + 1));
      continue;
    }
    u32 offset = M32(base + 4), data = M32(base + 8);
    print("  ");
    for (u32 i = 0x10; M8(base + i); i++) {
      char text[2] = {(char)M8(base + i), 0};
      print(text);
    }
    line(": number", M8(base));
    line("  offset", offset);
    line("  data", data);
    for (u32 i = 0; i < 16; i++) M8(base + offset) = data;
    line("  count", M32(base + 12));
    M8(base + offset) = data ^ 1;
    M8(base + offset - 1) = data;
    M8(base + offset + 1) = data;
    line("  count", M32(base + 12));
    M32(base + 12) = 5;
    line("  count", M32(base + 12));
  }
}

static void start_gic(void) {
  if (GIC == 2) {
    IO(GICD) = 1;
    IO(GICC) = 1;
    IO(GICC + 4) = 0xf0;
    for (u32 i = 32; i < 288; i++) M8(GICD + 0x800 + i) = 1;
  } else {
    WRITE(s3_0_c12_c12_5, 7);
    IO(GICD) = 0x12;
    IO(GICR + 0x14) &= ~2u;
    while (IO(GICR + 0x14) & 4);
    for (u32 i = 1; i < 9; i++) IO(GICD + 0x80 + 4 * i) = ~0u;
    WRITE(s3_0_c12_c12_7, 1);
    WRITE(s3_0_c4_c6_0, 0xf0);
  }
  for (u32 i = 1; i < 9; i++) IO(GICD + 0x100 + 4 * i) = ~0u;
}

static u32 acknowledge(void) { return (GIC == 2 ? IO(GICC + 0xc) : READ(s3_0_c12_c12_0)) & 0x3ff; }
static void end(u32 id) {
  if (GIC == 2) IO(GICC + 0x10) = id;
  else WRITE(s3_0_c12_c12_1, id);
}
static u32 is_pending(u32 id) { return IO(GICD + 0x200 + id / 32 * 4) >> id % 32 & 1; }

void on_irq(u64 vector) { line("unexpected interrupt", vector); }

static void pins(void) {
  u64 config = config_at(RNG);
  start_rng(RNG, 0xffff, 0xffff);
  u64 isr = part_of(RNG, 3);
  line("before", is_pending(PIN_INTID));
  ask_rng(RNG);
  line("used: line", is_pending(PIN_INTID));
  line("status", M16(config + 6) & 8);
  M16(config + 4) = 0x406;
  line("disabled: line", is_pending(PIN_INTID));
  line("status", M16(config + 6) & 8);
  M16(config + 4) = 6;
  line("enabled: line", is_pending(PIN_INTID));
  u32 id = acknowledge();
  line("acknowledged", id);
  line("ISR status", M8(isr));
  line("again", M8(isr));
  line("line", is_pending(PIN_INTID));
  line("status", M16(config + 6) & 8);
  end(id);
  line("acknowledged", acknowledge());
}

static void vector(u32 number, u64 address, u32 data, u32 control) {
  M32(RNG_TABLE + 16 * number) = (u32)address;
  M32(RNG_TABLE + 16 * number + 4) = address >> 32;
  M32(RNG_TABLE + 16 * number + 8) = data;
  M32(RNG_TABLE + 16 * number + 12) = control;
}

static volatile u32 doorbell;

static void messages(void) {
  u64 control = config_at(RNG) + find_capability(RNG, 0x11, 0) + 2;
  start_rng(RNG, 0, 1);
  for (u32 word = 0; word < 8; word++) line("table", M32(RNG_TABLE + 4 * word));
  /* To memory, which is a place like any other. */
  vector(1, (u64)&doorbell, 0x12345678, 0);
  vector(0, (u64)&doorbell, 0x9abcdef0, 0);
  M16(control) = 0x8000;
  ask_rng(RNG);
  line("in memory", doorbell);
  line("line", is_pending(PIN_INTID));
  doorbell = 0;
  M32(RNG_TABLE + 16 + 12) = 1;
  ask_rng(RNG);
  line("masked", doorbell);
  line("pending bits", M32(RNG_TABLE + 0x800));
  M32(RNG_TABLE + 16 + 12) = 0;
  line("not masked", doorbell);
  line("pending bits", M32(RNG_TABLE + 0x800));
  doorbell = 0;
  M16(control) = 0xc000;
  ask_rng(RNG);
  line("function masked", doorbell);
  line("pending bits", M32(RNG_TABLE + 0x800));
  M16(control) = 0x8000;
  line("not masked", doorbell);
  line("pending bits", M32(RNG_TABLE + 0x800));
  if (GIC == 2) {
    u32 first = IO(V2M + 8) >> 16 & 0x3ff;
    line("GICv2m: first and count", IO(V2M + 8));
    IO(GICD + 0xc00 + first / 16 * 4) = 0xaaaaaaaa; /* edges */
    vector(1, V2M + 0x40, first + 3, 0);
    for (u32 round = 0; round < 3; round++) {
      ask_rng(RNG);
      u32 id = acknowledge();
      line("acknowledged", id - first);
      ask_rng(RNG);
      line("pending while active", is_pending(first + 3));
      end(id);
      id = acknowledge();
      line("acknowledged", id - first);
      end(id);
      line("acknowledged", acknowledge());
    }
    vector(1, V2M + 0x40, first - 1, 0);
    ask_rng(RNG);
    vector(1, V2M + 0x40, first + (IO(V2M + 8) & 0x3ff), 0);
    ask_rng(RNG);
    line("outside: acknowledged", acknowledge());
  }
  M16(control) = 0;
}

int main(void) {
  map_pci();
  for (u32 device = 0; device < 4; device++) identity(device);
  line("another function", M32(config_at(1) + 0x1000));
  line("another bus", M32(ECAM + 0x100000));
  capabilities(RNG);
  decoding();
  print("memory\n");
  tests(WINDOW32 + 0x20000);
  print("I/O\n");
  tests(WINDOW_IO + 0x1000);
  start_gic();
  print("pins\n");
  pins();
  print("messages\n");
  messages();
  print("done\n");
  return 0;
}
