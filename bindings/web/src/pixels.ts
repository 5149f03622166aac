/** Converts between the bytes of pictures and the planes that networks take. */

/** Pixels as canvases give them: rows of R, G, B, A, a byte each. */
export interface Picture {
  readonly data: Uint8ClampedArray<ArrayBuffer>;
  readonly width: number;
  readonly height: number;
}

/** A part of a picture. */
export interface Rectangle {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** Values in planes of `height` rows of `width` columns. */
export interface Planes {
  readonly values: Float32Array<ArrayBuffer>;
  readonly channels: number;
  readonly width: number;
  readonly height: number;
}

const FULL = 255;
const SHARES = Float32Array.from({ length: FULL + 1 }, (_, byte) => byte * Math.fround(1 / FULL));

export function nextMultiple(length: number, multiple: number): number {
  return Math.ceil(length / multiple) * multiple;
}

/**
 * A picture as planes in [0, 1] whose sides are multiples of a number.
 *
 * What is missing at the right and at the bottom is mirrored: 0 1 2 | 2 1 0.
 *
 * @param channels 3, or 1 for gray pictures
 */
export function toPlanes(picture: Picture, channels: 1 | 3, multiple: number): Planes {
  const { data, width, height } = picture;
  const columns = nextMultiple(width, multiple);
  const rows = nextMultiple(height, multiple);
  const values = new Float32Array(channels * rows * columns);
  const size = rows * columns;
  for (let y = 0; y < height; y++) {
    for (let x = 0, from = 4 * y * width, to = y * columns; x < width; x++, from += 4, to++) {
      // The types allow for what is beyond the end of an array; the bytes of a picture are within.
      const red = SHARES[data[from] as number] as number;
      values[to] = red;
      if (channels === 3) {
        values[to + size] = SHARES[data[from + 1] as number] as number;
        values[to + 2 * size] = SHARES[data[from + 2] as number] as number;
      }
    }
  }
  const planes = { values, channels, width: columns, height: rows };
  mirrorEdges(planes, width, height);
  return planes;
}

/** A map with sides that are multiples of a number, mirrored like pictures. */
export function padded(
  map: Float32Array,
  width: number,
  height: number,
  multiple: number,
): Float32Array<ArrayBuffer> {
  const columns = nextMultiple(width, multiple);
  const rows = nextMultiple(height, multiple);
  const values = new Float32Array(rows * columns);
  for (let y = 0; y < height; y++) {
    values.set(map.subarray(y * width, (y + 1) * width), y * columns);
  }
  mirrorEdges({ values, channels: 1, width: columns, height: rows }, width, height);
  return values;
}

/** A part of a plane whose rows have `columns` values. */
export function cropped(
  plane: Float32Array,
  columns: number,
  { x, y, width, height }: Rectangle,
): Float32Array<ArrayBuffer> {
  const values = new Float32Array(width * height);
  for (let row = 0; row < height; row++) {
    const from = (y + row) * columns + x;
    values.set(plane.subarray(from, from + width), row * width);
  }
  return values;
}

/** The picture that planes show, without their padding, with the alpha of the picture before. */
export function toPicture(planes: Planes, before: Picture): Picture {
  const { width, height } = before;
  const data = new Uint8ClampedArray(4 * width * height);
  const size = planes.width * planes.height;
  const step = planes.channels === 3 ? size : 0;
  for (let y = 0; y < height; y++) {
    for (let x = 0, to = 4 * y * width, from = y * planes.width; x < width; x++, to += 4, from++) {
      // Uint8ClampedArray rounds halves to even, as Python does.
      data[to] = Math.fround((planes.values[from] as number) * FULL);
      data[to + 1] = Math.fround((planes.values[from + step] as number) * FULL);
      data[to + 2] = Math.fround((planes.values[from + 2 * step] as number) * FULL);
      data[to + 3] = before.data[to + 3] as number;
    }
  }
  return { data, width, height };
}

/** A picture in gray: the mean of its colours. */
export function withoutTint({ data, width, height }: Picture): Picture {
  const gray = data.slice();
  for (let i = 0; i < data.length; i += 4) {
    const mean = ((data[i] as number) + (data[i + 1] as number) + (data[i + 2] as number)) / 3;
    gray.fill(mean, i, i + 3);
  }
  return { data: gray, width, height };
}

/** Whether a picture shows only gray. */
export function isGray({ data }: Picture): boolean {
  for (let i = 0; i < data.length; i += 4) {
    if (data[i] !== data[i + 1] || data[i] !== data[i + 2]) return false;
  }
  return true;
}

export function isFinite(values: Float32Array): boolean {
  let sum = 0;
  for (const value of values) sum += value;
  return Number.isFinite(sum);
}

function mirrorEdges({ values, channels, width, height }: Planes, columns: number, rows: number): void {
  for (let channel = 0; channel < channels; channel++) {
    const plane = values.subarray(channel * width * height, (channel + 1) * width * height);
    for (let y = 0; y < rows; y++) {
      for (let x = columns; x < width; x++) {
        plane[y * width + x] = plane[y * width + mirrored(x, columns)] as number;
      }
    }
    for (let y = rows; y < height; y++) {
      const from = mirrored(y, rows) * width;
      plane.copyWithin(y * width, from, from + width);
    }
  }
}

/** Where the value at an index comes from, beyond the ends of a side: 1 0 | 0 1 2 | 2 1. */
export function mirrored(index: number, length: number): number {
  const within = ((index % (2 * length)) + 2 * length) % (2 * length);
  return within < length ? within : 2 * length - 1 - within;
}
