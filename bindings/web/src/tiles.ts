/** Tiles of a picture: the window that the network sees for each, and the part that is kept. */

import { nextMultiple, type Rectangle } from "./pixels.js";

/** The side of the largest square tile whose window has at most this many pixels. */
export function sideFor(pixels: number, overlap: number, multiple: number): number {
  const side = Math.max(Math.floor(Math.sqrt(pixels)) - 2 * overlap, overlap, 1);
  return nextMultiple(side, multiple);
}

/**
 * Cover a picture with tiles of about equal size.
 *
 * @param side of the largest tile; rounded up to a multiple
 */
export function tilesOf(width: number, height: number, side: number, multiple: number): Rectangle[] {
  const columns = ranges(width, side, multiple);
  return ranges(height, side, multiple).flatMap(([y, bottom]) =>
    columns.map(([x, right]) => ({ x, y, width: right - x, height: bottom - y })),
  );
}

/** What the network must see for a tile: the overlap more at each side, within the picture. */
export function windowOf(
  { x, y, width, height }: Rectangle,
  overlap: number,
  picture: { readonly width: number; readonly height: number },
): Rectangle {
  const [left, top] = [Math.max(x - overlap, 0), Math.max(y - overlap, 0)];
  const right = Math.min(x + width + overlap, picture.width);
  const bottom = Math.min(y + height + overlap, picture.height);
  return { x: left, y: top, width: right - left, height: bottom - top };
}

function ranges(length: number, side: number, multiple: number): (readonly [number, number])[] {
  const count = Math.ceil(length / nextMultiple(side, multiple));
  const step = nextMultiple(Math.ceil(length / count), multiple);
  return Array.from({ length: Math.ceil(length / step) }, (_, i) => {
    const first = i * step;
    return [first, Math.min(first + step, length)] as const;
  });
}
