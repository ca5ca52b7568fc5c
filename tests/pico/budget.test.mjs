//! What the image may use: 32 KiB of flash, 8 KiB of memory with the stack at its deepest.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Board, image, seeded } from "./harness/board.mjs";
import { FRAMING_ERROR } from "./harness/chip.mjs";
import { makeModule } from "./harness/cage.mjs";
import { to } from "./harness/link.mjs";

const FLASH_BYTES_MAX = 32 * 1024;
/** Where the image begins: behind the loader. */
const ACTIVE = 0x10010000;
const MEMORY_BYTES_MAX = 8 * 1024;

test("the image keeps to 32 KiB of flash", () => {
  const end = Math.max(...[...image.flash].map(([address, bytes]) => address + bytes.length)) - ACTIVE;
  console.log(`image: ${end} of ${FLASH_BYTES_MAX} bytes of flash`);
  assert.ok(end <= FLASH_BYTES_MAX);
});

test("the board keeps to 8 KiB of memory while all of it is at work", () => {
  const board = new Board({ random: seeded(3) });
  board.modules = [makeModule({ receivedMicrowatts: 20 }), makeModule({ receivedMicrowatts: 30 })];
  board.start();
  board.greet();
  board.send(to.configure({ desks: 0xff, cages: 3, batteryLowMv: 11000, relay: true }));
  board.run(500);
  board.send(to.relay(new Array(16).fill(1), 5000));
  // More than a sector of presses, so that it erases; noise and a greeting at once; the mains gone and back.
  for (let press = 0; press < 40; press++) {
    for (let desk = 0; desk < 8; desk++) board.press(desk);
    board.run(60);
    for (let desk = 0; desk < 8; desk++) board.release(desk);
    board.send([...Array.from({ length: 40 }, (_, at) => (at % 5 ? at : FRAMING_ERROR)), ...to.greet()]);
    board.setMains(press % 10 < 5);
    board.setTamper(press % 7 === 0);
    board.run(250);
  }
  board.run(1000);
  assert.ok(board.flash.erases > 0);
  const used = board.measureMemory();
  console.log(`memory: ${used.staticBytes} static + ${used.stackBytes} stack = ${used.bytes} of ${MEMORY_BYTES_MAX} bytes`);
  assert.ok(used.bytes <= MEMORY_BYTES_MAX);
});
