//! A bad line: noise, broken bytes, overruns, a cable that comes and goes.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Board, seeded } from "./harness/board.mjs";
import { FRAMING_ERROR } from "./harness/chip.mjs";
import { to } from "./harness/link.mjs";

const seed = Number(process.env.SEED ?? Date.now() % 1e6);

test(`after any garbage a greeting is answered within a second (seed ${seed})`, () => {
  const random = seeded(seed);
  const board = new Board({ random }).start();
  board.greet();
  const noise = (count, damage) =>
    Array.from({ length: count }, () => Math.floor(random() * 256) | (random() < damage ? FRAMING_ERROR : 0));
  const kinds = {
    noise: () => noise(2000, 0),
    "noise with framing errors": () => noise(2000, 0.3),
    "a break": () => Array.from({ length: 500 }, () => FRAMING_ERROR | (1 << 10)),
    "zeros": () => new Array(1000).fill(0),
    "no zero": () => new Array(1000).fill(0x55),
    "half a frame": () => to.relay(new Array(16).fill(7), 5000).slice(0, 9),
  };
  for (const [kind, make] of Object.entries(kinds)) {
    const bytes = make();
    board.send(bytes);
    board.run(bytes.length / 11.52 + 5);
    const fromMs = board.ms;
    board.send(to.greet());
    const hello = board.next((m) => m.message === "hello", 1000);
    console.log(`${kind}: answered after ${(hello.atNanos / 1e6 - fromMs).toFixed(1)} ms`);
  }
  assert.ok(board.messages.filter((m) => m.message === "hello").at(-1).framesRefused > 0);
});

test("what an erase of flash drowned is said again, and nothing is counted twice or lost", () => {
  const board = new Board({ random: seeded(seed) }).start();
  board.greet();
  board.run(100);
  // The agent talks all the time: greeting after greeting, so that the erase finds the line busy.
  const work = board.flash.erase.bind(board.flash);
  board.flash.erase = (from, length, pass) => {
    for (let count = 0; count < 60; count++) board.send(to.greet());
    work(from, length, pass);
  };
  const erases = board.flash.erases;
  let pressed = 0;
  while (board.flash.erases < erases + 2) {
    board.tap(0);
    pressed++;
  }
  board.run(1200);
  assert.ok(board.chip.overruns > 0, "the erase drowned nothing");
  assert.equal(board.totals[0].short, pressed);
});

test("an agent of another protocol is told so and nothing else", () => {
  const board = new Board({ random: seeded(seed) }).start().run(100);
  board.send(to.greet(99));
  board.next((m) => m.message === "hello", 500);
  board.tap(0);
  board.run(1500);
  assert.ok(board.messages.every((m) => m.message === "hello"));
});
