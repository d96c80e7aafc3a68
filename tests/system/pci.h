/* What guests with PCI functions share: configuration space, a virtio entropy device as something that interrupts. */
#include "guest.h"

#define ECAM 0x4010000000ul
#define WINDOW32 0x10000000ul
#define WINDOW_IO 0x3eff0000ul
#define WINDOW64 0x8000000000ul
/* Where `map_pci` puts the 64-bit window, which is beyond the addresses of a guest. */
#define WINDOW64_AT 0x2000000000ul

#define M8(address) (*(volatile u8 *)(u64)(address))
#define M16(address) (*(volatile unsigned short *)(u64)(address))
#define M32(address) (*(volatile u32 *)(u64)(address))

static inline u64 config_at(u32 device) { return ECAM + ((u64)device << 15); }

static inline void map_pci(void) {
  u64 *level1 = (u64 *)READ(ttbr0_el1);
  const u64 device_block = 1 << 10 | 3ul << 53 | 1;
  level1[ECAM >> 30] = (ECAM & ~0x3ffffffful) | device_block;
  level1[WINDOW64_AT >> 30] = WINDOW64 | device_block;
  flush_tlb();
}

static inline void line(const char *name, u64 value) {
  print(name);
  print(" ");
  print_hex(value);
  print("\n");
}

/* Offset of a capability, of virtio's by its type; 0 where it isn't there. */
static inline u32 find_capability(u32 device, u32 id, u32 type) {
  u64 at = config_at(device);
  for (u32 offset = M8(at + 0x34); offset; offset = M8(at + offset + 1))
    if (M8(at + offset) == id && (id != 9 || M8(at + offset + 3) == type)) return offset;
  return 0;
}

/* BAR 4 of virtio devices, in parts; their MSI-X table. */
#define RNG_REGISTERS 0x8000000000ul
#define RNG_TABLE 0x10100000ul
static inline u64 part_of(u32 device, u32 type) {
  return WINDOW64_AT + M32(config_at(device) + find_capability(device, 9, type) + 8);
}

static struct {
  volatile u64 descriptors[2 * 8];
  volatile unsigned short available[3 + 8];
  volatile u32 used[2 + 2 * 8];
  volatile u8 bytes[64];
} rng_memory __attribute__((aligned(64)));
static u32 rng_count;

/* Places the BARs of the entropy device and starts it, with these vectors (0xffff for none). */
static inline void start_rng(u32 device, u32 config_vector, u32 queue_vector) {
  u64 config = config_at(device);
  M32(config + 0x14) = RNG_TABLE;
  M32(config + 0x20) = (u32)RNG_REGISTERS;
  M32(config + 0x24) = RNG_REGISTERS >> 32;
  M16(config + 4) = 6;
  u64 common = part_of(device, 1);
  M8(common + 0x14) = 0;
  M8(common + 0x14) = 1;
  M8(common + 0x14) = 3;
  M32(common + 8) = 1;
  M32(common + 0xc) = 1; /* VERSION_1 */
  M8(common + 0x14) = 11;
  line("status", M8(common + 0x14));
  for (u32 i = 0; i < sizeof(rng_memory) / 8; i++) ((volatile u64 *)&rng_memory)[i] = 0;
  rng_count = 0;
  M16(common + 0x10) = config_vector;
  M16(common + 0x16) = 0;
  M16(common + 0x18) = 8;
  M16(common + 0x1a) = queue_vector;
  line("vector of the configuration", M16(common + 0x10));
  line("vector of the queue", M16(common + 0x1a));
  M32(common + 0x20) = (u64)rng_memory.descriptors;
  M32(common + 0x24) = 0;
  M32(common + 0x28) = (u64)rng_memory.available;
  M32(common + 0x2c) = 0;
  M32(common + 0x30) = (u64)rng_memory.used;
  M32(common + 0x34) = 0;
  M16(common + 0x1c) = 1;
  M8(common + 0x14) = 15;
  line("status", M8(common + 0x14));
}

/* Asks for random bytes and waits until they are there. What they are, nobody can say. */
static inline void ask_rng(u32 device) {
  rng_memory.descriptors[0] = (u64)rng_memory.bytes;
  rng_memory.descriptors[1] = 2ul << 32 | sizeof(rng_memory.bytes);
  rng_memory.available[2 + rng_count % 8] = 0;
  asm volatile("dsb sy" ::: "memory");
  rng_memory.available[1] = ++rng_count;
  asm volatile("dsb sy" ::: "memory");
  M16(part_of(device, 2)) = 0;
  while ((rng_memory.used[0] >> 16) != (rng_count & 0xffff)) asm volatile("dsb sy" ::: "memory");
}
