/* What the guests share: the console, exceptions that were taken, system registers, small operations that may fault. */
typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long u64;

#define ARRAY_LENGTH(array) (sizeof(array) / sizeof(array)[0])

#define PL011_DR (*(volatile u32 *)0x09000000)

#define READ(name) ({ u64 value_; asm volatile("mrs %0, " #name : "=r"(value_)::"memory"); value_; })
#define WRITE(name, value) asm volatile("msr " #name ", %0; isb" ::"r"((u64)(value)) : "memory")

/* Kept by start.S: the last exception, and how many there were. */
struct taken {
  u64 vector, esr, elr, far, spsr, count, resume, sp_el0;
};
extern volatile struct taken taken;

/* PSTATE of EL0t with interrupts masked; other levels differ in the low bits. The program of a host is at EL2. */
#define EL0T 0x3c0
#ifdef HOST
#define EL1T 0x3c8
#define EL1H 0x3c9
#else
#define EL1T 0x3c4
#define EL1H 0x3c5
#endif
#define EL2T 0x3c8
#define EL2H 0x3c9

u64 el0_call(u64 pc, u64 x0, u64 sp, u64 spsr, u64 x30, u64 x1);
u64 guarded_call(u64 pc, u64 x0);
void power_off(void) __attribute__((noreturn));
/* A firmware call with X0 … X3: `asm` that changes X0, X9 and X30. */
#define FIRMWARE "bl firmware_call"
/* Ends `el0_call`: where an exception at the program's own level goes on that shall end it, too. */
extern u8 from_el0[];
void on_irq(u64 vector);

/* Operations: X0 is the address, X1 the data, X0 the result. */
typedef u64 op(u64 address, u64 data);
extern u8 ops_start[], ops_end[], stack_top[], vectors[];
extern u64 boot_level2[];
#define OP(name) op op_##name;
OP(exit) OP(nop) OP(ret) OP(ldrb) OP(ldr) OP(ldrw) OP(str) OP(ldp) OP(stp) OP(ldtr) OP(sttr) OP(ldxr) OP(stxr)
OP(ldxp) OP(ldar) OP(stlr) OP(ldaxrh) OP(zva) OP(cvau) OP(civac) OP(ivac) OP(ivau) OP(ldrq) OP(strq) OP(ldpq)
OP(stpq) OP(ld1) OP(prfm) OP(ldr_post) OP(br) OP(svc) OP(brk) OP(hvc) OP(smc) OP(hlt) OP(udf) OP(unallocated)
OP(eret) OP(wfi) OP(wfe) OP(fmov) OP(read_fpcr) OP(write_fpsr) OP(simd_unallocated) OP(read_sctlr)
OP(write_sctlr) OP(read_ttbr0) OP(read_currentel) OP(write_currentel) OP(read_daif) OP(write_daif) OP(daifset)
OP(daifclr) OP(spsel) OP(read_spsel) OP(read_nzcv) OP(write_nzcv) OP(read_ctr) OP(read_dczid) OP(read_cntfrq)
OP(write_cntfrq) OP(read_cntvct) OP(read_cntpct) OP(read_cntv_ctl) OP(write_cntv_cval) OP(read_cntp_ctl)
OP(read_tpidr) OP(read_tpidrro) OP(write_tpidrro) OP(read_midr) OP(write_midr) OP(read_unknown)
OP(write_unknown) OP(read_vbar_el2) OP(sys_unknown) OP(sysl) OP(read_sp_el0) OP(read_icc_iar) OP(tlbi)
OP(iallu) OP(at) OP(pan) OP(sp_ldr) OP(sp_str) OP(sp_ldp) OP(sp_ldxr) OP(sp_ldar) OP(sp_prfm) OP(sp_ldrq)
OP(sp_ld1) OP(sp_ldur) OP(sp_ldr_register)

/* Where `map_ops_for_el0` puts the operations: read-only and executable by EL0. */
#define EL0_OPS 0x80000000ul
#define EL0(operation) (EL0_OPS + ((u64)(operation) - (u64)ops_start))
void map_ops_for_el0(void);

void print(const char *text);
void print_hex(u64 value);
void print_decimal(u64 value);
/* `name ok result`, or what was taken: vector, syndrome, ELR relative to `pc` where near, FAR if it is set. */
void report(const char *name, u64 pc, u64 result);
/* ISV and what it announces: QEMU 7.2 has it for every data abort that EL2 takes, not for those of stage 2 alone. */
#define DATA_ABORT_DETAILS 0x01ffc000ul
/* Calls the operation at EL1 or EL0 and reports. */
u64 try_el1(const char *name, op *operation, u64 address, u64 data);
u64 try_el0(const char *name, op *operation, u64 address, u64 data);

static inline void flush_tlb(void) {
#ifdef EL2
  asm volatile("dsb sy; tlbi alle2; tlbi alle1; dsb sy; isb" ::: "memory");
#else
  asm volatile("dsb sy; tlbi vmalle1; dsb sy; isb" ::: "memory");
#endif
}
static inline void sync_code(const volatile void *at) {
  asm volatile("dc cvau, %0; dsb ish; ic ivau, %0; dsb ish; isb" ::"r"(at) : "memory");
}
