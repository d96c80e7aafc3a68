import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { UserError } from '../base/index.js';
import type { ByteReceiver, Clock, Timer } from '../bus/index.js';
import type { Engine, RunExit } from '../cpu/engine.js';
import { RealClock, VirtualClock } from './clock.js';
import type { MachineClock } from './clock.js';
import { MachineStoppedError, TimeoutError } from './errors.js';
import type { StopReason } from './errors.js';
import { ManualHost } from './host-loop.js';
import { OutsideWorld } from './outside-world.js';
import { Machine, PowerLatch } from './machine.js';
import type { Hardware } from './machine.js';
import { SerialConsole } from './serial.js';

/** A UART with a FIFO of 16 bytes and no output side. */
class FakeUart implements ByteReceiver {
  readonly fifo: number[] = [];
  onReceiveRoom: (() => void) | undefined;

  receive(bytes: Uint8Array): number {
    const count = Math.min(16 - this.fifo.length, bytes.length);
    this.fifo.push(...bytes.subarray(0, count));
    return count;
  }

  read(): number | undefined {
    const wasFull = this.fifo.length === 16;
    const byte = this.fifo.shift();
    if (wasFull) this.onReceiveRoom?.();
    return byte;
  }
}

interface Fixture {
  readonly clock: Clock;
  readonly power: PowerLatch;
  readonly uart: FakeUart;
  readonly print: (text: string) => void;
}

/** What a fake guest does in one "instruction"; `wait` makes its CPU wait for a timer or for input. */
type Guest = (fixture: Fixture, instruction: number) => void | 'wait';

/** An engine whose program is a JavaScript function. */
class FakeEngine implements Engine {
  instructions = 0;
  /** Budget and exit of each run. */
  readonly runs: string[] = [];
  resets = 0;
  isWaiting = false;
  isPoweredDown = false;
  #isKicked = false;
  readonly #execute: (instruction: number) => void | 'wait';
  readonly #hasInput: () => boolean;

  readonly #host: ManualHost;

  constructor(host: ManualHost, execute: (instruction: number) => void | 'wait', hasInput: () => boolean) {
    this.#host = host;
    this.#execute = execute;
    this.#hasInput = hasInput;
  }

  get busyCpus(): number {
    return this.isWaiting ? 0 : 1;
  }

  run(budget: number): RunExit {
    const start = this.instructions;
    const exit = this.#run(budget);
    // A full slice takes a whole turn of the event loop.
    if (exit === 'budget') this.#host.advance(4 * (this.instructions - start));
    this.runs.push(`${budget} ${exit} @${this.instructions}`);
    return exit;
  }

  #run(budget: number): RunExit {
    this.#isKicked = false;
    if (this.isWaiting && !this.#hasInput()) return 'idle';
    this.isWaiting = false;
    // Like the real one, it looks at the budget only now and then.
    for (let i = 0; i < budget || this.instructions % 3 !== 0; i++) {
      this.isWaiting = this.#execute(this.instructions++) === 'wait';
      if (this.isPoweredDown) return 'stopped';
      if (this.isWaiting) return 'idle';
      if (this.#isKicked) return 'budget';
    }
    return 'budget';
  }

  kick(): void {
    this.#isKicked = true;
  }

  reset(): void {
    this.isWaiting = false;
    this.isPoweredDown = false;
    this.resets++;
  }

  setIrq(): void {
    this.isWaiting = false;
  }

  setFiq(): void {
    // No fake guest uses it.
  }
}

interface BootOptions {
  readonly clock?: 'real' | 'virtual';
  readonly onReset?: 'restart' | 'stop';
  readonly host?: ManualHost;
  readonly sync?: (power: PowerLatch) => void;
}

function boot(guest: Guest, options: BootOptions = {}) {
  const host = options.host ?? new ManualHost();
  const clock: MachineClock = options.clock === 'real' ? new RealClock(host) : new VirtualClock();
  const power = new PowerLatch();
  const console = new SerialConsole(host);
  const uart = new FakeUart();
  const log: string[] = [];
  const fixture: Fixture = {
    clock,
    power: Object.assign(new PowerLatch(), {
      powerOff: () => {
        engine.isPoweredDown = true;
        power.powerOff();
      },
      reset: () => {
        engine.isPoweredDown = true;
        power.reset();
      },
    }),
    uart,
    print: (text) => {
      for (const byte of new TextEncoder().encode(text)) console.write(byte);
    },
  };
  const engine = new FakeEngine(
    host,
    (instruction) => guest(fixture, instruction),
    () => uart.fifo.length > 0,
  );
  const hardware: Hardware = {
    engine,
    receiver: uart,
    reset: () => {
      log.push('reset');
      engine.reset();
    },
    deviceTree: new Uint8Array(),
    notices: [],
    pressPowerKey: () => undefined,
    flush: () => {
      log.push('flush');
    },
    sync: () => {
      log.push('sync');
      options.sync?.(power);
    },
    close: () => {
      log.push('close');
    },
    statistics: () => [],
  };
  const outside = new OutsideWorld();
  const machine = new Machine({
    hardware,
    outside,
    clock,
    host,
    power,
    console,
    onReset: options.onReset ?? 'restart',
  });
  return { machine, host, engine, uart, clock, log, fixture, outside };
}

/** Turns the host's event loop until nothing is left to do, sleeping when only sleep is left. */
async function settle(host: ManualHost, turns = 10_000): Promise<void> {
  for (let i = 0; i < turns; i++) if (!(await host.turn()) && !(await host.sleep())) return;
}

async function turns(host: ManualHost, count: number): Promise<void> {
  for (let i = 0; i < count; i++) await host.turn();
}

const printOnce =
  (text: string): Guest =>
  ({ print }, instruction) => {
    if (instruction === 10) print(text);
  };

/**
 * A guest whose course depends on everything it can see: the time at each timer tick, and the instruction and time at
 * which each byte of input is read. It prompts, echoes and powers off after `quit`.
 */
function nosyGuest() {
  let hash = 0x811c9dc5;
  const mix = (value: number) => {
    hash = Math.imul(hash ^ (value % 0xffff_ffff), 0x01000193) >>> 0;
  };
  let timer: Timer | undefined;
  let ticks = 0;
  let line = '';
  const guest: Guest = ({ clock, power, print, uart }, instruction) => {
    timer ??= clock.timer('tick', () => {
      ticks++;
      mix(clock.nowNs());
      timer!.arm(clock.nowNs() + 1000 + (hash % 100_000));
    });
    if (instruction === 0) {
      timer.arm(5000);
      print('boot\r\n> ');
    }
    const byte = instruction % 1009 === 0 ? uart.read() : undefined;
    if (byte !== undefined) {
      mix(byte);
      mix(instruction);
      mix(clock.nowNs());
      const character = String.fromCharCode(byte);
      print(character);
      if (character !== '\r') line += character;
      else {
        if (line === 'quit') power.powerOff();
        print(`\n${line}: ${hash.toString(16)}\r\n> `);
        line = '';
      }
    }
    if (hash % 97 === 3) return 'wait';
    if (instruction % 50 === 0) mix(instruction);
    return undefined;
  };
  return { guest, result: () => ({ hash, ticks }) };
}

describe('determinism with the virtual clock', () => {
  async function play(hostSpeeds: readonly number[]) {
    const { guest, result } = nosyGuest();
    // A host on which everything takes a different time each run, so that turns hold different numbers of slices.
    class UnevenHost extends ManualHost {
      #calls = 0;
      override nowNs(): number {
        this.advance(hostSpeeds[this.#calls++ % hostSpeeds.length]!);
        return super.nowNs();
      }
    }
    const host = new UnevenHost();
    const { machine, engine } = boot(guest, { host });
    let output = '';
    machine.serial.onOutput((bytes) => {
      output += new TextDecoder().decode(bytes);
    });
    const script = (async () => {
      for (const command of ['first', 'a longer line than the FIFO of the UART holds', 'quit']) {
        await machine.serial.waitFor('> ', { timeoutMs: 0 });
        machine.serial.send(`${command}\r`);
      }
    })();
    machine.start();
    await settle(host);
    await script;
    assert.equal(machine.state, 'stopped');
    // How fast the host was must be the only difference.
    const stats = { ...machine.stats(), executingNs: 0, mips: 0 };
    return { output, runs: engine.runs, stats, ...result() };
  }

  test('a script sees the same output and the guest executes the same slices, however slow the host is', async () => {
    const reference = await play([0]);
    assert.match(reference.output, /first: [0-9a-f]+\r\n/);
    assert.ok(reference.ticks > 10);
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(10_000_000), { minLength: 1, maxLength: 7 }), async (hostSpeeds) => {
        assert.deepEqual(await play(hostSpeeds), reference);
      }),
      { seed: 3, numRuns: 15 },
    );
  });

  test('listening and waiting change nothing for the guest', async () => {
    const run = async (listens: boolean) => {
      const { guest, result } = nosyGuest();
      const { machine, host, engine } = boot(guest);
      if (listens) {
        machine.serial.onOutput(() => undefined);
        void machine.serial.waitFor('boot');
      }
      machine.serial.send('quit\r');
      machine.start();
      await settle(host);
      assert.equal(machine.state, 'stopped');
      return { runs: engine.runs, hash: result().hash };
    };
    assert.deepEqual(await run(true), await run(false));
  });
});

describe('virtual clock', () => {
  test('a five-second wait costs no host time', async () => {
    let woken: number | undefined;
    const { machine, host } = boot(({ clock, power }, instruction) => {
      if (woken !== undefined) power.powerOff();
      if (instruction > 0) return;
      clock
        .timer('t', () => {
          woken = clock.nowNs();
        })
        .arm(5_000_000_000);
      return 'wait';
    });
    machine.start();
    // The guest is woken by the timer's interrupt, which the fake takes for input.
    await turns(host, 3);
    assert.equal(woken, 5_000_000_000);
    assert.equal(host.nowNs(), 0);
    assert.equal(machine.stats().skippedNs, 5_000_000_000 - 4);
  });

  test('input that arrives while every CPU waits is delivered before time jumps', async () => {
    let seenNs: number | undefined;
    const { machine, host } = boot(({ clock, uart, print }, instruction) => {
      if (instruction === 0) {
        clock.timer('t', () => undefined).arm(5_000_000_000);
        print('> ');
        return 'wait';
      }
      if (uart.read() !== undefined) seenNs = clock.nowNs();
      return 'wait';
    });
    void machine.serial.waitFor('>').then(() => {
      machine.serial.send('x');
    });
    machine.start();
    await turns(host, 5);
    assert.equal(seenNs, 2 * 4);
  });

  test('without a timer, a machine whose CPUs wait does nothing until there is input', async () => {
    let read: number | undefined;
    const { machine, host, engine } = boot(({ uart }) => {
      read ??= uart.read();
      return 'wait';
    });
    machine.start();
    await turns(host, 20);
    assert.equal(engine.instructions, 1);
    assert.equal(await host.turn(), false, 'the host may sleep');
    machine.serial.send('A');
    await turns(host, 3);
    assert.equal(read, 0x41);
  });
});

describe('real clock', () => {
  test('waits on the host until the next deadline', async () => {
    const fired: number[] = [];
    const { machine, host } = boot(
      ({ clock }, instruction) => {
        if (instruction === 0) clock.timer('t', () => fired.push(clock.nowNs())).arm(50_000_000);
        return 'wait';
      },
      { clock: 'real' },
    );
    machine.start();
    await turns(host, 5);
    assert.deepEqual(fired, []);
    assert.equal(await host.sleep(), true);
    assert.equal(host.nowNs(), 50_000_000);
    assert.deepEqual(fired, [50_000_000]);
  });

  test('guest time stands still while the machine is paused', async () => {
    const { machine, host, clock } = boot(() => 'wait', { clock: 'real' });
    machine.start();
    host.advance(1000);
    await machine.pause();
    host.advance(1_000_000);
    assert.equal(clock.nowNs(), 1000);
    machine.resume();
    host.advance(10);
    assert.equal(clock.nowNs(), 1010);
  });
});

describe('states', () => {
  test('a machine executes nothing before start() and nothing while paused', async () => {
    const { machine, host, engine } = boot(() => undefined);
    assert.equal(machine.state, 'created');
    assert.equal(await host.turn(), false);
    machine.start();
    await host.turn();
    await machine.pause();
    const { instructions } = engine;
    assert.ok(instructions > 0);
    assert.equal(machine.state, 'paused');
    await turns(host, 5);
    assert.equal(engine.instructions, instructions);
    machine.resume();
    await turns(host, 5);
    assert.ok(engine.instructions > instructions);
  });

  test('power-off by the guest stops the machine after its last output, with everything committed', async () => {
    const { machine, host, log } = boot(({ power, print }, instruction) => {
      if (instruction < 5) return;
      print('bye');
      power.powerOff();
    });
    const seen: string[] = [];
    machine.serial.onOutput((bytes) => {
      seen.push(new TextDecoder().decode(bytes));
    });
    machine.on('stopped', (reason) => seen.push(reason.kind));
    machine.start();
    await turns(host, 2);
    assert.deepEqual(seen, ['bye', 'power-off']);
    assert.deepEqual(await machine.stopped(), { kind: 'power-off' });
    assert.deepEqual(log, ['reset', 'sync']);
    assert.throws(() => machine.start(), UserError);
    await assert.rejects(machine.reset(), UserError);
  });

  test('a reset by the guest starts it again, or ends the run with onReset: stop', async () => {
    const guest: Guest = ({ power }, instruction) => {
      if (instruction === 100) power.reset();
      if (instruction === 300) power.powerOff();
    };
    const restarted = boot(guest);
    let resets = 0;
    restarted.machine.on('reset', () => resets++);
    restarted.machine.start();
    await turns(restarted.host, 2);
    assert.equal(resets, 1);
    assert.deepEqual(restarted.log, ['reset', 'reset', 'flush', 'sync']);
    assert.deepEqual(await restarted.machine.stopped(), { kind: 'power-off' });

    const ended = boot(guest, { onReset: 'stop' });
    ended.machine.start();
    await turns(ended.host, 2);
    assert.deepEqual(await ended.machine.stopped(), { kind: 'reset' });
  });

  test('a guest that nothing can wake halts once its input has ended', async () => {
    const { machine, host } = boot(() => 'wait');
    machine.start();
    await turns(host, 5);
    assert.equal(machine.state, 'running');
    machine.serial.end();
    await turns(host, 5);
    assert.deepEqual(await machine.stopped(), { kind: 'halted' });
  });

  test('what comes from outside wakes a guest that waits', async () => {
    let isAnswered = false;
    const { machine, host, engine, outside } = boot(({ power }) => {
      if (!isAnswered) return 'wait';
      return power.powerOff();
    });
    machine.start();
    await turns(host, 5);
    assert.equal(engine.instructions, 1);
    isAnswered = true;
    engine.setIrq();
    outside.notify();
    await turns(host, 5);
    assert.deepEqual(await machine.stopped(), { kind: 'power-off' });
  });

  test("while an answer from outside is expected, virtual time passes as the host's does", async () => {
    let isExpecting = true;
    const { machine, host, engine, outside, clock } = boot(() => 'wait');
    outside.add(() => isExpecting);
    const timer = clock.timer('a timeout of the guest', () => {
      engine.setIrq();
    });
    timer.arm(2e9);
    machine.start();
    await turns(host, 5);
    host.advance(0.5e9);
    outside.notify();
    await turns(host, 5);
    assert.ok(clock.nowNs() >= 0.5e9 && clock.nowNs() < 0.51e9, `${clock.nowNs()}`);
    await host.sleep();
    host.advance(1e6);
    await turns(host, 5);
    assert.ok(clock.nowNs() >= 2e9 && host.nowNs() >= 1.99e9, `${clock.nowNs()} ${host.nowNs()}`);
    isExpecting = false;
    timer.arm(100e9);
    outside.notify();
    await turns(host, 5);
    assert.ok(clock.nowNs() >= 100e9 && host.nowNs() < 3e9, `${clock.nowNs()} ${host.nowNs()}`);
  });

  test('what the user should know reaches whoever listens', () => {
    const { machine, outside } = boot(() => undefined);
    const heard: string[] = [];
    machine.on('notice', (line) => heard.push(line));
    outside.report('disk image a.img: cannot be written: no space left on the disk');
    assert.deepEqual(heard, ['disk image a.img: cannot be written: no space left on the disk']);
  });

  test('a host failure while committing stops the machine and says so', async () => {
    const full = new UserError('host-io', 'flash vars.fd: the disk is full');
    const { machine, host } = boot(
      ({ power }) => {
        power.powerOff();
      },
      {
        sync: (latch) => {
          latch.fail(full);
        },
      },
    );
    machine.start();
    await turns(host, 2);
    assert.deepEqual(await machine.stopped(), { kind: 'error', error: full });
  });

  test('an exception out of a device stops the machine with that error', async () => {
    const { machine, host } = boot(() => {
      throw new UserError('host-io', 'no');
    });
    machine.start();
    await turns(host, 2);
    const reason = await machine.stopped();
    assert.equal(reason.kind === 'error' && reason.error.message, 'no');
  });

  test('close() stops, commits, gives up the files once and ends the output stream', async () => {
    const { machine, log } = boot(() => undefined);
    const reader = machine.serial.output().getReader();
    machine.start();
    await machine.close();
    await machine.close();
    assert.deepEqual(await machine.stopped(), { kind: 'host' });
    assert.deepEqual(log, ['reset', 'sync', 'close']);
    assert.equal((await reader.read()).done, true);
  });
});

describe('waitFor', () => {
  test('finds text across slices, consumes it, and gives what came before', async () => {
    const { machine, host } = boot(({ print }, instruction) => {
      if (instruction === 3) print('one Sh');
      if (instruction === 2_500_000) print('ell> two Shell> three');
    });
    machine.start();
    const first = machine.serial.waitFor('Shell>', { timeoutMs: 0 });
    await turns(host, 10);
    assert.deepEqual(await first, { before: 'one ', match: ['Shell>'] });
    assert.deepEqual(await machine.serial.waitFor('Shell>'), { before: ' two ', match: ['Shell>'] });
    assert.deepEqual(await machine.serial.waitFor(/t(h\w+)/), { before: ' ', match: ['three', 'hree'] });
  });

  test('ignores the g and y flags of a regular expression', async () => {
    const { machine, host } = boot(printOnce('aXbX'));
    const pattern = /X/gy;
    pattern.lastIndex = 3;
    machine.start();
    await host.turn();
    assert.equal((await machine.serial.waitFor(pattern)).before, 'a');
    assert.equal(pattern.lastIndex, 3);
  });

  test('several can wait at once, for what comes first', async () => {
    const { machine, host } = boot(printOnce('panic: no memory'));
    machine.start();
    const outcome = Promise.race([machine.serial.waitFor('login:'), machine.serial.waitFor('panic:')]);
    await host.turn();
    assert.deepEqual((await outcome).match, ['panic:']);
  });

  test('fails after its timeout of host time with the last lines, free of control sequences', async () => {
    const { machine, host } = boot(({ print }, instruction) => {
      if (instruction === 0)
        print('\u001b[2J\u001b[01;01HUEFI firmware\r\n\u001b[1mBdsDxe\u001b[0m: failed\r\n\r\n');
      return 'wait';
    });
    machine.start();
    const wait = machine.serial.waitFor('Shell>', { timeoutMs: 1500 });
    const failure = assert.rejects(wait, (error) => {
      assert.ok(error instanceof TimeoutError);
      assert.equal(
        error.message,
        'waitFor("Shell>"): the guest did not print it in 1500 ms; its last lines:\n' +
          '    | UEFI firmware\n    | BdsDxe: failed',
      );
      return true;
    });
    await turns(host, 3);
    await host.sleep();
    await failure;
    assert.equal(host.nowNs(), 1_500_000_000);
  });

  test('shows as one line what firmware types with a cursor movement before each character', async () => {
    const { machine, host } = boot(
      printOnce(
        '\u001b[05;01HShell> \u001b[05;08Hv\u001b[05;09H\u001b[05;09He\u001b[05;10Hr\u001b[06;01Hversion\u001b[2J5 seconds\r4 seconds\r\nNew',
      ),
    );
    machine.start();
    await host.turn();
    assert.deepEqual(machine.serial.lastLines(), ['Shell> ver', 'version', '4 seconds', 'New']);
    assert.deepEqual(machine.serial.lastLines(1), ['New']);
  });

  test('fails at once when the machine stops first, also when it had stopped before the call', async () => {
    const { machine, host } = boot(({ power, print }) => {
      print('hello');
      power.powerOff();
    });
    machine.start();
    const refuse = (error: unknown) => {
      assert.ok(error instanceof MachineStoppedError);
      assert.equal(
        error.message,
        'waitFor(/Shell/): the guest powered off before it was printed; its last lines:\n    | hello',
      );
      assert.deepEqual(error.reason, { kind: 'power-off' } satisfies StopReason);
      return true;
    };
    const early = assert.rejects(machine.serial.waitFor(/Shell/), refuse);
    await turns(host, 2);
    await early;
    await assert.rejects(machine.serial.waitFor(/Shell/), refuse);
    assert.equal((await machine.serial.waitFor('hello')).before, '', 'what was printed can still be found');
  });

  test('finds a late match in megabytes of output, of which it keeps only the end', async () => {
    const { machine, host } = boot(({ print }, instruction) => {
      if (instruction === 0) print('START');
      if (instruction % 100_000 === 0) print(`${'x'.repeat(100_000)}\n`);
      if (instruction === 3_000_000) print('END');
    });
    machine.start();
    const wait = machine.serial.waitFor(/START|END/, { timeoutMs: 0 });
    await host.turn();
    assert.deepEqual((await wait).match, ['START']);
    const end = machine.serial.waitFor('END', { timeoutMs: 0 });
    await turns(host, 10);
    const { before } = await end;
    assert.ok(before.length < 2_000_000);
  });
});

describe('input and output', () => {
  test('input waits for room in the UART and arrives whole and in order', async () => {
    let text = '';
    const { machine, host } = boot(({ uart }, instruction) => {
      if (instruction % 7 !== 0) return;
      const byte = uart.read();
      if (byte !== undefined) text += String.fromCharCode(byte);
    });
    const sent = 'The quick brown fox jumps over the lazy dog. '.repeat(20);
    machine.start();
    machine.serial.send(sent);
    machine.serial.send(Uint8Array.of(0x21));
    await turns(host, 2);
    assert.equal(text, `${sent}!`);
    assert.equal(machine.stats().serialBytesIn, text.length);
  });

  test('the machine waits for a listener that returns a promise', async () => {
    const { machine, host, engine } = boot(printOnce('x'));
    let release!: () => void;
    machine.serial.onOutput(() => new Promise((resolve) => (release = resolve)));
    machine.start();
    await turns(host, 5);
    const { instructions } = engine;
    await turns(host, 5);
    assert.equal(engine.instructions, instructions);
    release();
    await turns(host, 1);
    assert.equal(await host.turn(), true);
    assert.ok(engine.instructions > instructions);
  });

  test('the output stream has every byte, and stops the machine while nobody reads', async () => {
    const { machine, host, engine } = boot(({ print }, instruction) => {
      if (instruction % 100 === 0) print('0123456789'.repeat(10));
    });
    const stream = machine.serial.output();
    machine.start();
    await turns(host, 10);
    const { instructions } = engine;
    await turns(host, 10);
    assert.equal(engine.instructions, instructions);
    const { value } = await stream.getReader().read();
    assert.equal(value?.length, machine.stats().serialBytesOut);
    await turns(host, 3);
    assert.ok(engine.instructions > instructions);
  });

  test('a write to the input stream settles when the UART has taken it', async () => {
    const { machine, host, uart } = boot(() => undefined);
    const writer = machine.serial.input().getWriter();
    machine.start();
    let isTaken = false;
    void writer.write(new Uint8Array(20)).then(() => (isTaken = true));
    await turns(host, 2);
    assert.equal(isTaken, false);
    while (uart.read() !== undefined);
    await turns(host, 2);
    assert.equal(isTaken, true);
  });

  test('removed listeners hear nothing', async () => {
    const { machine, host } = boot(printOnce('x'));
    let count = 0;
    machine.serial.onOutput(() => {
      count++;
    })();
    machine.on('stopped', () => count++)();
    machine.start();
    await turns(host, 2);
    await machine.stop();
    assert.equal(count, 0);
  });
});
