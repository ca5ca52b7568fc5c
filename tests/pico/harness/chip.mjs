//! One power-up of the chip: rp2040js with what it lacks of the parts that the image uses.

import { RP2040 } from "rp2040js";

import { installRom } from "./rom.mjs";

/** Start and stop bit and eight between, at 115200 per second. */
export const BYTE_NANOS = 1e10 / 115200;
/** Received alongside a byte, as the UART's data register shows it. */
export const FRAMING_ERROR = 1 << 8;
const OVERRUN_ERROR = 1 << 11;
const UART_FIFO_BYTES = 32;
const BOOT2 = 0x10000000;
/** Where the boot ROM's stack is when it enters the second stage. */
const BOOT_STACK = 0x20041f00;
/** A free place in the ROM. */
const ENDLESS_LOOP = 0x400;

/** Why the chip started, as its registers tell. */
export const RESET = {
  powerOn: { chip: 1 << 8, watchdog: 0 },
  pin: { chip: 1 << 16, watchdog: 0 },
  /** The chip-level register still tells of the start before. */
  watchdog: { chip: 1 << 8, watchdog: 1 },
};

export class Chip {
  /**
   * @param {import("./flash.mjs").Flash} flash
   * @param {{ chip: number, watchdog: number }} reset of RESET
   * @param {(byte: number, nanos: number) => void} onByte a byte left the board's TX pin, wholly
   */
  constructor(flash, reset, onByte) {
    this.chip = new RP2040();
    this.clock = this.chip.clock;
    /** @type {string[]} */
    this.complaints = [];
    const note = (part, text) => this.complaints.push(`${part}: ${text}`);
    this.chip.logger = { debug() {}, info() {}, warn: note, error: note };
    /** The power goes at this moment, in nanoseconds of this power-up. */
    this.cutAt = Infinity;
    /** The power goes inside the next such work of the flash, after this part of it.
     * @type {{ what: "erase" | "program", part: number } | null} */
    this.cutIn = null;
    this.watchdogBit = false;
    this.onByte = onByte;
    installRom(this.chip, flash, (nanos, what) => this.#passInFlash(nanos, what));
    this.#addRegisters(reset, flash);
    this.#addUart();
    const { core } = this.chip;
    core.PC = BOOT2;
    core.SP = BOOT_STACK;
    core.LR = 0;
  }

  get nanos() {
    return this.clock.nanos;
  }

  /** Run until `done` says so or `untilNanos`. Returns false when the watchdog bit or the power went. */
  run(untilNanos, done) {
    const { chip, clock } = this;
    while (clock.nanos < untilNanos && clock.nanos < this.cutAt && !this.watchdogBit && !done?.()) {
      if (chip.core.waiting) {
        const next = clock.nanosToNextAlarm;
        if (!clock.nextAlarm) throw new Error("the image sleeps for ever");
        clock.tick(Math.min(next, untilNanos - clock.nanos, this.cutAt - clock.nanos));
        // rp2040js wakes by itself for the peripherals' interrupts only, not for SysTick.
        if (chip.core.interruptsUpdated && chip.core.checkForInterrupts()) chip.core.waiting = false;
      } else {
        clock.tick((chip.core.executeInstruction() * 1e9) / chip.clkSys);
      }
    }
    return clock.nanos < this.cutAt && !this.watchdogBit;
  }

  /** Send the core into an endless loop, as a fault in the firmware would. */
  hang() {
    // WFI, and back to it: asleep, which costs the host no time.
    new DataView(this.chip.bootrom.buffer).setUint32(ENDLESS_LOOP, 0xe7fdbf30, true);
    this.chip.core.PC = ENDLESS_LOOP;
    this.chip.core.waiting = false;
  }

  /** How often this interrupt is entered from now on. @param {number} irq @returns {() => number} */
  countInterrupts(irq) {
    const { core } = this.chip;
    const enter = core.exceptionEntry.bind(core);
    let count = 0;
    core.exceptionEntry = (exception) => {
      if (exception === 16 + irq) count++;
      enter(exception);
    };
    return () => count;
  }

  /** Feed the RX pin; bytes follow each other at the line's speed. @param {Iterable<number>} values */
  feed(values) {
    for (const value of values) this.toBoard.push(value);
    if (!this.feeding && this.toBoard.length > 0) {
      this.feeding = true;
      this.feedAlarm.schedule(BYTE_NANOS);
    }
  }

  /** Time inside a flash operation: the core waits, the rest of the world does not. */
  #passInFlash(nanos, what) {
    if (this.cutIn?.what === what) this.cutAt = this.clock.nanos + nanos * this.cutIn.part;
    const part = Math.min(1, (this.cutAt - this.clock.nanos) / nanos);
    this.clock.tick(nanos * part);
    return part;
  }

  #addRegisters(reset, flash) {
    const { peripherals } = this.chip;
    // XIP_CTRL: no stream is running.
    peripherals[0x14000] = registers({});
    // VREG_AND_CHIP_RESET: regulator and brown-out detector at their reset values, and why the chip started.
    peripherals[0x40064] = registers({ 0x0: 0xb1, 0x4: 0x91, 0x8: reset.chip });
    // ROSC: stable.
    peripherals[0x40060] = registers({ 0x18: 1 << 31 });
    const watchdog = peripherals[0x40058];
    watchdog.reason = reset.watchdog;
    watchdog.onWatchdogTrigger = () => {
      // Else rp2040js fires it for ever in no time.
      watchdog.alarm.enable = false;
      this.watchdogBit = true;
    };
    this.watchdog = watchdog;
    answerUniqueId(peripherals[0x18000], flash);
    // SysTick: a cleared counter loads its reload value, not 2^24.
    const { ppb } = this.chip;
    const write = ppb.writeUint32.bind(ppb);
    ppb.writeUint32 = (offset, value) => {
      if (offset === 0x18) ppb.systickTimer.set(ppb.systickReload);
      else write(offset, value);
    };
  }

  /** rp2040js sends in no time and forgets overruns; the line does not. */
  #addUart() {
    const uart = this.chip.uart[0];
    const stored = { 0x04: 0, 0x34: 0x12, 0x48: 0 };
    const sending = [];
    let overrun = false;
    const sendAlarm = this.clock.createAlarm(() => {
      this.onByte(sending.shift(), this.clock.nanos);
      if (sending.length > 0) sendAlarm.schedule(BYTE_NANOS);
    });
    uart.onByte = (byte) => {
      if (sending.length >= UART_FIFO_BYTES) throw new Error("the image wrote into a full UART");
      sending.push(byte);
      if (sending.length === 1) sendAlarm.schedule(BYTE_NANOS);
    };
    const read = uart.readUint32.bind(uart);
    const write = uart.writeUint32.bind(uart);
    uart.readUint32 = (offset) => {
      if (offset in stored) return stored[offset];
      if (offset === 0x18) {
        const receive = read(offset) & 0x50;
        const full = sending.length >= UART_FIFO_BYTES ? 1 << 5 : 0;
        return receive | full | (sending.length > 0 ? 1 << 3 : 1 << 7);
      }
      if (offset === 0x00 && overrun && !uart.rxFIFO.empty) {
        overrun = false;
        return read(offset) | OVERRUN_ERROR;
      }
      return read(offset);
    };
    uart.writeUint32 = (offset, value) => {
      if (offset in stored) stored[offset] = value;
      else write(offset, value);
    };
    this.toBoard = [];
    this.feeding = false;
    /** Bytes that came while the chip's FIFO was full. */
    this.overruns = 0;
    this.feedAlarm = this.clock.createAlarm(() => {
      const value = this.toBoard.shift();
      if (uart.rxFIFO.full) {
        overrun = true;
        this.overruns++;
      }
      uart.feedByte(value);
      this.feeding = this.toBoard.length > 0;
      if (this.feeding) this.feedAlarm.schedule(BYTE_NANOS);
    });
  }
}

/** A peripheral that is only registers. */
function registers(values) {
  return {
    readUint32: (offset) => values[offset & 0xfff] ?? 0,
    writeUint32Atomic(offset, value, kind) {
      const old = values[offset] ?? 0;
      values[offset] = [value, old ^ value, old | value, old & ~value][kind] >>> 0;
    },
  };
}

/** The flash chip's command 4Bh: its 64-bit unique id behind four dummy bytes (W25Q16JV data sheet 8.2.24). */
function answerUniqueId(ssi, flash) {
  const [read, write] = [ssi.readUint32.bind(ssi), ssi.writeUint32.bind(ssi)];
  let answer = null;
  ssi.writeUint32 = (offset, value) => {
    if (offset === 0x60 && (value & 0xff) === 0x4b) answer = [0, 0, 0, 0, ...flash.uniqueId];
    if (offset === 0x08) answer = answer?.length ? answer : null;
    write(offset, value);
  };
  ssi.readUint32 = (offset) => (offset === 0x60 && answer?.length ? answer.shift() : read(offset));
}
