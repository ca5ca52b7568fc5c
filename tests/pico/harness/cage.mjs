//! An SFP cage on two open-drain wires: a module's two memories, as SFF-8472 puts them behind 50h and 51h, wire by wire.

const ADDRESSES = [0x50, 0x51];

export class Cage {
  /** What sits in it: the memories behind 50h and 51h (256 bytes each), or nothing. @type {Uint8Array[] | null} */
  module = null;
  /** Transfers that a module was addressed in. */
  transfers = 0;

  #pins;
  #master = { data: true, clock: true };
  #line = { data: true, clock: true };
  #drivesLow = false;
  #clocksToFree = 0;
  /** "idle" until a START; then bits. */
  #state = "idle";
  #bits = [];
  #pointer = 0;
  #memory = null;

  /** @param {import("./chip.mjs").Chip} chip @param {number} data @param {number} clock pins */
  constructor(chip, data, clock) {
    const { gpio } = chip.chip;
    this.#pins = { data: gpio[data], clock: gpio[clock] };
    for (const name of ["data", "clock"]) {
      const pin = this.#pins[name];
      pin.addListener(() => {
        this.#master[name] = !(pin.outputEnable && !pin.outputValue);
        this.#settle();
      });
    }
    this.#settle();
  }

  /** Hold the data wire down until so many clocks came, as a module does that was cut off in the middle of a byte; for
   * ever: a broken module. */
  holdData(clocks = Infinity) {
    this.#clocksToFree = clocks;
    this.#settle();
  }

  /** The wires follow whoever pulls them down. */
  #settle() {
    const before = this.#line;
    const held = this.#clocksToFree > 0 || this.#drivesLow;
    this.#line = { data: this.#master.data && !held, clock: this.#master.clock };
    this.#pins.data.setInputValue(this.#line.data);
    this.#pins.clock.setInputValue(this.#line.clock);
    if (before.clock && this.#line.clock && before.data !== this.#line.data) {
      this.#state = this.#line.data ? "idle" : "address";
      this.#bits = [];
      this.#drive(false);
    } else if (!before.clock && this.#line.clock) this.#rise();
    else if (before.clock && !this.#line.clock) this.#fall();
  }

  #rise() {
    if (this.#clocksToFree > 0) this.#clocksToFree--;
    if (this.#state !== "idle") this.#bits.push(this.#line.data ? 1 : 0);
  }

  /** The module changes its mind only while the clock is low. */
  #fall() {
    if (this.#state === "idle" || this.#state === "deaf") return this.#drive(false);
    const count = this.#bits.length;
    if (this.#state === "send") return this.#send(count);
    if (count === 8) return this.#drive(this.#acknowledges());
    this.#drive(false);
    if (count === 9) this.#receive();
    if (this.#state === "send") this.#send(0);
  }

  #byte() {
    return this.#bits.slice(0, 8).reduce((byte, bit) => (byte << 1) | bit, 0);
  }

  #acknowledges() {
    if (!this.module) return false;
    return this.#state !== "address" || ADDRESSES.includes(this.#byte() >> 1);
  }

  #receive() {
    const byte = this.#byte();
    const acknowledged = this.#acknowledges();
    this.#bits = [];
    if (!acknowledged) this.#state = "deaf";
    else if (this.#state === "address") {
      this.transfers++;
      this.#memory = this.module[byte >> 1 === 0x51 ? 1 : 0];
      this.#state = byte & 1 ? "send" : "pointer";
    } else if (this.#state === "pointer") {
      this.#pointer = byte;
      this.#state = "write";
    }
  }

  #send(count) {
    if (count === 9) {
      this.#pointer = (this.#pointer + 1) & 0xff;
      if (this.#bits[8] === 1) {
        this.#state = "deaf";
        return this.#drive(false);
      }
      this.#bits = [];
      count = 0;
    }
    const byte = this.#memory[this.#pointer];
    this.#drive(count < 8 && ((byte >> (7 - count)) & 1) === 0);
  }

  #drive(low) {
    if (this.#drivesLow === low) return;
    this.#drivesLow = low;
    this.#settle();
  }
}

/**
 * A module's memories (SFF-8472 rev 12.4): a 1310 nm module, internally calibrated, with limits in order.
 * @param {{ receivedMicrowatts: number }} light
 */
export function makeModule({ receivedMicrowatts }) {
  const identity = new Uint8Array(256);
  const diagnostics = new Uint8Array(256);
  const text = (at, length, value) => identity.set(new TextEncoder().encode(value.padEnd(length)), at);
  identity[0] = 0x03;
  identity[1] = 0x04;
  text(20, 16, "SIMPUL TEST");
  text(40, 16, "ST-1310-20");
  text(68, 16, "0000000000000042");
  identity.set([1310 >> 8, 1310 & 0xff], 60);
  identity[92] = 0x68;
  identity[94] = 0x05;
  identity[63] = sum(identity, 0, 63);
  identity[95] = sum(identity, 64, 95);
  const put = (at, value) => diagnostics.set([(value >> 8) & 0xff, value & 0xff], at);
  // Limits of received power: high alarm, low alarm, high warning, low warning, in 0.1 µW.
  [10000, 100, 8000, 200].forEach((value, index) => put(32 + 2 * index, value));
  diagnostics[95] = sum(diagnostics, 0, 95);
  put(96, 40 * 256); // °C / 256
  put(98, 33000); // 100 µV
  put(100, 5000); // 2 µA
  put(102, 5000); // 0.1 µW sent
  put(104, Math.round(receivedMicrowatts * 10));
  return [identity, diagnostics];
}

function sum(bytes, from, to) {
  return bytes.subarray(from, to).reduce((total, byte) => (total + byte) & 0xff, 0);
}
