//! Reads what the tests need of an image: an ELF's loadable segments, which are what its UF2 holds, and its symbols.

/**
 * @param {Uint8Array} file a little-endian 32-bit ELF
 * @returns {{ flash: Map<number, Uint8Array>, symbols: Map<string, number> }} bytes by load address; addresses by name
 */
export function readElf(file) {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  if (view.getUint32(0, false) !== 0x7f454c46) throw new Error("not an ELF");
  const flash = new Map();
  const programs = view.getUint32(28, true);
  for (let index = 0; index < view.getUint16(44, true); index++) {
    const at = programs + index * view.getUint16(42, true);
    const size = view.getUint32(at + 16, true);
    if (view.getUint32(at, true) !== 1 || size === 0) continue;
    const offset = view.getUint32(at + 4, true);
    flash.set(view.getUint32(at + 12, true), file.subarray(offset, offset + size));
  }
  return { flash, symbols: readSymbols(file, view) };
}

function readSymbols(file, view) {
  const symbols = new Map();
  const sections = view.getUint32(32, true);
  const entry = view.getUint16(46, true);
  for (let index = 0; index < view.getUint16(48, true); index++) {
    const at = sections + index * entry;
    if (view.getUint32(at + 4, true) !== 2) continue; // SHT_SYMTAB
    const names = view.getUint32(sections + view.getUint32(at + 24, true) * entry + 16, true);
    const start = view.getUint32(at + 16, true);
    for (let symbol = start; symbol < start + view.getUint32(at + 20, true); symbol += 16) {
      const from = names + view.getUint32(symbol, true);
      const name = new TextDecoder().decode(file.subarray(from, file.indexOf(0, from)));
      if (name) symbols.set(name, view.getUint32(symbol + 4, true));
    }
  }
  return symbols;
}
