//! Updates with the loader and the image that are shipped: trial, confirmation, return, and power cuts in all of it.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { image, loader, seeded } from "./harness/board.mjs";
import { readElf } from "./harness/elf.mjs";
import { to } from "./harness/link.mjs";
import { hangingImage, updateImage, UpdatedBoard } from "./harness/updating.mjs";

const seed = Number(process.env.SEED ?? Date.now() % 1e6);

/** The same code under another version: built with SIMPUL_BOARD_VERSION=9.8.7. */
const NEXT_ELF = process.env.SIMPUL_PICO_NEXT_ELF;
if (!NEXT_ELF) throw new Error("set SIMPUL_PICO_NEXT_ELF to an image built as version 9.8.7 (an ELF)");
const NEXT_VERSION = [9, 8, 7];
const next = updateImage(readElf(readFileSync(NEXT_ELF)), NEXT_VERSION);
const first = updateImage(image, null);

const LOADER_BYTES_MAX = 12 * 1024;
const SLOT_BYTES = 64 * 1024;
/** A loader's start that copies 16 and 8 sectors at the speed of the chip's own oscillator. */
const INSTALL_MS = 4000;

const isHello = (m) => m.message === "hello";

/** A board with three presses that the agent has, and the version that it runs. */
function boardWithPresses(random) {
  const board = new UpdatedBoard({ random }).start();
  const hello = board.greet();
  for (let press = 0; press < 3; press++) board.tap(0);
  board.run(100);
  assert.equal(board.totals[0].short, 3);
  return { board, version: hello.firmware };
}

function apply(board, update) {
  assert.equal(board.transfer(update).next, update.bytes.length);
  assert.deepEqual(board.ask(to.updateApply(update.crc32)), { verified: true });
  assert.equal(board.untilRestart(200), "software");
}

test("the loader keeps to 12 KiB of flash", () => {
  const end = Math.max(...[...loader.flash].map(([address, bytes]) => address + bytes.length)) - 0x10000000;
  console.log(`loader: ${end} of ${LOADER_BYTES_MAX} bytes of flash`);
  assert.ok(end <= LOADER_BYTES_MAX);
});

test("an update is taken, tried, and stays once an agent has greeted it", () => {
  const { board, version } = boardWithPresses(seeded(seed));
  assert.notDeepEqual(version, NEXT_VERSION);
  const fromMs = board.ms;
  board.transfer(next);
  console.log(`${next.bytes.length} bytes transferred in ${((board.ms - fromMs) / 1000).toFixed(1)} s`);
  apply(board, next);
  const hello = board.next(isHello, INSTALL_MS);
  console.log(`first frame of the new image ${board.ms.toFixed(0)} ms after the restart`);
  assert.deepEqual(hello.firmware, NEXT_VERSION);
  assert.equal(hello.image, "trial");
  assert.equal(hello.reset, "software");
  const refused = board.messages.length;
  board.greet();
  const confirmed = board.messages.slice(refused).find((m) => m.image === "confirmed")
    ?? board.next((m) => m.image === "confirmed", 1000);
  assert.deepEqual(confirmed.firmware, NEXT_VERSION);
  board.run(200);
  assert.equal(board.totals[0].short, 3);
  // It is the one that starts from now on.
  board.start();
  const later = board.greet();
  assert.deepEqual(later.firmware, NEXT_VERSION);
  assert.equal(later.image, "confirmed");
  assert.equal(board.flash.raised, 0);
});

test("an image that hangs is taken back, with all totals", () => {
  const { board, version } = boardWithPresses(seeded(seed));
  apply(board, hangingImage(next));
  assert.equal(board.untilRestart(20_000), "watchdog");
  const hello = board.next(isHello, INSTALL_MS);
  assert.deepEqual(hello.firmware, version);
  assert.equal(hello.image, "reverted");
  board.totals = null;
  board.greet();
  board.run(200);
  assert.equal(board.totals[0].short, 3);
  assert.deepEqual(board.flash.bytes.slice(0x10000, 0x10000 + first.bytes.length), first.bytes);
});

test("an image that no agent greets is taken back after a minute", () => {
  const { board, version } = boardWithPresses(seeded(seed));
  apply(board, next);
  const hello = board.next(isHello, INSTALL_MS);
  assert.equal(hello.image, "trial");
  assert.equal(board.untilRestart(62_000), "software");
  const back = board.next(isHello, INSTALL_MS);
  assert.deepEqual(back.firmware, version);
  assert.equal(back.image, "reverted");
  // And the next try may succeed.
  board.greet();
  apply(board, next);
  board.next(isHello, INSTALL_MS);
  board.greet();
  board.next((m) => m.image === "confirmed", 2000);
});

test("what was damaged on the way is refused, and the board runs on", () => {
  const { board, version } = boardWithPresses(seeded(seed));
  assert.equal(board.transfer(next, { corrupt: 5000 }).next, next.bytes.length);
  assert.deepEqual(board.ask(to.updateApply(next.crc32)), { refused: "bad checksum" });
  assert.deepEqual(board.ask(to.updateApply(next.crc32)), { refused: "not begun" });
  assert.deepEqual(board.ask(to.updateBegin({ ...next, hardware: 0 })), { refused: "other hardware" });
  const large = { ...next, bytes: new Uint8Array(SLOT_BYTES + 1) };
  assert.deepEqual(board.ask(to.updateBegin(large)), { refused: "too large" });
  board.tap(0);
  board.run(200);
  assert.equal(board.totals[0].short, 4);
  board.start();
  assert.deepEqual(board.greet().firmware, version);
});

/** Another board with the same flash, without power yet. */
function copyOf(board, random) {
  const copy = new UpdatedBoard({ random });
  copy.flash.bytes.set(board.flash.bytes);
  copy.flash.uniqueId = board.flash.uniqueId;
  return copy;
}

/** When the power goes, in ns after the start that this is about, and how often. */
const CUTS = {
  transfer: { within: 4.2e9, count: 4 },
  install: { within: 1.35e9, count: 24 },
  trial: { within: 3e9, count: 6 },
  revert: { within: 0.9e9, count: 12 },
};

test(`whenever the power goes, a board runs afterwards and no total goes back (seed ${seed})`, () => {
  const random = seeded(seed);
  const { board: before, version } = boardWithPresses(random);
  const good = copyOf(before, random).start();
  good.greet();
  apply(good, next);
  const bad = copyOf(before, random).start();
  bad.greet();
  apply(bad, hangingImage(next));
  bad.untilRestart(20_000);
  const from = { transfer: before, install: good, trial: good, revert: bad };
  // What each start from here does is still undone: the copies take the flash as it is now.
  const flashes = Object.fromEntries(Object.entries(from).map(([phase, board]) => [phase, copyOf(board, random)]));
  const outcomes = {};
  let torn = 0;
  for (const [phase, { within, count }] of Object.entries(CUTS)) {
    for (let cut = 0; cut < count; cut++) {
      const board = copyOf(flashes[phase], random).start();
      board.chip.cutAt = random() * within;
      board.untilCut(() => {
        if (phase === "transfer") {
          board.greet();
          board.transfer(next);
        } else if (phase === "trial") {
          board.next(isHello, INSTALL_MS);
          board.greet();
        }
        board.run(5000);
      });
      // Another one in what the first one left to do.
      if (cut % 3 === 0) {
        board.start();
        board.chip.cutAt = random() * 1.5e9;
        board.untilCut(() => board.run(5000));
      }
      torn += board.flash.torn;
      board.start();
      board.totals = null;
      const hello = board.next(isHello, INSTALL_MS);
      const what = `${phase}, cut ${cut}: ${hello.image} ${hello.firmware.join(".")}`;
      const isNext = String(hello.firmware) === String(NEXT_VERSION);
      assert.ok(isNext || String(hello.firmware) === String(version), what);
      if (phase === "transfer") assert.equal(hello.image, "confirmed", what);
      if (phase === "transfer" || phase === "revert" || hello.image === "reverted") assert.ok(!isNext, what);
      if (hello.image === "trial") assert.ok(isNext, what);
      const outcome = `${phase}: ${hello.image} ${hello.firmware.join(".")}`;
      outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
      board.greet();
      board.tap(0);
      board.run(300);
      assert.equal(board.totals[0].short, 4, what);
      assert.equal(board.flash.raised, 0, what);
    }
  }
  console.log(`${torn} cuts inside the flash's work; afterwards: ${JSON.stringify(outcomes)}`);
});
