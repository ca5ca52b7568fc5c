//! The board as a process: the image as it is shipped, in this machine's time, its serial line on one socket and hands on
//! the other. For tests in which a real agent is at the other end of the cable; `tests/support/src/board/pico.rs` starts it.
//!
//! `node bridge.mjs FOLDER FLASH`: the flash is a file, made if it is not there; the sockets are FOLDER/line (bytes) and
//! FOLDER/control (a line of JSON each way). Power comes when both are connected and goes with this process, which ends when
//! either is closed.
//!
//! | order | done when it is answered |
//! |---|---|
//! | `{"press": desk, "ms": n}` | held for n ms, let go, and free for long enough that the next press is another one |
//! | `{"mains": there}`, `{"lid": open}` | the line is driven so |
//! | `{"volts": [supply, battery]}` | they are there |
//! | `{"sfp": what}` | the first cage has a module with "light", a "dark" one, a "blind" one that measures nothing, one that is "stuck" on the data wire, or "none" |
//! | `{"pass": n}` | n ms of the board's have passed |
//!
//! The answer is the board's time since this process began, and how often the board started anew by itself.

import { createServer } from "node:net";
import { join } from "node:path";

import { image, loader, seeded } from "./harness/board.mjs";
import { makeModule } from "./harness/cage.mjs";
import { StoredFlash } from "./harness/stored.mjs";
import { UpdatedBoard } from "./harness/updating.mjs";

/** Emulated at a time: a byte from the agent waits no longer for its turn. */
const SLICE_MS = 2;
/** A board that is so far behind (a loaded machine, an installation) does not hurry after: it is late from then on. */
const BEHIND_MS_MAX = 50;
/** After a press the button stays free for so long: longer than the firmware debounces. */
const FREE_MS = 60;

const [folder, flashFile] = process.argv.slice(2);
if (!folder || !flashFile) throw new Error("node bridge.mjs FOLDER FLASH");
const seed = Number(process.env.SEED ?? 7);

/** A socket's first connection; its end is the board's. */
function connection(name) {
  return new Promise((resolve) => {
    const server = createServer((socket) => {
      server.close();
      socket.on("close", () => process.exit(0));
      socket.on("error", () => process.exit(0));
      resolve(socket);
    });
    server.listen(join(folder, name));
  });
}

const [line, control] = await Promise.all([connection("line"), connection("control")]);

// A serial that is the same after each power cut.
const random = seeded(seed);
const flash = new StoredFlash(flashFile, random, [loader.flash, image.flash]);
const board = new UpdatedBoard({ random, flash, onByte: (byte) => line.write(Uint8Array.of(byte)) });
board.start();
line.on("data", (bytes) => board.send(bytes));

/** Of the starts before this one, in ms. */
let earlierMs = 0;
const boardMs = () => earlierMs + board.ms;
/** What is to be done and when, in the board's time: soonest first. */
const due = [];
const after = (ms) => new Promise((resolve) => due.push({ atMs: boardMs() + ms, resolve }) && due.sort((a, b) => a.atMs - b.atMs));

async function obey(order) {
  if (order.press !== undefined) {
    board.press(order.press);
    await after(order.ms);
    board.release(order.press);
    await after(FREE_MS);
  } else if (order.mains !== undefined) board.setMains(order.mains);
  else if (order.lid !== undefined) board.setTamper(order.lid);
  else if (order.volts !== undefined) board.setVolts(...order.volts);
  else if (order.sfp !== undefined) insert(order.sfp);
  else if (order.pass !== undefined) await after(order.pass);
  else throw new Error(`no order: ${JSON.stringify(order)}`);
}

/** Put a module into the first cage; it is there over restarts, except for what it does to the wires. */
function insert(what) {
  const [identity, diagnostics] = makeModule({ receivedMicrowatts: what === "dark" ? 0 : 15 });
  if (what === "blind") {
    // Of its checksum's bytes, the one that tells of measurements.
    identity[95] = (identity[95] - identity[92]) & 0xff;
    identity[92] = 0;
  }
  board.modules[0] = what === "none" ? null : [identity, diagnostics];
  board.cages[0].module = board.modules[0];
  if (what === "stuck") board.cages[0].holdData();
}

/** One order after the other. */
let orders = Promise.resolve();
let text = "";
control.on("data", (piece) => {
  const lines = (text + piece).split("\n");
  text = lines.pop();
  for (const json of lines) {
    orders = orders.then(async () => {
      await obey(JSON.parse(json));
      control.write(`${JSON.stringify({ ms: boardMs(), restarts: board.restarts })}\n`);
    });
  }
});

let beganMs = performance.now();
for (;;) {
  const aheadMs = boardMs() - (performance.now() - beganMs);
  if (aheadMs < -BEHIND_MS_MAX) beganMs -= aheadMs + BEHIND_MS_MAX;
  const sliceMs = Math.min(SLICE_MS, -aheadMs, due.length > 0 ? Math.max(due[0].atMs - boardMs(), 1e-3) : SLICE_MS);
  if (sliceMs > 0) {
    const before = board.ms;
    if (board.goOn(sliceMs) !== null) earlierMs += before;
    while (due.length > 0 && due[0].atMs <= boardMs()) due.shift().resolve();
  }
  // Also when there is more to emulate: bytes and orders come in between.
  await new Promise((resolve) => (aheadMs < 0 ? setImmediate(resolve) : setTimeout(resolve, 1)));
}
