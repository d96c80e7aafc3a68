/* A debugger for Linux: breakpoints and watchpoints in hardware and single steps, of a child that counts. */
#define _GNU_SOURCE
#include <asm/ptrace.h>
#include <elf.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

/* The kernel's layout of DBGBCR and DBGWCR, for EL0. */
#define BREAKPOINT (0xf << 5 | 2 << 1 | 1)
#define STORES (0xff << 5 | 2 << 3 | 2 << 1 | 1)

static volatile uint64_t watched, others[64];
static pid_t child;

__attribute__((noinline)) static uint64_t target(uint64_t x) {
  asm volatile("" ::: "memory");
  return x * 3 + 1;
}

static void count(void) {
  ptrace(PTRACE_TRACEME, 0, 0, 0);
  raise(SIGSTOP);
  uint64_t sum = 0;
  for (int i = 0; i < 100; i++) {
    sum += target(i);
    others[i % 64] = sum;
    if (i % 10 == 0) watched = sum;
  }
  raise(SIGUSR1);
  for (int i = 0; i < 2000; i++) asm volatile("" ::: "memory");
  raise(SIGUSR2);
  _exit(7);
}

/* The signal that stopped the child; below zero for an exit status. */
static int wait_for_stop(siginfo_t *info) {
  int status;
  waitpid(child, &status, 0);
  if (WIFEXITED(status)) return -WEXITSTATUS(status);
  ptrace(PTRACE_GETSIGINFO, child, 0, info);
  return WSTOPSIG(status);
}

/* Sets the first breakpoint or watchpoint; how many there are. */
static int set(long kind, volatile void *address, uint32_t control) {
  struct user_hwdebug_state state;
  memset(&state, 0, sizeof(state));
  struct iovec vector = {&state, sizeof(state)};
  if (ptrace(PTRACE_GETREGSET, child, kind, &vector)) perror("PTRACE_GETREGSET");
  int number = state.dbg_info & 0xff;
  state.dbg_regs[0].addr = (uintptr_t)address;
  state.dbg_regs[0].ctrl = control;
  vector.iov_len = offsetof(struct user_hwdebug_state, dbg_regs) + number * sizeof(state.dbg_regs[0]);
  if (ptrace(PTRACE_SETREGSET, child, kind, &vector)) perror("PTRACE_SETREGSET");
  return number;
}

static void enable(int on) {
  int breakpoints = set(NT_ARM_HW_BREAK, on ? (void *)target : 0, on ? BREAKPOINT : 0);
  int watchpoints = set(NT_ARM_HW_WATCH, on ? &watched : 0, on ? STORES : 0);
  static int is_told;
  if (!is_told++) printf("%d breakpoints %d watchpoints\n", breakpoints, watchpoints);
}

int main(void) {
  siginfo_t info;
  int signal, breaks = 0, watches = 0, wrong = 0, steps = 0;
  if (!(child = fork())) count();
  wait_for_stop(&info);
  enable(1);
  while (ptrace(PTRACE_CONT, child, 0, 0), (signal = wait_for_stop(&info)) == SIGTRAP) {
    if (info.si_addr == (void *)target) breaks++;
    else if (info.si_addr == (void *)&watched) watches++;
    else wrong++;
    enable(0);
    ptrace(PTRACE_SINGLESTEP, child, 0, 0);
    if (wait_for_stop(&info) != SIGTRAP) wrong++;
    enable(1);
  }
  printf("%d stops at code %d at data %d others, then %s\n", breaks, watches, wrong, signal == SIGUSR1 ? "USR1" : "?");
  enable(0);
  while (ptrace(PTRACE_SINGLESTEP, child, 0, 0), (signal = wait_for_stop(&info)) == SIGTRAP) steps++;
  printf("%s steps, then %s\n", steps > 4000 && steps < 5000 ? "about 4000" : "other", signal == SIGUSR2 ? "USR2" : "?");
  ptrace(PTRACE_CONT, child, 0, 0);
  printf("status %d\n", -wait_for_stop(&info));
  return 0;
}
