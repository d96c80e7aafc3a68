/*
 * Runs short A64 programs with given registers and memory and prints what they change, under qemu-aarch64 or on an
 * arm64 machine. Batches in, results out: format.ts.
 *
 * A program that runs to its end branches to leave_program, which needs no signal; TPIDR_EL0 holds the register that
 * each of the two ways needs for itself. Faults and BRKs arrive as signals: the handler copies the state that the
 * kernel hands over, and returns to where leave_program ends.
 */
typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long u64;

/* format.ts has the same numbers. */
enum {
  PAGE = 4096,
  SLOTS = 1024,
  SLOT_WORDS = 32,
  FIRST_WORD = 12,
  MAX_WORDS = 16,
  SP = 31,
  V = 32,
  NZCV = 96,
  FPCR = 97,
  FPSR = 98,
  STATE_WORDS = 99,
  MEMORY = 128,
  DATA_BYTES = 2 * PAGE,
  MEMORY_WORDS = DATA_BYTES / 8,
};
#define CODE_AREA 0x1000000000UL
#define CODE_BYTES (SLOTS * SLOT_WORDS * 4UL)
/* Where a program's last branch goes; out of reach of literals. */
#define TRAMPOLINE (CODE_AREA + 0x1f0000)
#define DATA_PAGES 0x2000000000UL

enum {
  BRK = 0xd4200000u,
  MRS_X30_TPIDR_EL0 = 0xd53bd05eu,
  MSR_TPIDR_EL0_X0 = 0xd51bd040u,
  LDR_X0_AFTER_NEXT = 0x58000040u,
  BR_X0 = 0xd61f0000u,
  B = 0x14000000u,
};

struct header {
  u32 programs, states, runs, overrides;
};

struct program {
  u32 count, slot;
  u32 words[MAX_WORDS];
};

struct run {
  u32 program, state, overrides, padding;
};

struct word {
  u64 at, value;
};

struct result {
  u32 ending, changes;
  u64 pc;
};

enum { MAX_STATES = 256, MAX_RUNS = 4096, MAX_OVERRIDES = 262144, OUTPUT = 1 << 20 };

static struct header header;
static struct program programs[SLOTS];
static u64 states[MAX_STATES][STATE_WORDS];
static struct run runs[MAX_RUNS];
static struct word overrides[MAX_OVERRIDES];
static u64 memory[MEMORY_WORDS];

/* The state and the data pages that a program starts with, and the state that it leaves. */
static u64 memory_before[MEMORY_WORDS];
static u64 before[STATE_WORDS] __attribute__((aligned(16)));
u64 now[STATE_WORDS + 1] __attribute__((aligned(16), used));
u64 harness_sp __attribute__((used));
static u32 ending;
static u64 ending_pc;

static u8 output[OUTPUT];
static u64 output_size;

/* enter.S */
extern void enter_program(const u64 *state, u64 address);
extern void leave_program(void);
extern void back_in_harness(void);

enum { READ = 63, WRITE = 64, EXIT_GROUP = 94 };

static long system_call(long number, long a, long b, long c, long d, long e, long f) {
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
  for (;;) system_call(EXIT_GROUP, status, 0, 0, 0, 0, 0);
}

/* All of it, or the end of the file: 0. */
static int transfer(long number, int fd, void *data, u64 size) {
  u8 *at = data;
  while (size > 0) {
    long done = system_call(number, fd, (long)at, (long)size, 0, 0, 0);
    if (done <= 0) return 0;
    at += done;
    size -= (u64)done;
  }
  return 1;
}

/* The compiler may ask for these. */
void *memset(void *to, int value, u64 size) {
  for (u64 i = 0; i < size; i++) ((volatile u8 *)to)[i] = (u8)value;
  return to;
}

void *memcpy(void *to, const void *from, u64 size) {
  for (u64 i = 0; i < size; i++) ((volatile u8 *)to)[i] = ((const u8 *)from)[i];
  return to;
}

/* The way out of programs, in reach of their branches. Their slots are BRKs but for the programs. */
static void prepare_code(void) {
  volatile u32 *code = (volatile u32 *)CODE_AREA;
  for (u64 i = 0; i < CODE_BYTES / 4; i++) code[i] = BRK;
  volatile u32 *trampoline = (volatile u32 *)TRAMPOLINE;
  trampoline[0] = MSR_TPIDR_EL0_X0;
  trampoline[1] = LDR_X0_AFTER_NEXT;
  trampoline[2] = BR_X0;
  *(volatile u64 *)(trampoline + 3) = (u64)leave_program;
}

static void clean_to_execution(u64 from, u64 bytes) {
  for (u64 at = from; at < from + bytes; at += 64)
    asm volatile("dc cvau, %0\n\tdsb ish\n\tic ivau, %0" : : "r"(at) : "memory");
  asm volatile("dsb ish\n\tisb" : : : "memory");
}

static volatile u32 *first_word(u32 slot) {
  return (volatile u32 *)(CODE_AREA + 4UL * (slot * SLOT_WORDS + FIRST_WORD));
}

static void write_program(const struct program *program) {
  volatile u32 *at = first_word(program->slot);
  at[-1] = MRS_X30_TPIDR_EL0;
  for (u32 i = 0; i < program->count; i++) at[i] = program->words[i];
  u64 branch = (u64)&at[program->count];
  at[program->count] = B | (u32)((TRAMPOLINE - branch) >> 2 & 0x3ffffff);
  for (u32 i = program->count + 1; i <= MAX_WORDS; i++) at[i] = BRK;
  clean_to_execution((u64)&at[-1], (MAX_WORDS + 2) * 4);
}

static void erase_program(const struct program *program) {
  volatile u32 *at = first_word(program->slot);
  for (int i = -1; i <= MAX_WORDS; i++) at[i] = BRK;
}

static void flush(void) {
  if (!transfer(WRITE, 1, output, output_size)) leave(4);
  output_size = 0;
}

/* Puts out what the program changed. */
static void report(void) {
  if (output_size > OUTPUT - (sizeof(struct result) + (STATE_WORDS + MEMORY_WORDS) * sizeof(struct word))) flush();
  struct result *result = (struct result *)(output + output_size);
  struct word *first = (struct word *)(result + 1), *change = first;
  for (u32 i = 0; i < STATE_WORDS; i++)
    if (now[i] != before[i]) *change++ = (struct word){i, now[i]};
  u64 *data = (u64 *)DATA_PAGES;
  for (u32 i = 0; i < MEMORY_WORDS; i += 32) {
    u64 difference = 0;
    for (u32 k = i; k < i + 32; k++) difference |= data[k] ^ memory_before[k];
    if (difference == 0) continue;
    for (u32 k = i; k < i + 32; k++)
      if (data[k] != memory_before[k]) {
        *change++ = (struct word){MEMORY + k, data[k]};
        data[k] = memory_before[k];
      }
  }
  *result = (struct result){ending, (u32)(change - first), ending_pc};
  output_size = (u64)((u8 *)change - output);
}

static void set_memory(u64 index, u64 value) {
  memory_before[index] = value;
  ((u64 *)DATA_PAGES)[index] = value;
}

static void run_program(const struct run *run, const struct word *override) {
  const struct program *program = &programs[run->program];
  u64 address = (u64)first_word(program->slot);
  for (u32 i = 0; i < STATE_WORDS; i++) before[i] = states[run->state][i];
  for (u32 i = 0; i < run->overrides; i++) {
    if (override[i].at < MEMORY)
      before[override[i].at] = override[i].value;
    else
      set_memory(override[i].at - MEMORY, override[i].value);
  }
  ending = 0;
  ending_pc = address + 4 * program->count;
  enter_program(before, address - 4);
  report();
  for (u32 i = 0; i < run->overrides; i++)
    if (override[i].at >= MEMORY) set_memory(override[i].at - MEMORY, memory[override[i].at - MEMORY]);
}

/* What rt_sigframe hands over: Linux, arch/arm64/include/uapi/asm/{ucontext,sigcontext}.h. */
enum { FPSIMD_MAGIC = 0x46508001 };

struct ucontext {
  u8 before[176];
  u64 fault_address, x[31], sp, pc, pstate;
  u8 extensions[4096] __attribute__((aligned(16)));
};

struct fpsimd_context {
  u32 magic, size, fpsr, fpcr;
  u64 v[64];
};

static struct fpsimd_context *fpsimd(struct ucontext *context) {
  u8 *at = context->extensions;
  for (;;) {
    struct fpsimd_context *record = (struct fpsimd_context *)at;
    if (record->magic == FPSIMD_MAGIC) return record;
    if (record->magic == 0) leave(3);
    at += record->size;
  }
}

static void on_signal(int signal, void *info, void *frame) {
  (void)info;
  struct ucontext *context = frame;
  const struct fpsimd_context *fp = fpsimd(context);
  for (int i = 0; i < 31; i++) now[i] = context->x[i];
  now[SP] = context->sp;
  now[NZCV] = context->pstate >> 28 & 15;
  now[FPCR] = fp->fpcr;
  now[FPSR] = fp->fpsr;
  for (int i = 0; i < 64; i++) now[V + i] = fp->v[i];
  ending = (u32)signal;
  ending_pc = context->pc;
  context->pc = (u64)back_in_harness;
}

static u8 signal_stack[65536] __attribute__((aligned(16)));

static void catch_signals(void) {
  struct {
    void *sp;
    int flags;
    u64 size;
  } stack = {signal_stack, 0, sizeof signal_stack};
  system_call(132, (long)&stack, 0, 0, 0, 0, 0);
  enum { SIGINFO = 4, ONSTACK = 0x08000000 };
  struct {
    void (*handler)(int, void *, void *);
    u64 flags;
    void *restorer;
    u64 mask;
  } action = {on_signal, SIGINFO | ONSTACK, 0, ~0UL};
  static const u8 signals[] = {4, 5, 7, 11};
  for (u32 i = 0; i < sizeof signals; i++) system_call(134, signals[i], (long)&action, 0, 8, 0, 0);
}

static void map(u64 address, u64 size, int protection) {
  enum { PRIVATE_FIXED_ANONYMOUS = 0x32 };
  if (system_call(222, (long)address, (long)size, protection, PRIVATE_FIXED_ANONYMOUS, -1, 0) != (long)address)
    leave(2);
}

static void receive(void *data, u64 size) {
  if (!transfer(READ, 0, data, size)) leave(6);
}

void harness(void) {
  map(CODE_AREA, CODE_BYTES, 7);
  map(TRAMPOLINE, PAGE, 7);
  map(DATA_PAGES, DATA_BYTES, 3);
  prepare_code();
  catch_signals();
  while (transfer(READ, 0, &header, sizeof header)) {
    if (header.programs > SLOTS || header.states > MAX_STATES || header.runs > MAX_RUNS ||
        header.overrides > MAX_OVERRIDES)
      leave(7);
    receive(memory, sizeof memory);
    receive(programs, header.programs * sizeof(struct program));
    receive(states, header.states * sizeof states[0]);
    receive(runs, header.runs * sizeof(struct run));
    receive(overrides, header.overrides * sizeof(struct word));
    for (u32 i = 0; i < MEMORY_WORDS; i++) set_memory(i, memory[i]);
    for (u32 i = 0; i < header.programs; i++) write_program(&programs[i]);
    const struct word *override = overrides;
    for (u32 i = 0; i < header.runs; i++) {
      run_program(&runs[i], override);
      override += runs[i].overrides;
    }
    for (u32 i = 0; i < header.programs; i++) erase_program(&programs[i]);
    flush();
  }
  leave(0);
}
