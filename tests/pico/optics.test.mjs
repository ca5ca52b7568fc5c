//! The SFP cages, wire by wire.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Board, seeded } from "./harness/board.mjs";
import { makeModule } from "./harness/cage.mjs";
import { to } from "./harness/link.mjs";

/** Numbers of `Missing` (cross/wire/src/units.rs). */
const NO_MODULE = 5;
const ROUND_MS = 12_000;

function wired(modules) {
  const board = new Board({ random: seeded(5) });
  board.modules = modules;
  board.start();
  board.greet();
  board.send(to.configure({ cages: 3 }));
  return board;
}

test("a module is described and its light is measured, and an empty cage says that it is empty", () => {
  const board = wired([makeModule({ receivedMicrowatts: 20 }), null]);
  board.run(ROUND_MS);
  const [found, empty] = [0, 1].map((cage) => board.messages.findLast((m) => m.message === "module" && m.cage === cage));
  assert.equal(found.vendor, "SIMPUL TEST");
  assert.equal(found.serial, "0000000000000042");
  assert.equal(found.wavelengthNm, 1310);
  assert.equal(empty.missing, NO_MODULE);
  const items = board.messages.findLast((m) => m.message === "readings").items;
  const received = items.find((item) => item.metric === 12);
  assert.equal(received.nanowatts, 20_000);
  assert.equal(items.find((item) => item.metric === 17).missing, NO_MODULE);
});

test("a module that was cut off in the middle of a byte is freed by clocks", () => {
  const board = wired([makeModule({ receivedMicrowatts: 20 }), null]);
  board.cages[0].holdData(6);
  const first = board.next((m) => m.message === "module" && m.cage === 0, ROUND_MS);
  assert.equal(first.vendor, "SIMPUL TEST");
});

test("a module that holds the bus for ever costs its own readings and no press", () => {
  const board = wired([makeModule({ receivedMicrowatts: 20 }), null]);
  board.cages[0].holdData();
  for (let press = 0; press < 100; press++) board.tap(0);
  board.run(500);
  assert.equal(board.totals[0].short, 100);
  const items = board.messages.findLast((m) => m.message === "readings").items;
  assert.ok(items.find((item) => item.metric === 12).missing !== undefined);
});
