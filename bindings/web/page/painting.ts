/** What the user paints on a map. */

import type { PixelMap } from "../src/index.js";

interface Layer {
  readonly values: Float32Array;
  readonly mix: Float32Array;
}

const MOST_UNDONE = 12;

/** Values over a map, with how much of them covers it. */
export class Painting {
  private values: Float32Array;
  private mix: Float32Array;
  private readonly before: Layer[] = [];

  constructor(
    readonly width: number,
    readonly height: number,
  ) {
    this.values = new Float32Array(width * height);
    this.mix = new Float32Array(width * height);
  }

  get isEmpty(): boolean {
    return this.before.length === 0;
  }

  /** What is told the network; nothing where nothing is painted. */
  get dials(): { guidance?: PixelMap; guidanceMix?: PixelMap } {
    if (this.isEmpty) return {};
    const { width, height } = this;
    return {
      guidance: { values: this.values, width, height },
      guidanceMix: { values: this.mix, width, height },
    };
  }

  /** The value of a cell over that of the map below. */
  over(below: number, cell: number): number {
    const share = this.mix[cell] ?? 0;
    return below + ((this.values[cell] ?? 0) - below) * share;
  }

  /** Begin a stroke, which `undo` takes back. */
  begin(): void {
    if (this.before.length === MOST_UNDONE) this.before.splice(1, 1);
    this.before.push({ values: this.values.slice(), mix: this.mix.slice() });
  }

  /** Paint a soft disc. Place and radius are in cells. */
  dab(x: number, y: number, radius: number, value: number): void {
    const [left, right] = range(x, radius, this.width);
    const [top, bottom] = range(y, radius, this.height);
    for (let row = top; row < bottom; row++) {
      for (let column = left; column < right; column++) {
        const distance = Math.hypot(column + 0.5 - x, row + 0.5 - y) / radius;
        const share = Math.min(Math.max(2 * (1 - distance), 0), 1);
        if (share > 0) this.cover(row * this.width + column, share, value);
      }
    }
  }

  undo(): void {
    const layer = this.before.pop();
    if (layer === undefined) return;
    this.values = layer.values;
    this.mix = layer.mix;
  }

  clear(): void {
    this.before.length = 0;
    this.values.fill(0);
    this.mix.fill(0);
  }

  private cover(cell: number, share: number, value: number): void {
    const [old = 0, covered = 0] = [this.values[cell], this.mix[cell]];
    const total = share + covered * (1 - share);
    this.values[cell] = (value * share + old * covered * (1 - share)) / total;
    this.mix[cell] = total;
  }
}

function range(center: number, radius: number, length: number): [number, number] {
  return [Math.max(Math.floor(center - radius), 0), Math.min(Math.ceil(center + radius), length)];
}
