//! Presses and the totals that come of them.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Board, seeded } from "./harness/board.mjs";
import { RESET } from "./harness/chip.mjs";
import { to } from "./harness/link.mjs";

const seed = Number(process.env.SEED ?? 7);
const shorts = (totals) => totals.map((desk) => desk.short);

test("a new board says who it is each second until it is greeted, then only in answer", () => {
  const board = new Board({ random: seeded(seed) }).start().run(2500);
  const hellos = board.messages.filter((m) => m.message === "hello");
  assert.equal(hellos.length, 3);
  const [first] = hellos;
  assert.equal(first.protocol, 1);
  assert.equal(first.hardware, "pico");
  assert.deepEqual(first.serial, board.flash.uniqueId);
  assert.equal(first.reset, "power on");
  assert.equal(first.journal, "empty");
  assert.equal(first.greeted, false);
  assert.ok(first.atNanos < 100e6, `the first hello came after ${first.atNanos / 1e6} ms`);
  assert.ok(board.messages.every((m) => m.message === "hello"), "nothing else before the greeting");
  assert.equal(board.greet().greeted, true);
  board.run(2500);
  assert.equal(board.messages.filter((m) => m.message === "hello").length, 4);
});

test("the line runs at 115200 and the inputs have their pull-ups", () => {
  const board = new Board({ random: seeded(seed) }).start().run(20);
  const { uart, gpio } = board.chip.chip;
  assert.ok(Math.abs(uart[0].baudRate - 115200) < 115200 * 0.005, `${uart[0].baudRate}`);
  for (const pin of [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 16, 17, 18, 19]) {
    assert.ok(gpio[pin].pullupEnabled && gpio[pin].inputEnable, `GP${pin}`);
  }
});

test("a hundred presses are a total of a hundred, also after a restart", () => {
  const board = new Board({ random: seeded(seed) }).start();
  board.greet();
  for (let press = 0; press < 100; press++) board.tap(0);
  board.run(100);
  assert.deepEqual(shorts(board.totals), [100, 0, 0, 0, 0, 0, 0, 0]);
  assert.equal(board.flash.raised, 0, "a flash cell was written twice without an erase between");
  board.totals = null;
  board.start(RESET.pin);
  const hello = board.greet();
  assert.equal(hello.reset, "pin");
  assert.equal(hello.journal, "good");
  assert.equal(hello.boot, 2);
  board.run(300);
  assert.deepEqual(shorts(board.totals), [100, 0, 0, 0, 0, 0, 0, 0]);
});

test("each button counts at its own desk, a long press apart from a short one", () => {
  const board = new Board({ random: seeded(seed) }).start();
  board.greet();
  board.send(to.configure({ desks: 0xff, longPressMs: 500 }));
  board.run(200);
  for (let desk = 0; desk < 8; desk++) for (let press = 0; press <= desk; press++) board.tap(desk);
  board.press(3);
  board.run(700);
  board.release(3);
  board.run(200);
  assert.deepEqual(shorts(board.totals), [1, 2, 3, 4, 5, 6, 7, 8]);
  assert.deepEqual(board.totals.map((desk) => desk.long), [0, 0, 0, 1, 0, 0, 0, 0]);
});

test("a lid that is opened is told", () => {
  const board = new Board({ random: seeded(seed) }).start();
  board.greet();
  board.run(200);
  board.setTamper(true);
  assert.equal(board.next((m) => m.tamperOpen !== undefined, 2000).tamperOpen, true);
  board.setTamper(false);
  assert.equal(board.next((m) => m.tamperOpen !== undefined, 2000).tamperOpen, false);
});

test("supply and battery are measured through their dividers", () => {
  const board = new Board({ random: seeded(seed) }).start();
  board.setVolts(12.31, 13.77);
  board.greet();
  const { items } = board.messages.find((m) => m.message === "readings") ?? board.next((m) => m.message === "readings", 1000);
  const millivolts = Object.fromEntries(items.map((item) => [item.metric, item.millivolts]));
  assert.ok(Math.abs(millivolts[10] - 12310) <= 10, `supply ${millivolts[10]} mV`);
  assert.ok(Math.abs(millivolts[11] - 13770) <= 10, `battery ${millivolts[11]} mV`);
});

test("a firmware that hangs is started anew within nine seconds, and says so", () => {
  const board = new Board({ random: seeded(seed) }).start();
  board.greet();
  board.tap(0);
  board.run(100);
  const hungAtMs = board.ms;
  board.chip.hang();
  assert.throws(() => board.run(20_000), /watchdog/);
  assert.ok(board.ms - hungAtMs < 9_000, `${board.ms - hungAtMs} ms`);
  board.start(RESET.watchdog);
  assert.equal(board.greet().reset, "watchdog");
  board.run(300);
  assert.equal(board.totals[0].short, 1);
});
