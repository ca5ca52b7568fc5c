//! Power that goes: totals over cuts at any moment, the dying gasp, the relay.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Board, PINS, seeded } from "./harness/board.mjs";
import { BYTE_NANOS } from "./harness/chip.mjs";
import { to } from "./harness/link.mjs";

const seed = Number(process.env.SEED ?? Date.now() % 1e6);

const AN_HOUR_NANOS = 3600e9;
/** The pins' interrupt (RP2040 datasheet 2.3.2). */
const IO_IRQ_BANK0 = 13;

test(`no acknowledged press is lost in twenty power cuts (seed ${seed})`, () => {
  const random = seeded(seed);
  const board = new Board({ random });
  const ways = { "at a random moment": 0, "while starting": 0, program: 0, erase: 0 };
  let acknowledged = 0;
  let pressed = 0;
  let boot = 0;
  for (let cut = 0; cut < 20; cut++) {
    const way = Object.keys(ways)[cut % 4];
    ways[way]++;
    board.start();
    if (way === "while starting") {
      board.chip.cutAt = random() * 60e6;
      board.untilCut(() => board.run(1000));
      continue;
    }
    const hello = board.greet();
    assert.notEqual(hello.journal, "damaged", `cut ${cut}`);
    assert.ok(hello.boot > boot, `boot ${hello.boot} after ${boot}`);
    boot = hello.boot;
    board.totals = null;
    board.run(100);
    const found = board.totals[0].short;
    assert.ok(found >= acknowledged, `cut ${cut}: acknowledged ${acknowledged}, found ${found}`);
    assert.ok(found <= pressed, `cut ${cut}: pressed ${pressed}, found ${found}`);
    pressed = found;
    if (way === "program" || way === "erase") board.chip.cutIn = { what: way, part: random() };
    else board.chip.cutAt = board.chip.nanos + random() * 1e9;
    board.untilCut(() => {
      // A sector is full after 32 writes, then comes an erase.
      for (let press = 0; press < 40; press++) {
        pressed++;
        board.tap(0);
      }
    });
    acknowledged = board.totals[0].short;
  }
  console.log(`cuts: ${JSON.stringify(ways)}, ${board.flash.torn} of them inside the flash's work; ${pressed} presses`);
  assert.ok(board.flash.torn >= 10);
  assert.equal(board.flash.raised, 0);
});

test("the dying gasp goes before everything, also before the frame that is being sent", () => {
  const board = new Board({ random: seeded(seed), acknowledge: false }).start();
  board.greet();
  board.run(30);
  board.tap(0);
  // In the middle of the repeated totals.
  const before = board.line.length;
  assert.ok(board.until(() => board.line.length > before + 5, 1000));
  const fellAtMs = board.ms;
  board.setMains(false);
  const gasp = board.next((m) => m.message === "gasp", 100);
  const others = board.messages.filter((m) => m.atNanos > fellAtMs * 1e6 && m.atNanos < gasp.atNanos);
  assert.deepEqual(others, []);
  const tookMs = gasp.atNanos / 1e6 - fellAtMs;
  assert.ok(tookMs < 10, `${tookMs} ms`);
  console.log(`gasp complete on the line ${tookMs.toFixed(1)} ms after the edge`);
});

/** A board past all that a start has to tell, between two rounds of readings; by its own time it runs for so long. */
function idleBoard(uptimeNanos = 0) {
  const board = new Board({ random: seeded(seed) }).start();
  board.chip.clock.nanosCounter += uptimeNanos;
  board.greet();
  board.run(5_300);
  return board;
}

test("the gasp wakes a board that has nothing to do, wherever in a tick the mains go", () => {
  const toFirstMs = [];
  const toWholeMs = [];
  for (let eighth = 0; eighth < 8; eighth++) {
    // Of a longer time a frame has more bytes than the UART is given of the middle of a frame.
    const board = idleBoard(AN_HOUR_NANOS);
    board.run(eighth / 8);
    const fellAtMs = board.ms;
    board.setMains(false);
    const before = board.line.length;
    assert.ok(board.until(() => board.line.length > before, 100));
    toFirstMs.push(board.ms - BYTE_NANOS / 1e6 - fellAtMs);
    const gasp = board.messages.find((m) => m.message === "gasp") ?? board.next((m) => m.message === "gasp", 100);
    toWholeMs.push(gasp.atNanos / 1e6 - fellAtMs);
  }
  const [first, whole] = [Math.max(...toFirstMs), Math.max(...toWholeMs)];
  console.log(`from the edge to the gasp's first byte ${first.toFixed(2)} ms, to its last ${whole.toFixed(2)} ms at worst`);
  // A loop that looks each tick would take more than half of one in half of these.
  assert.ok(first < 0.25, `${toFirstMs}`);
  assert.ok(whole < 1.5, `${toWholeMs}`);
});

test("a comparator that bounces gasps once, and one that swings for ever does not hold the board up", () => {
  const board = idleBoard();
  const gasps = () => board.messages.filter((m) => m.message === "gasp").length;
  // Both frames of one gasp: the second is for a line that ate the first.
  for (let bounce = 0; bounce < 20; bounce++) {
    board.setMains(bounce % 2 === 1);
    board.run(0.1);
  }
  board.setMains(false);
  board.run(500);
  assert.equal(gasps(), 2);
  // Back, and back for good: swings in between are the same outage.
  for (let bounce = 0; bounce < 10; bounce++) {
    board.setMains(true);
    board.run(150);
    board.setMains(false);
    board.run(3);
  }
  assert.equal(gasps(), 2);
  // 10 kHz for a second, and presses meanwhile: they count, and the link answers.
  const random = seeded(seed);
  const swing = (ms) => {
    for (const until = board.ms + ms; board.ms < until; ) {
      board.setMains(random() < 0.5);
      board.run(0.05);
    }
  };
  const interrupts = board.chip.countInterrupts(IO_IRQ_BANK0);
  board.press(0);
  swing(60);
  board.release(0);
  swing(440);
  const hellos = () => board.messages.filter((m) => m.message === "hello").length;
  const hellosBefore = hellos();
  board.send(to.greet());
  swing(500);
  assert.ok(interrupts() > 500, `${interrupts()} in a second: it was heard`);
  assert.ok(interrupts() <= 1_001, `${interrupts()} in a second: at most one a tick`);
  console.log(`a line that swings for a second: ${interrupts()} interrupts, ${gasps()} gasp frames since the outage began`);
  assert.equal(hellos(), hellosBefore + 1);
  assert.equal(board.totals[0].short, 1);
  assert.equal(gasps(), 2);
  // The outage ends once the mains have held; the next one has a gasp of its own.
  board.setMains(true);
  board.next((m) => m.power === "mains", 3_000);
  board.setMains(false);
  board.run(500);
  assert.equal(gasps(), 4);
});

test("a spike that is over before the board can look is no outage", () => {
  const board = idleBoard();
  for (let spike = 0; spike < 50; spike++) {
    board.setMains(false);
    board.run(0.002);
    board.setMains(true);
    board.run(3.3);
  }
  assert.deepEqual(board.messages.filter((m) => m.message === "gasp" || m.power === "battery"), []);
});

test("the gasp waits for no more than an erase of flash", () => {
  const board = new Board({ random: seeded(seed) }).start();
  board.greet();
  board.run(200);
  const erases = board.flash.erases;
  // Press until the journal erases, and let the mains go in the middle of that.
  let fellAtMs = null;
  const work = board.flash.erase.bind(board.flash);
  board.flash.erase = (from, length, pass) =>
    work(from, length, (nanos, what) => {
      pass(nanos / 2, "half");
      fellAtMs = board.ms;
      board.setMains(false);
      return pass(nanos / 2, what);
    });
  for (let press = 0; press < 40 && board.flash.erases === erases; press++) board.tap(0);
  assert.ok(fellAtMs, "no erase came");
  const gasp = board.messages.find((m) => m.message === "gasp") ?? board.next((m) => m.message === "gasp", 200);
  const tookMs = gasp.atNanos / 1e6 - fellAtMs;
  assert.ok(tookMs < 50, `${tookMs} ms`);
  console.log(`gasp complete ${tookMs.toFixed(1)} ms after an edge in the middle of an erase`);
});

const order = (first) => Array.from({ length: 16 }, (_, index) => (index === 0 ? first : index));

test("a relay order switches off for its time and is told done, and one too many is refused", () => {
  const board = new Board({ random: seeded(seed) }).start();
  board.greet();
  board.send(to.configure({ relay: true }));
  board.run(200);
  assert.equal(board.relayEnergised, false);
  board.send(to.relay(order(1), 5000));
  assert.ok(board.until(() => board.relayEnergised, 500), "the relay pulls");
  const offAtMs = board.ms;
  board.send(to.relay(order(2), 5000));
  assert.equal(board.next((m) => m.relayOrder?.[0] === 2, 1000).outcome, "busy");
  assert.ok(board.until(() => !board.relayEnergised, 10_000), "the relay lets go");
  assert.ok(Math.abs(board.ms - offAtMs - 5000) < 60, `off for ${board.ms - offAtMs} ms`);
  const done = board.messages.find((m) => m.relayOrder?.[0] === 1) ?? board.next((m) => m.relayOrder?.[0] === 1, 1000);
  assert.equal(done.outcome, "done");
});

test("power that goes while the load is off lets it on again, and the order is told interrupted", () => {
  const board = new Board({ random: seeded(seed) }).start();
  board.greet();
  board.send(to.configure({ relay: true }));
  board.run(200);
  board.send(to.relay(order(9), 5000));
  assert.ok(board.until(() => board.relayEnergised, 500));
  board.chip.cutAt = board.chip.nanos + 1e9;
  board.untilCut(() => board.run(2000));
  board.start();
  let pulled = false;
  board.chip.chip.gpio[PINS.relay].addListener(() => (pulled ||= board.relayEnergised));
  board.greet();
  const told = board.messages.find((m) => m.relayOrder) ?? board.next((m) => m.relayOrder, 2000);
  assert.equal(told.outcome, "interrupted");
  board.run(1000);
  assert.equal(pulled, false);
});
