/** Colours of maps: viridis, as in the Python package, dark blue low and yellow high. */

/** Samples of matplotlib's viridis at equal distances, 0xRRGGBB. */
const SAMPLES = [
  0x440154, 0x48186a, 0x472d7b, 0x424086, 0x3b528b, 0x33638d, 0x2c728e, 0x26828e, 0x21918c, 0x1fa088,
  0x28ae80, 0x3fbc73, 0x5ec962, 0x84d44b, 0xaddc30, 0xd8e219, 0xfde725,
];

const LEVELS = 256;

/** Red, green and blue of each of 256 levels. */
const TABLE = Uint8ClampedArray.from({ length: 3 * LEVELS }, (_, i) => {
  const place = (Math.floor(i / 3) / (LEVELS - 1)) * (SAMPLES.length - 1);
  const before = Math.min(Math.floor(place), SAMPLES.length - 2);
  const shift = 16 - 8 * (i % 3);
  const [low = 0, high = 0] = SAMPLES.slice(before, before + 2).map((color) => (color >> shift) & 255);
  return low + (high - low) * (place - before);
});

/** Write the colour of a share in [0, 1] into a pixel of a picture. */
export function colorize(share: number, data: Uint8ClampedArray, pixel: number): void {
  const level = Math.round(Math.min(Math.max(share, 0), 1) * (LEVELS - 1));
  data.set(TABLE.subarray(3 * level, 3 * level + 3), 4 * pixel);
  data[4 * pixel + 3] = 255;
}

/** The colour of a share, for style sheets. */
export function cssColor(share: number): string {
  const data = new Uint8ClampedArray(4);
  colorize(share, data, 0);
  return `rgb(${data.subarray(0, 3).join(" ")})`;
}

/** The whole palette, for style sheets. */
export function cssGradient(): string {
  const stops = SAMPLES.map((_, i) => cssColor(i / (SAMPLES.length - 1)));
  return `linear-gradient(to right, ${stops.join(", ")})`;
}
