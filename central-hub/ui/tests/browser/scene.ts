// Draws a small village hall as a PNG, so that the tests' cameras show something with light, depth and texture.

import { crc32, deflateSync } from 'node:zlib';

const WIDTH = 640;
const HEIGHT = 360;

/** A picture that is the same for the same seed. */
export function scene_png(seed: number): Buffer {
  const raw = Buffer.alloc(HEIGHT * (WIDTH * 3 + 1));
  let noise = seed * 2_654_435_761;
  const people = Array.from({ length: 2 + (seed % 4) }, (_, index) => ({ x: 90 + ((seed * 97 + index * 143) % 460), y: 210 + ((seed * 31 + index * 41) % 70) }));
  for (let y = 0; y < HEIGHT; y += 1) {
    for (let x = 0; x < WIDTH; x += 1) {
      noise = (Math.imul(noise, 1_664_525) + 1_013_904_223) >>> 0;
      const [red, green, blue] = colour(x, y, seed, people);
      const grain = (noise >>> 28) - 8;
      const at = y * (WIDTH * 3 + 1) + 1 + x * 3;
      raw[at] = clamp(red + grain);
      raw[at + 1] = clamp(green + grain);
      raw[at + 2] = clamp(blue + grain);
    }
  }
  return png(raw);
}

function colour(x: number, y: number, seed: number, people: { x: number; y: number }[]): [number, number, number] {
  for (const person of people) {
    const dx = x - person.x;
    const head = dx * dx + (y - person.y + 34) ** 2 < 90;
    const body = Math.abs(dx) < 13 && y > person.y - 24 && y < person.y + 42;
    if (head) return [112, 84, 66];
    if (body) return [60 + ((person.x * 7) % 90), 70 + ((person.x * 3) % 60), 88];
  }
  const counter = y > 178 && y < 232 && x > 120 && x < 520;
  if (counter) return y < 190 ? [148, 122, 92] : [104, 84, 64];
  const window = y > 50 && y < 130 && [80, 270, 460].some((left) => x > left && x < left + 100 && x % 50 !== 30);
  if (window) return [196 + (seed % 20), 208, 204 - y / 4];
  if (y < 200) return [132 - y / 5, 136 - y / 5, 126 - y / 5];
  const tile = (Math.floor((x - 320) / (14 + (y - 200) / 4)) + Math.floor((y - 200) / 22)) % 2 === 0;
  return tile ? [118, 112, 102] : [104, 99, 92];
}

const clamp = (value: number): number => Math.max(0, Math.min(255, Math.round(value)));

function png(raw: Buffer): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(WIDTH, 0);
  header.writeUInt32BE(HEIGHT, 4);
  header.set([8, 2, 0, 0, 0], 8);
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return Buffer.concat([signature, chunk('IHDR', header), chunk('IDAT', deflateSync(raw)), chunk('IEND', Buffer.alloc(0))]);
}

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const whole = Buffer.alloc(body.length + 8);
  whole.writeUInt32BE(data.length, 0);
  body.copy(whole, 4);
  whole.writeUInt32BE(crc32(body), body.length + 4);
  return whole;
}
