/**
 * Guided upsampling: applies a network's changes of a small copy to the full picture.
 *
 * For networks whose result depends on the whole picture, as `runtime/inference/guided_upsampling.py`
 * of the Python package. Gains and offsets, enhanced = gain * picture + offset, are fitted to the
 * copy, each plane separately, as in the fast guided filter (K. He, J. Sun, 2015,
 * https://arxiv.org/abs/1505.00996). They can describe haze, but not noise.
 */

import { Rows, type PixelMap } from "./maps.js";
import { mirrored, type Picture, type Planes } from "./pixels.js";

/** Radius, in pixels of the copy, over which a gain and an offset are fitted. */
const RADIUS = 4;
/** Variance at which the gain is halved, full scale = 1. */
const FLAT = 1e-5;

/** A picture at a smaller size, as means of the areas of its pixels. */
export function smallCopy(picture: Picture, width: number, height: number): Picture {
  const columns = shares(picture.width, width);
  const rows = shares(picture.height, height);
  const data = new Uint8ClampedArray(4 * width * height);
  const row = new Float64Array(4 * picture.width);
  for (let y = 0; y < height; y++) {
    row.fill(0);
    for (const [from, share] of rows[y] as Share[]) {
      const start = 4 * from * picture.width;
      for (let i = 0; i < row.length; i++) {
        row[i] = (row[i] as number) + share * (picture.data[start + i] as number);
      }
    }
    for (let x = 0; x < width; x++) {
      for (let channel = 0; channel < 4; channel++) {
        let sum = 0;
        for (const [from, share] of columns[x] as Share[]) {
          sum += share * (row[4 * from + channel] as number);
        }
        data[4 * (y * width + x) + channel] = sum;
      }
    }
  }
  return { data, width, height };
}

/** A pixel before, and its share in one after. */
type Share = readonly [number, number];

function shares(length: number, cells: number): Share[][] {
  const scale = length / cells;
  return Array.from({ length: cells }, (_, cell) => {
    const [first, end] = [cell * scale, Math.min((cell + 1) * scale, length)];
    const found: Share[] = [];
    for (let place = Math.floor(first); place < end; place++) {
      const share = (Math.min(place + 1, end) - Math.max(place, first)) / (end - first);
      if (share > 1e-9) found.push([place, share]);
    }
    return found;
  });
}

/** Gains and offsets that vary slowly over a picture. */
export class Transfer {
  private readonly gains: PixelMap[] = [];
  private readonly offsets: PixelMap[] = [];

  /**
   * @param before the small copy
   * @param after what the network made of it, with the same number of channels
   */
  constructor(before: Planes, after: Planes) {
    const { width, height } = before;
    const size = width * height;
    for (let channel = 0; channel < before.channels; channel++) {
      const plane = (planes: Planes): PixelMap => ({
        values: planes.values.subarray(channel * size, (channel + 1) * size),
        width,
        height,
      });
      const [gain, offset] = fitLines(plane(before), plane(after));
      this.gains.push(means(gain));
      this.offsets.push(means(offset));
    }
  }

  /** Enhance a whole picture, at a strength. */
  apply(picture: Picture, strength: number): Picture {
    const { width, height } = picture;
    const data = picture.data.slice();
    this.gains.forEach((gain, channel) => {
      const gains = new Rows(gain, width, height);
      const offsets = new Rows(this.offsets[channel] as PixelMap, width, height);
      for (let y = 0; y < height; y++) {
        const [gainRow, offsetRow] = [gains.at(y), offsets.at(y)];
        for (let x = 0; x < width; x++) {
          const i = 4 * (y * width + x) + channel;
          const value = (data[i] as number) / 255;
          const full = (gainRow[x] as number) * value + (offsetRow[x] as number);
          const enhanced = Math.min(Math.max(full, 0), 1);
          data[i] = 255 * (value + strength * (enhanced - value));
        }
      }
    });
    return { data, width, height };
  }
}

/** Gain and offset of each pixel: values = gain * guide + offset, by least squares around it. */
function fitLines(guide: PixelMap, values: PixelMap): [PixelMap, PixelMap] {
  const { width, height } = guide;
  const product = (one: PixelMap, other: PixelMap): PixelMap => ({
    ...one,
    values: one.values.map((value, i) => value * (other.values[i] as number)),
  });
  const [meanGuide, meanValues] = [means(guide), means(values)];
  const [squares, products] = [means(product(guide, guide)), means(product(guide, values))];
  const gain = new Float32Array(width * height);
  const offset = new Float32Array(width * height);
  for (let i = 0; i < gain.length; i++) {
    const [a, b] = [meanGuide.values[i] as number, meanValues.values[i] as number];
    const variance = Math.max((squares.values[i] as number) - a * a, 0);
    const slope = ((products.values[i] as number) - a * b) / (variance + FLAT);
    gain[i] = slope;
    offset[i] = b - slope * a;
  }
  return [
    { values: gain, width, height },
    { values: offset, width, height },
  ];
}

/** The mean of each pixel's neighbourhood; beyond the border the picture is mirrored: 1 0 | 0 1. */
function means({ values, width, height }: PixelMap): PixelMap {
  const across = sums(values, width, height, 1, width);
  const both = sums(across, height, width, width, 1);
  const count = (2 * RADIUS + 1) ** 2;
  return { values: Float32Array.from(both, (sum) => sum / count), width, height };
}

/** Sums over 2 RADIUS + 1 neighbours along one axis. */
function sums(
  values: ArrayLike<number>,
  length: number,
  lines: number,
  step: number,
  lineStep: number,
): Float64Array {
  const out = new Float64Array(length * lines);
  for (let line = 0; line < lines; line++) {
    const at = (i: number): number => values[line * lineStep + step * mirrored(i, length)] as number;
    let sum = 0;
    for (let i = -RADIUS; i <= RADIUS; i++) sum += at(i);
    for (let i = 0; i < length; i++) {
      out[line * lineStep + step * i] = sum;
      sum += at(i + RADIUS + 1) - at(i - RADIUS);
    }
  }
  return out;
}
