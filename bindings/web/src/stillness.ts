/**
 * Where a video stands still: compares reduced frames, by the noise that they have.
 *
 * As `runtime/stillness.py` of the Python package, in floats.
 */

import type { PixelMap } from "./maps.js";
import type { Picture } from "./pixels.js";

/** Rows and columns of a frame for each of a reduced one. */
const REDUCTION = 8;
/** Mean difference of two frames, full scale = 1, from which on they show different scenes. */
const CUT = 0.12;
/** How often reduced frames are halved for that. */
const HALVINGS_TO_COMPARE = 2;
/**
 * Mean square differences, in parts of what noise alone gives, up to which a part counts as still,
 * and from which on as moving.
 */
const STILL = 4;
const MOVING = 8;
/** Variance of a difference of reduced frames, in parts of that of the noise in a pixel. */
const NOISE_LEFT = (2 * (0.299 ** 2 + 0.587 ** 2 + 0.114 ** 2)) / REDUCTION ** 2;
/** What rounding to bytes adds to it. */
const ROUNDING = 8 / 12 / 255 ** 2;
/** The value that a fifth of a still frame stays below in white noise; see the Python package. */
const QUIET = 0.2;
const QUIET_VALUE = 0.6;
const MOST_CORRELATED = 16;

/** A gray copy of a frame, full scale = 1, at an eighth of its size. */
export function reduced({ data, width, height }: Picture): PixelMap {
  const values = new Float32Array(width * height);
  for (let i = 0, from = 0; i < values.length; i++, from += 4) {
    const red = data[from] as number;
    const green = data[from + 1] as number;
    const blue = data[from + 2] as number;
    values[i] = (0.299 * red + 0.587 * green + 0.114 * blue) / 255;
  }
  return halved(halved(halved({ values, width, height })));
}

/** The difference of two reduced frames of equal size. */
export function difference(one: PixelMap, other: PixelMap): PixelMap {
  return { ...one, values: one.values.map((value, i) => value - (other.values[i] as number)) };
}

/** Whether two frames that differ by this show different scenes. */
export function isCut(change: PixelMap): boolean {
  for (let i = 0; i < HALVINGS_TO_COMPARE; i++) change = halved(change); // noise must not count
  const sum = change.values.reduce((total, value) => total + Math.abs(value), 0);
  return sum / change.values.length >= CUT;
}

/**
 * How still each part of a scene is: 1 still, 0 moving; so are the neighbours of what moves.
 *
 * @param noise standard deviation of a pixel's noise, full scale = 1: a number, or a map of whole
 *     frames
 */
export function stillness(change: PixelMap, noise: PixelMap | number): PixelMap {
  const { width, height } = change;
  const square = { ...change, values: change.values.map((value) => value * value) };
  const mean = neighbourhood(square, (before, own, after) => (before + own + after) / 3);
  const excess = new Float32Array(width * height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const level =
        typeof noise === "number"
          ? noise
          : (noise.values[REDUCTION * (y * noise.width + x)] as number);
      const i = y * width + x;
      excess[i] = (mean.values[i] as number) / (NOISE_LEFT * level * level + ROUNDING);
    }
  }
  const some = Float32Array.from(everySecond(excess, width, height)).sort();
  const quiet = (some[Math.floor(QUIET * some.length)] as number) / QUIET_VALUE;
  const correlation = Math.min(Math.max(quiet, 1), MOST_CORRELATED);
  const still = excess.map((value) => {
    const share = (MOVING - value / correlation) / (MOVING - STILL);
    return Math.min(Math.max(share, 0), 1);
  });
  // Beyond the border are values from within, which do not change a minimum.
  return neighbourhood({ values: still, width, height }, (before, own, after) =>
    Math.min(before, own, after),
  );
}

/** Means of 2x2 pixels; an odd row or column at the end is left out. */
function halved({ values, width, height }: PixelMap): PixelMap {
  const columns = Math.max(width >> 1, 1);
  const rows = Math.max(height >> 1, 1);
  const [right, down] = [width > 1 ? 1 : 0, height > 1 ? width : 0];
  const out = new Float32Array(columns * rows);
  for (let y = 0; y < rows; y++) {
    for (let x = 0; x < columns; x++) {
      const i = 2 * (y * width + x);
      const above = (values[i] as number) + (values[i + right] as number);
      const below = (values[i + down] as number) + (values[i + down + right] as number);
      out[y * columns + x] = (above + below) / 4;
    }
  }
  return { values: out, width: columns, height: rows };
}

function* everySecond(values: Float32Array, width: number, height: number): Generator<number> {
  for (let y = 0; y < height; y += 2) {
    for (let x = 0; x < width; x += 2) yield values[y * width + x] as number;
  }
}

/**
 * A function of each value and its neighbours: along rows, then along columns. Beyond the border the
 * map is mirrored: 2 1 | 0 1 2.
 */
function neighbourhood(
  { values, width, height }: PixelMap,
  of: (before: number, own: number, after: number) => number,
): PixelMap {
  const rows = new Float32Array(values.length);
  const out = new Float32Array(values.length);
  const along = (from: Float32Array, to: Float32Array, length: number, step: number, i: number, place: number): void => {
    const before = length === 1 ? i : place > 0 ? i - step : i + step;
    const after = length === 1 ? i : place < length - 1 ? i + step : i - step;
    to[i] = of(from[before] as number, from[i] as number, from[after] as number);
  };
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) along(values, rows, width, 1, i, x);
  }
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) along(rows, out, height, width, i, y);
  }
  return { values: out, width, height };
}
