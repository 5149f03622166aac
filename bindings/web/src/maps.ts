/** Maps: a value for every pixel, and how they are resized. */

/** A value for every pixel, in rows. */
export interface PixelMap {
  readonly values: Float32Array;
  readonly width: number;
  readonly height: number;
}

/** A map enlarged or reduced linearly. */
export function resized(map: PixelMap, width: number, height: number): PixelMap {
  const values = new Float32Array(width * height);
  const rows = new Rows(map, width, height);
  for (let y = 0; y < height; y++) values.set(rows.at(y), y * width);
  return { values, width, height };
}

/** The rows of a resized map, one at a time. */
export class Rows {
  private readonly row: Float32Array;
  private readonly line: Float32Array;
  private readonly columns: readonly Place[];

  constructor(
    private readonly map: PixelMap,
    private readonly width: number,
    private readonly height: number,
  ) {
    this.columns = Array.from({ length: width }, (_, x) => neighbours(x, map.width, width));
    this.row = new Float32Array(width);
    this.line = new Float32Array(map.width);
  }

  /** A row; valid until the next one. */
  at(y: number): Float32Array {
    const { map, line, row } = this;
    const [above, below, down] = neighbours(y, map.height, this.height);
    for (let x = 0; x < map.width; x++) {
      const [first, second] = [map.values[above * map.width + x], map.values[below * map.width + x]];
      line[x] = (first as number) * (1 - down) + (second as number) * down;
    }
    for (let x = 0; x < this.width; x++) {
      const [left, right, across] = this.columns[x] as Place;
      row[x] = (line[left] as number) * (1 - across) + (line[right] as number) * across;
    }
    return row;
  }
}

/** The two cells next to a pixel, and the weight of the second. */
type Place = readonly [number, number, number];

function neighbours(pixel: number, cells: number, length: number): Place {
  const place = Math.min(Math.max((pixel + 0.5) * (cells / length) - 0.5, 0), cells - 1);
  const before = Math.floor(place);
  return [before, Math.min(before + 1, cells - 1), place - before];
}
