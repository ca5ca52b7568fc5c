//! The flash chip: what it holds outlives the processor, and power that goes in the middle of its work leaves the work
//! half done.

/** Bytes of the Pico's W25Q16JV. */
export const FLASH_BYTES = 2 * 1024 * 1024;
const SECTOR_BYTES = 4096;
const PAGE_BYTES = 256;

/** Typical times of the W25Q16JV's data sheet (table 9.6), in nanoseconds. */
const ERASE_NANOS = 45e6;
const PROGRAM_NANOS = 0.7e6;

/** Thrown through the emulator when the power goes. */
export class PowerCut extends Error {}

export class Flash {
  /** @param {() => number} random in 0..1, seeded: what half-erased cells read as */
  constructor(random) {
    this.random = random;
    this.bytes = new Uint8Array(FLASH_BYTES).fill(0xff);
    this.uniqueId = Array.from({ length: 8 }, () => Math.floor(random() * 256));
    this.erases = 0;
    this.programs = 0;
    /** Bits that a program command would have had to raise: a fault of the firmware, for only an erase can. */
    this.raised = 0;
    /** Operations that a cut met half-way. */
    this.torn = 0;
  }

  /** @param {Map<number, Uint8Array>} image bytes by address in 0x10000000.. */
  write(image) {
    for (const [address, bytes] of image) this.bytes.set(bytes, address - 0x10000000);
  }

  /**
   * Erase whole sectors.
   * @param {number} from @param {number} length
   * @param {(nanos: number, what: "erase" | "program") => number} pass lets time pass; returns the part of it (0..1)
   *   before the power went, else 1
   */
  erase(from, length, pass) {
    for (let sector = from; sector < from + length; sector += SECTOR_BYTES) {
      this.erases++;
      const done = pass(ERASE_NANOS, "erase");
      for (let at = sector; at < sector + SECTOR_BYTES; at++) {
        if (done >= 1 || this.random() < done) this.bytes[at] = 0xff;
        // A cell on its way reads as anything between.
        else if (done > 0 && this.random() < 0.2) this.bytes[at] |= Math.floor(this.random() * 256);
      }
      this.#finish(done);
    }
  }

  /**
   * Program pages: bits only fall.
   * @param {number} to @param {Uint8Array} data @param pass as for erase
   */
  program(to, data, pass) {
    for (let page = 0; page < data.length; page += PAGE_BYTES) {
      this.programs++;
      const done = pass(PROGRAM_NANOS, "program");
      const whole = Math.floor(done * PAGE_BYTES);
      for (let at = page; at < page + PAGE_BYTES; at++) {
        const old = this.bytes[to + at];
        if (~old & data[at] && data[at] !== 0xff) this.raised++;
        if (at - page < whole) this.bytes[to + at] = old & data[at];
        else if (at - page === whole) this.bytes[to + at] = old & (data[at] | Math.floor(this.random() * 256));
      }
      this.#finish(done);
    }
  }

  #finish(done) {
    if (done < 1) {
      this.torn++;
      throw new PowerCut();
    }
  }
}
