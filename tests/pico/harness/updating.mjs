//! A board that is updated by an agent: sends an image as the agent does, stop and wait, and lives through the restarts that
//! belong to it.

import { crc32 } from "node:zlib";

import { Board } from "./board.mjs";
import { RESET } from "./chip.mjs";
import { PowerCut } from "./flash.mjs";
import { to } from "./link.mjs";

const ACTIVE = 0x10010000;

/**
 * What the agent sends of an ELF: the active slot's bytes, gaps as erased flash.
 * @param {{ flash: Map<number, Uint8Array> }} elf @param {number[]} version
 */
export function updateImage(elf, version) {
  const end = Math.max(...[...elf.flash].map(([address, bytes]) => address + bytes.length));
  const bytes = new Uint8Array(end - ACTIVE).fill(0xff);
  for (const [address, piece] of elf.flash) bytes.set(piece, address - ACTIVE);
  return { version, bytes, crc32: crc32(bytes) };
}

/** The same image, but it hangs as soon as it is started. */
export function hangingImage({ bytes, version }) {
  const broken = bytes.slice();
  const view = new DataView(broken.buffer);
  const reset = (view.getUint32(4, true) & ~1) - ACTIVE;
  view.setUint16(reset, 0xbf30, true); // WFI
  view.setUint16(reset + 2, 0xe7fd, true); // and back to it
  return { version, bytes: broken, crc32: crc32(broken) };
}

export class UpdatedBoard extends Board {
  /** Restarts that the board or its watchdog made. */
  restarts = 0;

  /** Run for so long, or until the board starts anew by itself; the new start is then under way. @returns why, or null */
  goOn(ms) {
    const alive = this.chip.run(this.chip.nanos + ms * 1e6);
    if (this.chip.complaints.length > 0) throw new Error(this.chip.complaints.slice(0, 5).join("\n"));
    if (alive) return null;
    if (!this.chip.watchdogBit) throw new PowerCut();
    const asked = this.chip.watchdog.reason === 2;
    this.restarts++;
    this.start(asked ? { ...RESET.watchdog, watchdog: 2 } : RESET.watchdog);
    return asked ? "software" : "watchdog";
  }

  /** Run until the board starts anew by itself, at most `ms`. @returns why */
  untilRestart(ms) {
    const why = this.goOn(ms);
    if (why === null) throw new Error(`no restart within ${ms} ms`);
    return why;
  }

  /** Say something of an update and wait for the answer; once more if none came, as the agent does. */
  ask(bytes) {
    for (let tries = 0; tries < 3; tries++) {
      const from = this.messages.length;
      const answer = () => this.messages.slice(from).find((m) => m.message === "update");
      this.send(bytes);
      if (this.until(() => answer() !== undefined, 1000)) {
        const { message: _message, atNanos: _atNanos, ...said } = answer();
        return said;
      }
    }
    throw new Error("no answer to an update");
  }

  /** Send an image, all of it. @returns the last answer */
  transfer(image, { corrupt = -1 } = {}) {
    let answer = this.ask(to.updateBegin(image));
    while (answer.next !== undefined && answer.next < image.bytes.length) {
      const piece = image.bytes.slice(answer.next, answer.next + 128);
      if (answer.next <= corrupt && corrupt < answer.next + piece.length) piece[corrupt - answer.next] ^= 0x10;
      answer = this.ask(to.updateData(answer.next, piece));
    }
    return answer;
  }
}
