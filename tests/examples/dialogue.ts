/**
 * How to use v8a as a library: boot a guest, wait for what it prints, type an answer, see it power off.
 *
 * Real firmware takes the place of `firmware` as a path, such as '/usr/share/AAVMF/AAVMF_CODE.fd'.
 */
import { createMachine } from 'v8a';

/** Asks for a name, echoes it and powers off. */
const firmware = new Uint8Array(
  Uint32Array.of(
    0xd2a1_2001, //        movz x1, #0x0900, lsl #16   UART0, a PL011
    0x5280_6020, //        movz w0, #0x301
    0xb900_3020, //        str  w0, [x1, #0x30]        UARTCR: UARTEN, TXE, RXE
    0x1000_01c2, //        adr  x2, prompt
    0x3840_1440, // print: ldrb w0, [x2], #1
    0x3400_0060, //        cbz  w0, echo
    0xb900_0020, //        str  w0, [x1]               UARTDR
    0x17ff_fffd, //        b    print
    0xb940_1820, // echo:  ldr  w0, [x1, #0x18]        UARTFR
    0x3727_ffe0, //        tbnz w0, #4, echo           RXFE
    0xb940_0020, //        ldr  w0, [x1]               UARTDR
    0xb900_0020, //        str  w0, [x1]
    0x7100_341f, //        cmp  w0, #'\r'
    0x54ff_ff61, //        b.ne echo
    0x52b0_8000, //        movz w0, #0x8400, lsl #16   PSCI SYSTEM_OFF
    0x7280_0100, //        movk w0, #0x0008
    0xd400_0002, //        hvc  #0
    0x7275_6f59, // prompt: "Your name? "
    0x6d61_6e20,
    0x0020_3f65,
  ).buffer,
);

const machine = await createMachine({ firmware, clock: 'virtual' });
try {
  machine.serial.onOutput((bytes) => {
    process.stdout.write(bytes);
  });
  machine.start();

  await machine.serial.waitFor('name? ');
  machine.serial.send('Ada\r');

  const { before } = await machine.serial.waitFor('\r');
  const reason = await machine.stopped();
  console.log(`\n${before}, ${reason.kind}, ${machine.stats().instructions} instructions`);
} finally {
  await machine.close();
}
