/** Maps as 16-bit gray PNGs, as the Python package reads and writes them. */

import type { Guidance, PixelMap } from "../src/index.js";

const SIGNATURE = Uint8Array.of(137, 80, 78, 71, 13, 10, 26, 10);
const GRAY = 0;
const FULL = 65535;

/** The file of a map: 0 is the least value of its range, 65535 the most. */
export async function mapFile(map: PixelMap, meaning: Guidance): Promise<Blob> {
  const { values, width, height } = map;
  const rows = new DataView(new ArrayBuffer(height * (1 + 2 * width))); // each begins with its filter, 0
  const range = meaning.maximum - meaning.minimum;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const share = ((values[y * width + x] ?? 0) - meaning.minimum) / range;
      const level = Math.round(Math.min(Math.max(share, 0), 1) * FULL);
      rows.setUint16(y * (1 + 2 * width) + 1 + 2 * x, level);
    }
  }
  const header = new DataView(new ArrayBuffer(13));
  header.setUint32(0, width);
  header.setUint32(4, height);
  header.setUint8(8, 16);
  header.setUint8(9, GRAY);
  const parts = [chunk("IHDR", header.buffer), chunk("IDAT", await deflated(rows.buffer))];
  return new Blob([SIGNATURE, ...parts, chunk("IEND", new ArrayBuffer(0))], { type: "image/png" });
}

async function deflated(content: ArrayBuffer): Promise<ArrayBuffer> {
  const stream = new Blob([content]).stream().pipeThrough(new CompressionStream("deflate"));
  return new Response(stream).arrayBuffer();
}

/** Length, name and content, and the check sum of the last two. */
function chunk(name: string, content: ArrayBuffer): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(12 + content.byteLength);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, content.byteLength);
  bytes.set(new TextEncoder().encode(name), 4);
  bytes.set(new Uint8Array(content), 8);
  view.setUint32(bytes.length - 4, checkSum(bytes.subarray(4, -4)));
  return bytes;
}

/** CRC-32 of ISO 3309, as PNG has it. */
function checkSum(bytes: Uint8Array): number {
  let rest = 0xffffffff;
  for (const byte of bytes) rest = (TABLE[(rest ^ byte) & 255] ?? 0) ^ (rest >>> 8);
  return (rest ^ 0xffffffff) >>> 0;
}

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let rest = byte;
  for (let bit = 0; bit < 8; bit++) rest = rest & 1 ? (rest >>> 1) ^ 0xedb88320 : rest >>> 1;
  return rest;
});
