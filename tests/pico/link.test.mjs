//! The tests' own codec, pinned against known bytes.

import assert from "node:assert/strict";
import { test } from "node:test";

import { crc16, FrameReader, stuff, to, unstuff, varint } from "./harness/link.mjs";

test("the checksum is CRC-16/IBM-SDLC", () => {
  assert.equal(crc16(new TextEncoder().encode("123456789")), 0x906e);
});

test("stuffing is COBS", () => {
  const cases = [
    [[], [1]],
    [[0], [1, 1]],
    [[0x11, 0x22, 0, 0x33], [3, 0x11, 0x22, 2, 0x33]],
    [[0x11, 0, 0, 0], [2, 0x11, 1, 1, 1]],
  ];
  for (const [plain, stuffed] of cases) {
    assert.deepEqual(stuff(plain), stuffed);
    assert.deepEqual(unstuff(stuffed), plain);
  }
  assert.equal(unstuff([9, 1]), null);
});

test("a reader finds the frame behind noise", () => {
  const reader = new FrameReader();
  const read = [1, 2, 3, ...to.ack({ boot: 1, seq: 300 })].map((byte) => reader.push(byte)).filter(Boolean);
  assert.deepEqual(read, [{ kind: 0x82, body: [1, ...varint(300)] }]);
  assert.equal(reader.refused, 1);
});
