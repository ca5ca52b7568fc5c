//! A whole board on a bench: chip and flash, buttons, lid, mains, relay, SFP cages, and an agent at the other end of the
//! cable. Time is the chip's own: nothing here waits for a clock of the host.

import { readFileSync } from "node:fs";

import { Cage } from "./cage.mjs";
import { Chip, RESET } from "./chip.mjs";
import { readElf } from "./elf.mjs";
import { Flash, PowerCut } from "./flash.mjs";
import { decode, FrameReader, to } from "./link.mjs";

const MS = 1e6;
export const PINS = { buttons: [2, 3, 4, 5, 6, 7, 8, 9], tamper: 10, powerGood: 11, relay: 12, light: 25 };
/** Data and clock of each. */
const CAGES = [
  [16, 17],
  [18, 19],
];
/** What `cortex-m-rt` paints the stack with. */
const PAINT = 0xcccccccc;

/** What a technician flashes: the image, and the loader before it. */
const ELF = process.env.SIMPUL_PICO_ELF;
if (!ELF) throw new Error("set SIMPUL_PICO_ELF to the built image (an ELF)");
export const image = readElf(readFileSync(ELF));
const LOADER_ELF = process.env.SIMPUL_LOADER_ELF;
if (!LOADER_ELF) throw new Error("set SIMPUL_LOADER_ELF to the built loader (an ELF)");
export const loader = readElf(readFileSync(LOADER_ELF));

export function seeded(seed) {
  // mulberry32
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export class Board {
  /**
   * @param {{ random: () => number, acknowledge?: boolean, flash?: Flash, onByte?: (byte: number) => void }} how
   * `flash`: instead of a new one; `onByte`: where the line leads, instead of to an agent of these tests
   */
  constructor({ random, acknowledge = true, flash, onByte }) {
    this.flash = flash ?? new Flash(random);
    if (!flash) for (const part of [loader, image]) this.flash.write(part.flash);
    this.onByte = onByte;
    this.acknowledge = acknowledge;
    this.buttons = 0;
    this.tamperOpen = false;
    this.mains = true;
    /** Numbered messages that this agent acknowledged, as "boot.seq". */
    this.acknowledged = new Set();
    /** The newest totals that this agent acknowledged. */
    this.totals = null;
    /** Deepest use of memory of all power-ups, in bytes: static and stack. */
    this.memoryBytes = 0;
    this.starts = 0;
    /** What sits in each cage, over power cuts: see Cage. */
    this.modules = [null, null];
  }

  /** Power comes. @param {{ chip: number, watchdog: number }} reset */
  start(reset = RESET.powerOn) {
    this.starts++;
    this.reader = new FrameReader();
    /** Messages of this power-up with `atNanos`, the time at which their last byte was on the line. */
    this.messages = [];
    this.line = [];
    this.chip = new Chip(this.flash, reset, this.onByte ?? ((byte, nanos) => this.#received(byte, nanos)));
    this.#setPins();
    this.setVolts(12.6, 12.6);
    this.cages = CAGES.map(([data, clock]) => new Cage(this.chip, data, clock));
    for (const cage of this.cages) cage.module = this.modules[this.cages.indexOf(cage)];
    return this;
  }

  get ms() {
    return this.chip.nanos / MS;
  }

  /** Run for so long. Throws if the watchdog bites or the chip's model complains. */
  run(ms) {
    this.until(() => false, ms, true);
    return this;
  }

  /** Run until `done`, at most `ms`. @returns whether it came */
  until(done, ms, quiet = false) {
    const alive = this.chip.run(this.chip.nanos + ms * MS, done);
    if (this.chip.watchdogBit) throw new Error("the watchdog bit");
    if (this.chip.complaints.length > 0) throw new Error(this.chip.complaints.slice(0, 5).join("\n"));
    if (!alive) throw new PowerCut();
    return quiet || done();
  }

  /** Run until such a message came (again), at most `ms`. */
  next(wanted, ms) {
    const from = this.messages.length;
    const found = () => this.messages.slice(from).find(wanted);
    if (!this.until(() => found() !== undefined, ms)) {
      throw new Error(`not within ${ms} ms; came: ${JSON.stringify(this.messages.slice(from))}`);
    }
    return found();
  }

  /**
   * The power goes during `work`: at `chip.cutAt` or in `chip.cutIn`, which it may set. The flash keeps what it has.
   * @param {() => void} work
   */
  untilCut(work) {
    try {
      work();
    } catch (error) {
      if (!(error instanceof PowerCut)) throw error;
      this.measureMemory();
      return;
    }
    throw new Error("the power did not go");
  }

  press(desk) {
    this.buttons |= 1 << desk;
    this.#setPins();
  }

  release(desk) {
    this.buttons &= ~(1 << desk);
    this.#setPins();
  }

  /** A short press and a pause, as a quick clerk does it. */
  tap(desk) {
    this.press(desk);
    this.run(60);
    this.release(desk);
    this.run(60);
  }

  setTamper(open) {
    this.tamperOpen = open;
    this.#setPins();
  }

  setMains(there) {
    this.mains = there;
    this.#setPins();
  }

  /** The supply and the battery in volts, through the dividers of 11. */
  setVolts(supply, battery) {
    const steps = (volts) => Math.round((volts / 11 / 3.3) * 4096);
    this.chip.chip.adc.channelValues.splice(0, 2, steps(supply), steps(battery));
  }

  get relayEnergised() {
    const pin = this.chip.chip.gpio[PINS.relay];
    return pin.outputEnable && pin.outputValue;
  }

  send(bytes) {
    this.chip.feed(bytes);
  }

  greet() {
    this.send(to.greet());
    return this.next((m) => m.message === "hello" && m.greeted, 1500);
  }

  /** Static and stack so far in this power-up: everything between the ends of RAM that is not painted any more. */
  measureMemory() {
    const words = new Uint32Array(this.chip.chip.sram.buffer);
    const base = 0x20000000;
    const bottom = (image.symbols.get("_stack_end") - base) / 4;
    const top = (image.symbols.get("_stack_start") - base) / 4;
    let deepest = bottom;
    while (deepest < top && words[deepest] === PAINT) deepest++;
    const bytes = bottom * 4 + (top - deepest) * 4;
    this.memoryBytes = Math.max(this.memoryBytes, bytes);
    return { staticBytes: bottom * 4, stackBytes: (top - deepest) * 4, bytes };
  }

  #setPins() {
    const { gpio } = this.chip.chip;
    // To rp2040js a level that is set again is an edge.
    const drive = (pin, high) => gpio[pin].rawInputValue !== high && gpio[pin].setInputValue(high);
    PINS.buttons.forEach((pin, desk) => drive(pin, (this.buttons & (1 << desk)) === 0));
    drive(PINS.tamper, this.tamperOpen);
    drive(PINS.powerGood, this.mains);
  }

  #received(byte, nanos) {
    this.line.push(byte);
    const read = this.reader.push(byte);
    if (!read) return;
    const message = { ...decode(read), atNanos: nanos };
    this.messages.push(message);
    if (message.message === "numbered" && this.acknowledge) {
      this.acknowledged.add(`${message.boot}.${message.seq}`);
      if (message.totals) this.totals = message.totals;
      this.send(to.ack(message));
    }
  }
}
