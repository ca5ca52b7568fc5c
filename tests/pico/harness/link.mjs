//! The board link (cross/wire/src/board): frames, and the messages that these tests send or look at. Written a second
//! time on purpose: a reader that shares no code with the firmware.

export const PROTOCOL_VERSION = 1;

/** CRC-16/IBM-SDLC. @param {Iterable<number>} bytes */
export function crc16(bytes) {
  let crc = 0xffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >> 1) ^ 0x8408 : crc >> 1;
  }
  return crc ^ 0xffff;
}

/** COBS, without the zeros around. @param {number[]} plain */
export function stuff(plain) {
  const out = [];
  let run = [];
  for (const byte of [...plain, 0]) {
    if (byte !== 0) run.push(byte);
    if (byte === 0 || run.length === 254) {
      out.push(run.length + 1, ...run);
      run = [];
    }
  }
  return out;
}

/** @param {number[]} stuffed without zeros; @returns {number[] | null} null if it is not COBS */
export function unstuff(stuffed) {
  const plain = [];
  for (let at = 0; at < stuffed.length; ) {
    const run = stuffed[at];
    if (at + run > stuffed.length) return null;
    plain.push(...stuffed.slice(at + 1, at + run));
    at += run;
    if (run < 255 && at < stuffed.length) plain.push(0);
  }
  return plain;
}

/** A whole frame. @param {number} kind @param {number[]} body */
export function frame(kind, body) {
  const checked = [kind, ...body];
  const crc = crc16(checked);
  return [0, ...stuff([...checked, crc & 0xff, crc >> 8]), 0];
}

/** Collects bytes into `{ kind, body }`; anything else is counted in `refused`. */
export class FrameReader {
  #bytes = [];
  refused = 0;

  /** @param {number} byte @returns {{ kind: number, body: number[] } | null} */
  push(byte) {
    if (byte !== 0) {
      this.#bytes.push(byte);
      return null;
    }
    const stuffed = this.#bytes;
    this.#bytes = [];
    if (stuffed.length === 0) return null;
    const plain = unstuff(stuffed);
    if (!plain || plain.length < 3) {
      this.refused++;
      return null;
    }
    const checked = plain.slice(0, -2);
    if (crc16(checked) !== (plain.at(-2) | (plain.at(-1) << 8))) {
      this.refused++;
      return null;
    }
    return { kind: checked[0], body: checked.slice(1) };
  }

  reset() {
    this.#bytes = [];
  }
}

/** postcard: integers above a byte are varints (LEB128). @param {number | bigint} value */
export function varint(value) {
  const out = [];
  let rest = BigInt(value);
  do {
    const low = Number(rest & 0x7fn);
    rest >>= 7n;
    out.push(rest > 0n ? low | 0x80 : low);
  } while (rest > 0n);
  return out;
}

/** Reads postcard. */
export class Reader {
  #bytes;
  #at = 0;

  constructor(bytes) {
    this.#bytes = bytes;
  }

  u8() {
    if (this.#at >= this.#bytes.length) throw new Error("a message that ends too soon");
    return this.#bytes[this.#at++];
  }

  bool() {
    return this.u8() === 1;
  }

  /** Numbers of this link stay below 2^53. */
  int() {
    let [value, shift, byte] = [0n, 0n, 0];
    do {
      byte = this.u8();
      value |= BigInt(byte & 0x7f) << shift;
      shift += 7n;
    } while (byte & 0x80);
    return Number(value);
  }

  /** Signed: zigzag. */
  signed() {
    const value = this.int();
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  }

  bytes(count) {
    return Array.from({ length: count }, () => this.u8());
  }

  text() {
    return String.fromCharCode(...this.bytes(this.int()));
  }

  option(read) {
    return this.u8() === 1 ? read() : null;
  }

  list(read) {
    return Array.from({ length: this.int() }, read);
  }
}

const RESETS = ["power on", "brownout", "watchdog", "pin", "software", "unknown"];
const IMAGES = ["confirmed", "trial", "reverted", "no loader"];
const JOURNALS = ["good", "empty", "damaged", "unreachable"];
const OUTCOMES = ["done", "too long", "too soon", "busy", "interrupted"];
const CALIBRATIONS = ["internal", "external", "none"];
const HARDWARE = ["lm3s6965", "pico"];
const REFUSALS = [
  "other hardware",
  "too large",
  "not begun",
  "bad checksum",
  "flash failed",
  "no loader",
  "on trial",
];

function readSettings(from) {
  return {
    longPressMs: from.int(),
    desks: from.u8(),
    cages: from.u8(),
    batteryLowMv: from.int(),
    relay: from.bool(),
  };
}

function readNumberedBody(from) {
  switch (from.int()) {
    case 0:
      return { totals: Array.from({ length: 8 }, () => ({ short: from.int(), long: from.int() })) };
    case 1: {
      const state = from.int();
      if (state === 0) return { power: "mains", outageMs: from.option(() => from.int()) };
      return { power: state === 1 ? "battery" : "battery low" };
    }
    case 2:
      return { tamperOpen: from.bool() };
    case 3:
      return { stuckDesk: from.u8(), stuck: from.bool() };
    case 4:
      return { relayOrder: from.bytes(16), outcome: OUTCOMES[from.int()] };
    case 5:
      return { journalFailed: true };
    default:
      return {};
  }
}

function readUpdate(from) {
  const state = from.int();
  if (state === 0) return { next: from.int() };
  return state === 1 ? { verified: true } : { refused: REFUSALS[from.int()] };
}

function readMeasured(from) {
  switch (from.int()) {
    case 0:
      return { missing: from.u8() };
    case 1:
      return { millivolts: from.int() };
    case 2:
      return { milliCelsius: from.signed() };
    case 3:
      return { microamperes: from.int() };
    default:
      return { nanowatts: from.int() };
  }
}

function readFound(from) {
  if (from.int() !== 0) return { missing: from.u8() };
  return {
    vendor: from.text(),
    part: from.text(),
    serial: from.text(),
    wavelengthNm: from.int(),
    calibration: CALIBRATIONS[from.int()],
    receiveLimits: from.option(() => ({
      lowAlarm: from.int(),
      lowWarning: from.int(),
      highWarning: from.int(),
      highAlarm: from.int(),
    })),
  };
}

const READERS = {
  0x01: (from) => ({
    message: "hello",
    protocol: from.int(),
    hardware: HARDWARE[from.int()],
    firmware: from.bytes(3),
    serial: from.bytes(8),
    boot: from.int(),
    reset: RESETS[from.int()],
    uptimeMs: from.int(),
    greeted: from.bool(),
    eventsDropped: from.int(),
    framesRefused: from.int(),
    journal: JOURNALS[from.int()],
    settings: readSettings(from),
    image: IMAGES[from.int()],
  }),
  0x02: (from) => ({
    message: "numbered",
    boot: from.int(),
    seq: from.int(),
    atMs: from.int(),
    sentMs: from.int(),
    ...readNumberedBody(from),
  }),
  0x03: (from) => ({
    message: "readings",
    atMs: from.int(),
    items: from.list(() => ({ metric: from.u8(), ...readMeasured(from) })),
  }),
  0x04: (from) => ({ message: "gasp", boot: from.int(), atMs: from.int() }),
  0x05: (from) => ({ message: "module", cage: from.u8(), ...readFound(from) }),
  0x06: (from) => ({ message: "update", ...readUpdate(from) }),
};

/** @param {{ kind: number, body: number[] }} read a frame from the board */
export function decode({ kind, body }) {
  const read = READERS[kind];
  if (!read) throw new Error(`unknown kind ${kind}`);
  return read(new Reader(body));
}

/** Frames to the board. */
export const to = {
  /** @param {number} [protocol] */
  greet: (protocol = PROTOCOL_VERSION) => frame(0x81, [...varint(protocol), 0]),
  ack: ({ boot, seq }) => frame(0x82, [...varint(boot), ...varint(seq)]),
  /** @param {number[]} id of 16 bytes */
  relay: (id, offMs) => frame(0x83, [...id, ...varint(offMs)]),
  configure: ({ longPressMs = 1500, desks = 1, cages = 0, batteryLowMv = 0, relay = false }) =>
    frame(0x84, [...varint(longPressMs), desks, cages, ...varint(batteryLowMv), relay ? 1 : 0]),
  /** @param {{ hardware?: number, version: number[], bytes: Uint8Array, crc32: number }} image */
  updateBegin: ({ hardware = 1, version, bytes, crc32 }) =>
    frame(0x85, [...varint(hardware), ...version, ...varint(bytes.length), ...varint(crc32)]),
  updateData: (offset, bytes) => frame(0x86, [...varint(offset), ...varint(bytes.length), ...bytes]),
  updateApply: (crc32) => frame(0x87, varint(crc32)),
};
