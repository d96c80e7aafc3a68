/*
 * Runs short A64 programs with given registers and memory and prints the state they leave, under qemu-aarch64 or on an
 * arm64 machine. Records in and out: format.ts.
 *
 * All of it happens in a signal handler: each program ends in a BRK or in a fault of its own, the kernel hands over the
 * complete state, the handler writes it out, puts the next case's state in its place and returns to it.
 */
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;
typedef unsigned __int128 u128;

enum { PAGE = 4096, WORDS = 8, FPSIMD_MAGIC = 0x46508001 };

#define CODE_PAGE 0x1000000000UL
#define DATA_PAGE 0x2000000000UL
/* Programs start in the middle of the page. */
#define PROGRAM (CODE_PAGE + PAGE / 2)
#define BRK 0xd4200000u

struct state {
  u64 x[31], sp, pc;
  u32 nzcv, fpcr, fpsr, reserved;
  u128 v[32];
};

struct test_case {
  u32 count, memory_seed;
  u32 words[WORDS];
  u64 padding;
  struct state state;
};

struct result {
  u32 signal, changes;
  u64 padding;
  struct state state;
};

struct change {
  u64 offset, value;
};

/* What rt_sigframe hands over: Linux, arch/arm64/include/uapi/asm/{ucontext,sigcontext}.h. */
struct ucontext {
  u8 before[176];
  u64 fault_address, x[31], sp, pc, pstate;
  u8 extensions[4096] __attribute__((aligned(16)));
};

struct fpsimd_context {
  u32 magic, size, fpsr, fpcr;
  u128 v[32];
};

static long syscall6(long number, long a, long b, long c, long d, long e, long f) {
  register long x8 asm("x8") = number;
  register long x0 asm("x0") = a;
  register long x1 asm("x1") = b;
  register long x2 asm("x2") = c;
  register long x3 asm("x3") = d;
  register long x4 asm("x4") = e;
  register long x5 asm("x5") = f;
  asm volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
  return x0;
}

static void leave(int status) {
  for (;;) syscall6(94, status, 0, 0, 0, 0, 0);
}

/* Whole transfers or the end; 63 is read, 64 write. */
static int transfer(long number, int fd, void *data, u64 size) {
  u8 *at = data;
  while (size > 0) {
    long done = syscall6(number, fd, (long)at, (long)size, 0, 0, 0);
    if (done <= 0) return 0;
    at += done;
    size -= (u64)done;
  }
  return 1;
}

void *memset(void *to, int value, u64 size) {
  for (u64 i = 0; i < size; i++) ((volatile u8 *)to)[i] = (u8)value;
  return to;
}

void *memcpy(void *to, const void *from, u64 size) {
  for (u64 i = 0; i < size; i++) ((volatile u8 *)to)[i] = ((const u8 *)from)[i];
  return to;
}

static struct test_case current;
static int is_running;
static u32 initial_memory[PAGE / 4];
static u8 signal_stack[65536] __attribute__((aligned(16)));

/* The generator of src/isa/random-encoder.ts. */
static void fill_memory(u32 seed) {
  for (int i = 0; i < PAGE / 4; i++) {
    seed += 0x6d2b79f5u;
    u32 t = seed;
    t = (t ^ (t >> 15)) * (t | 1);
    t ^= t + (t ^ (t >> 7)) * (t | 61);
    initial_memory[i] = t ^ (t >> 14);
    ((volatile u32 *)DATA_PAGE)[i] = initial_memory[i];
  }
}

static void write_program(void) {
  volatile u32 *code = (volatile u32 *)PROGRAM;
  for (u32 i = 0; i < WORDS; i++) {
    code[i] = i < current.count ? current.words[i] : BRK;
    asm volatile("dc cvau, %0\n\tdsb ish\n\tic ivau, %0\n\tdsb ish\n\tisb" : : "r"(&code[i]) : "memory");
  }
}

static struct fpsimd_context *fpsimd(struct ucontext *context) {
  u8 *at = context->extensions;
  for (;;) {
    struct fpsimd_context *record = (struct fpsimd_context *)at;
    if (record->magic == FPSIMD_MAGIC) return record;
    if (record->magic == 0) leave(3);
    at += record->size;
  }
}

static struct {
  struct result head;
  struct change changes[PAGE / 8];
} out;

static void report(int signal, struct ucontext *context, struct fpsimd_context *fp) {
  struct state *state = &out.head.state;
  for (int i = 0; i < 31; i++) state->x[i] = context->x[i];
  state->sp = context->sp;
  state->pc = context->pc;
  state->nzcv = (u32)(context->pstate >> 28) & 15;
  state->fpcr = fp->fpcr;
  state->fpsr = fp->fpsr;
  for (int i = 0; i < 32; i++) state->v[i] = fp->v[i];
  out.head.signal = (u32)signal;
  u32 changes = 0;
  const volatile u64 *now = (const volatile u64 *)DATA_PAGE;
  const u64 *before = (const u64 *)(void *)initial_memory;
  for (u32 i = 0; i < PAGE / 8; i++)
    if (now[i] != before[i]) {
      out.changes[changes].offset = 8 * i;
      out.changes[changes++].value = now[i];
    }
  out.head.changes = changes;
  if (!transfer(64, 1, &out, sizeof out.head + changes * sizeof(struct change))) leave(4);
}

static void on_signal(int signal, void *info, void *frame) {
  (void)info;
  struct ucontext *context = frame;
  struct fpsimd_context *fp = fpsimd(context);
  if (is_running) report(signal, context, fp);
  if (!transfer(63, 0, &current, sizeof current)) leave(0);
  is_running = 1;
  fill_memory(current.memory_seed);
  write_program();
  for (int i = 0; i < 31; i++) context->x[i] = current.state.x[i];
  context->sp = current.state.sp;
  context->pc = PROGRAM;
  context->pstate = (u64)current.state.nzcv << 28;
  fp->fpcr = current.state.fpcr;
  fp->fpsr = current.state.fpsr;
  for (int i = 0; i < 32; i++) fp->v[i] = current.state.v[i];
}

static void map(u64 address, int protection) {
  enum { PRIVATE_FIXED_ANONYMOUS = 0x32 };
  if (syscall6(222, (long)address, PAGE, protection, PRIVATE_FIXED_ANONYMOUS, -1, 0) != (long)address) leave(2);
}

void _start(void) {
  map(CODE_PAGE, 7);
  map(DATA_PAGE, 3);
  for (int i = 0; i < PAGE / 4; i++) ((volatile u32 *)CODE_PAGE)[i] = BRK;
  struct {
    void *sp;
    int flags;
    u64 size;
  } stack = {signal_stack, 0, sizeof signal_stack};
  syscall6(132, (long)&stack, 0, 0, 0, 0, 0);
  enum { SIGINFO = 4, ONSTACK = 0x08000000 };
  struct {
    void (*handler)(int, void *, void *);
    u64 flags;
    void *restorer;
    u64 mask;
  } action = {on_signal, SIGINFO | ONSTACK, 0, ~0UL};
  static const u8 signals[] = {4, 5, 7, 11};
  for (u32 i = 0; i < sizeof signals; i++) syscall6(134, signals[i], (long)&action, 0, 8, 0, 0);
  asm volatile("brk 0");
  leave(5);
}
