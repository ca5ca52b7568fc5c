//! The boot ROM's functions that the image calls (RP2040 datasheet 2.8.3), answered by the harness: the ROM itself is
//! not shipped with the emulator. Each function is a breakpoint and a return; the breakpoint's number is the function.

const LOOKUP = 0;
const FUNCTIONS = ["C4", "IF", "EX", "RE", "RP", "FC", "CX"];
const TABLE = 0x100;
const CODE = 0x200;
const MEMORY_BASE = 0x20000000;
const XIP_BASE = 0x10000000;

/**
 * @param {import("rp2040js").RP2040} chip
 * @param {import("./flash.mjs").Flash} flash
 * @param pass lets time pass, as in Flash
 */
export function installRom(chip, flash, pass) {
  const rom = new DataView(chip.bootrom.buffer);
  rom.setUint16(0x14, TABLE, true);
  rom.setUint16(0x16, TABLE, true);
  rom.setUint16(0x18, CODE | 1, true);
  for (let number = 0; number <= FUNCTIONS.length; number++) {
    rom.setUint16(CODE + number * 4, 0xbe00 | number, true); // BKPT #number
    rom.setUint16(CODE + number * 4 + 2, 0x4770, true); // BX LR
  }
  const { registers } = chip.core;
  const copyFlash = () => chip.flash.set(flash.bytes);
  copyFlash();
  const functions = {
    C4: () => {
      for (let at = 0; at < registers[2]; at += 4) {
        chip.writeUint32(registers[0] + at, chip.readUint32(registers[1] + at));
      }
    },
    IF: () => {},
    EX: () => {},
    RE: () => flash.erase(registers[0], registers[1], pass),
    RP: () => {
      const from = registers[1] - MEMORY_BASE;
      if (registers[1] >= XIP_BASE && registers[1] < MEMORY_BASE) throw new Error("programs flash out of flash");
      flash.program(registers[0], chip.sram.subarray(from, from + registers[2]), pass);
    },
    FC: copyFlash,
    CX: () => {},
  };
  chip.onBreak = (number) => {
    if (number === LOOKUP) {
      const code = String.fromCharCode(registers[1] & 0xff, (registers[1] >> 8) & 0xff);
      const index = FUNCTIONS.indexOf(code);
      if (index < 0) throw new Error(`the image asks the boot ROM for ${JSON.stringify(code)}`);
      registers[0] = (CODE + (index + 1) * 4) | 1;
      return;
    }
    const name = FUNCTIONS[number - 1];
    if (!name) throw new Error(`breakpoint ${number} at ${chip.core.PC.toString(16)}`);
    functions[name]();
  };
}
