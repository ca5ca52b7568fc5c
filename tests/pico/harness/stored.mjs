//! A flash chip in a file: what it holds outlives this process, however that ends. One that is not there is a new board's,
//! as a technician has flashed it.

import { closeSync, existsSync, openSync, readFileSync, renameSync, writeFileSync, writeSync } from "node:fs";

import { Flash, FLASH_BYTES } from "./flash.mjs";

export class StoredFlash extends Flash {
  #file;

  /**
   * @param {string} path @param {() => number} random as for Flash
   * @param {Map<number, Uint8Array>[]} images what a new one is flashed with
   */
  constructor(path, random, images) {
    super(random);
    if (existsSync(path)) {
      const stored = readFileSync(path);
      if (stored.length !== FLASH_BYTES) throw new Error(`${path} has ${stored.length} bytes, a flash ${FLASH_BYTES}`);
      this.bytes.set(stored);
    } else {
      for (const image of images) this.write(image);
      // Whole or not at all: a kill in between leaves no half board.
      writeFileSync(`${path}.new`, this.bytes);
      renameSync(`${path}.new`, path);
    }
    this.#file = openSync(path, "r+");
  }

  erase(from, length, pass) {
    try {
      super.erase(from, length, pass);
    } finally {
      this.#store(from, length);
    }
  }

  program(to, data, pass) {
    try {
      super.program(to, data, pass);
    } finally {
      this.#store(to, data.length);
    }
  }

  close() {
    closeSync(this.#file);
  }

  /** The kernel has it then: enough for the end of a process, which is all that cuts this board's power. */
  #store(from, length) {
    writeSync(this.#file, this.bytes, from, length, from);
  }
}
