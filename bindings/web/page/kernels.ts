/** Kernels of simple blurs. */

import type { PixelMap } from "../src/index.js";

/** Places per pixel and side at which a shape is sampled. */
const SAMPLES = 8;

/** A camera that moves along a line. length: whole pixels. degrees: counterclockwise from the horizontal. */
export function motionKernel(length: number, degrees: number): PixelMap {
  const [dx, dy] = [Math.cos((degrees * Math.PI) / 180), -Math.sin((degrees * Math.PI) / 180)];
  const steps = length * SAMPLES;
  const places = Array.from({ length: steps }, (_, step) => {
    const along = ((step + 0.5) / steps - 0.5) * length;
    return [along * dx, along * dy] as const;
  });
  return kernelOf(places, length);
}

/** A lens out of focus: an even disc. diameter: whole pixels. */
export function discKernel(diameter: number): PixelMap {
  const steps = diameter * SAMPLES;
  const places: (readonly [number, number])[] = [];
  for (let row = 0; row < steps; row++) {
    for (let column = 0; column < steps; column++) {
      const [x, y] = [column, row].map((step) => ((step + 0.5) / steps - 0.5) * diameter);
      if (Math.hypot(x ?? 0, y ?? 0) <= diameter / 2) places.push([x ?? 0, y ?? 0]);
    }
  }
  return kernelOf(places, diameter);
}

/** How often places, relative to the centre, fall between the centres of pixels. */
function kernelOf(places: readonly (readonly [number, number])[], extent: number): PixelMap {
  const reach = Math.ceil(extent / 2);
  const side = 2 * reach + 1;
  const values = new Float32Array(side * side);
  for (const [x, y] of places) {
    const [column, row] = [Math.floor(x), Math.floor(y)];
    for (const [down, across] of [[0, 0], [0, 1], [1, 0], [1, 1]] as const) {
      const weight = (1 - Math.abs(x - column - across)) * (1 - Math.abs(y - row - down));
      const cell = (row + down + reach) * side + column + across + reach;
      if (weight > 0) values[cell] = (values[cell] ?? 0) + weight / places.length;
    }
  }
  return { values, width: side, height: side };
}
