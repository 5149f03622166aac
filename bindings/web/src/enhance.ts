/** One picture through a network: padding, dials, and the result in the form of the picture. */

import { Engine, type EngineOptions, type Feed } from "./engine.js";
import { HyperguideError } from "./errors.js";
import { check, checkTile } from "./dials.js";
import { resized, type PixelMap } from "./maps.js";
import { readModelFile, type Dial } from "./model-file.js";
import type { ModelInfo } from "./model-info.js";
import {
  cropped,
  isFinite,
  isGray,
  nextMultiple,
  padded,
  toPicture,
  toPlanes,
  withoutTint,
  type Picture,
  type Planes,
  type Rectangle,
} from "./pixels.js";
import { sideFor, tilesOf, windowOf } from "./tiles.js";
import { Transfer, smallCopy } from "./transfer.js";

/** What is told a model about a picture. */
export interface Dials {
  /** 0 returns the picture, 1 (the default) the network's result; above 1 exaggerates. */
  readonly strength?: number | undefined;
  /** Multiplies the map that the network sees; 1 by default. */
  readonly guidanceScale?: number | undefined;
  /** A map, or a number, to use instead of the predicted one. Other sizes are resized linearly. */
  readonly guidance?: PixelMap | number | undefined;
  /** How much of `guidance` is used, from 0 to 1; 1 by default. */
  readonly guidanceMix?: PixelMap | number | undefined;
  /** The kernel of the blur, for models that deblur: odd sides, sum 1. */
  readonly kernel?: PixelMap | undefined;
}

export interface Enhanced {
  readonly picture: Picture;
  /** The map that was used, before the scale; undefined at strength 0. */
  readonly guidance: PixelMap | undefined;
}

interface EnhancedWithMap extends Enhanced {
  readonly guidance: PixelMap;
}

/** How a call is run. */
export interface Run {
  /** Side of the tiles into which a larger picture is split; by default as memory allows. */
  readonly tile?: number | undefined;
  /** Called with the share that is done after each tile; what it throws ends the call. */
  readonly progress?: ((share: number) => Promise<void>) | undefined;
}

/** Engines take up to this many times the size of their tensors. */
const OVERHEAD = 4.2;
/** What is used of the memory of WebAssembly, which is 4 GB at most. */
const MOST_BYTES = 1.5e9;
/** Pixels of a tile's window: larger ones would take long without a sign of progress. */
const LARGEST_TILE = 1_000_000;
/** Pixels of the small copy for networks that see the whole picture. */
const OVERVIEW = 1_000_000;

/** A model and the engine that runs it. */
export class Network {
  private constructor(
    readonly info: ModelInfo,
    readonly engine: Engine,
  ) {}

  /** Load a model file. where: names it in errors. */
  static async open(content: Uint8Array, where: string, options: EngineOptions): Promise<Network> {
    const file = await readModelFile(content, where);
    return new Network(file.info, await Engine.open(file, options));
  }

  /**
   * Enhance a picture, in tiles if it is large.
   *
   * @throws HyperguideError for dials that do not fit
   */
  async enhance(picture: Picture, dials: Dials, run: Run = {}): Promise<Enhanced> {
    const result = await this.enhanced(picture, dials, run);
    // Networks for colour tint gray pictures a little.
    return isGray(picture) ? { ...result, picture: withoutTint(result.picture) } : result;
  }

  private async enhanced(picture: Picture, given: Dials, run: Run): Promise<Enhanced> {
    check(picture, given, this.info);
    checkTile(run.tile);
    const dials = fitted(given, picture);
    if (dials.strength === 0) {
      return { picture: { ...picture, data: picture.data.slice() }, guidance: undefined };
    }
    if (this.info.color === "gray" && !isGray(picture)) {
      throw new HyperguideError("This model takes gray pictures: convert the picture to gray first.");
    }
    const most = this.mostPixels();
    const { width, height } = picture;
    const isSplit =
      run.tile === undefined ? width * height > most : Math.max(width, height) > run.tile;
    if (this.info.wholePicture) {
      return isSplit ? this.transferred(picture, dials) : this.whole(picture, dials);
    }
    if (this.info.context === "local") {
      return isSplit ? this.tiled(picture, dials, run) : this.whole(picture, dials);
    }
    if (width * height > most) {
      throw new HyperguideError(
        `A picture of ${width}x${height} is too large for this model in a browser: give one of at ` +
          `most ${(most / 1e6).toFixed(1)} megapixels, or use the Python package.`,
      );
    }
    return this.whole(picture, dials); // what depends on distant pixels is never split
  }

  /** Pixels of the largest picture that is enhanced whole, or of a tile's window. */
  private mostPixels(): number {
    const bytes = this.info.bytesPerPixel * OVERHEAD;
    return Math.min(Math.floor(MOST_BYTES / bytes), this.info.context === "local" ? LARGEST_TILE : Infinity);
  }

  private async tiled(picture: Picture, dials: Dials, run: Run): Promise<Enhanced> {
    const { sizeMultiple } = this.info;
    const overlap = nextMultiple(this.info.overlap, sizeMultiple);
    const side = run.tile ?? sideFor(this.mostPixels(), overlap, sizeMultiple);
    const { width, height } = picture;
    const data = new Uint8ClampedArray(4 * width * height);
    const values = new Float32Array(width * height);
    let done = 0;
    for (const tile of tilesOf(width, height, side, sizeMultiple)) {
      const window = windowOf(tile, overlap, picture);
      const part = await this.whole(partOf(picture, window), {
        ...dials,
        guidance: mapPart(dials.guidance, window),
        guidanceMix: mapPart(dials.guidanceMix, window),
      });
      for (let y = 0; y < tile.height; y++) {
        const from = (tile.y - window.y + y) * window.width + tile.x - window.x;
        const to = (tile.y + y) * width + tile.x;
        data.set(part.picture.data.subarray(4 * from, 4 * (from + tile.width)), 4 * to);
        values.set(part.guidance.values.subarray(from, from + tile.width), to);
      }
      done += tile.width * tile.height;
      await run.progress?.(done / (width * height));
    }
    return { picture: { data, width, height }, guidance: { values, width, height } };
  }

  /** For networks that see the whole picture: enhances a small copy, and changes the picture as it. */
  private async transferred(picture: Picture, dials: Dials): Promise<Enhanced> {
    const { width, height } = picture;
    const factor = Math.min(Math.sqrt(OVERVIEW / (width * height)), 1);
    const [columns, rows] = [width, height].map((side) => Math.max(Math.round(side * factor), 1));
    const size = [columns ?? 1, rows ?? 1] as const;
    const small = smallCopy(picture, ...size);
    const smaller = (map: PixelMap | number | undefined): PixelMap | number | undefined =>
      typeof map === "object" ? resized(map, ...size) : map;
    const result = await this.network(small, {
      ...dials,
      strength: 1,
      guidance: smaller(dials.guidance),
      guidanceMix: smaller(dials.guidanceMix),
    });
    const transfer = new Transfer(result.before, result.after);
    const map = { values: result.guidance, width: small.width, height: small.height };
    return {
      picture: transfer.apply(picture, dials.strength ?? 1),
      guidance: resized(map, width, height),
    };
  }

  private async whole(picture: Picture, dials: Dials): Promise<EnhancedWithMap> {
    const { after, guidance } = await this.network(picture, dials);
    const { width, height } = picture;
    const values = cropped(guidance, after.width, { x: 0, y: 0, width, height });
    return { picture: toPicture(after, picture), guidance: { values, width, height } };
  }

  /** Runs the network on a picture that fits. Returns padded planes. */
  private async network(
    picture: Picture,
    dials: Dials,
  ): Promise<{ before: Planes; after: Planes; guidance: Float32Array }> {
    const before = toPlanes(picture, this.info.color === "gray" ? 1 : 3, this.info.sizeMultiple);
    const { values, channels, height, width } = before;
    const shape = [1, channels, height, width] as const;
    const result = await this.engine.run({ values, shape }, this.feeds(picture, dials));
    const after = { ...before, values: new Float32Array(result.enhanced) };
    if (!isFinite(after.values) || !isFinite(result.guidance)) {
      throw new HyperguideError("The engine computed NaN or infinity: turn the dials less.");
    }
    return { before, after, guidance: result.guidance };
  }

  /** The dials of a picture that fits, as inputs of the network. */
  private feeds(picture: Picture, dials: Dials): Partial<Record<Dial, Feed>> {
    const feeds: Partial<Record<Dial, Feed>> = {};
    if (dials.strength !== undefined) feeds.strength = number(dials.strength);
    if (dials.guidanceScale !== undefined) feeds.guidance_scale = number(dials.guidanceScale);
    if (dials.guidance !== undefined) {
      feeds.guidance_in = this.map(picture, dials.guidance);
      feeds.guidance_mix = this.map(picture, dials.guidanceMix ?? 1);
    }
    if (dials.kernel !== undefined) {
      const { values, width, height } = dials.kernel;
      const sum = values.reduce((total, value) => total + value, 0);
      feeds.kernel = { values: values.map((value) => value / sum), shape: [1, 1, height, width] };
    }
    return feeds;
  }

  private map({ width, height }: Picture, given: PixelMap | number): Feed {
    if (typeof given === "number") return number(given);
    const multiple = this.info.sizeMultiple;
    const shape = [1, 1, nextMultiple(height, multiple), nextMultiple(width, multiple)] as const;
    return { values: padded(given.values, width, height, multiple), shape };
  }
}

function number(value: number): Feed {
  return { values: Float32Array.of(value), shape: [1, 1, 1, 1] };
}

function partOf(picture: Picture, { x, y, width, height }: Rectangle): Picture {
  const data = new Uint8ClampedArray(4 * width * height);
  for (let row = 0; row < height; row++) {
    const from = 4 * ((y + row) * picture.width + x);
    data.set(picture.data.subarray(from, from + 4 * width), 4 * row * width);
  }
  return { data, width, height };
}

/** Dials whose maps have the picture's size. */
function fitted(dials: Dials, { width, height }: Picture): Dials {
  const fit = (map: PixelMap | number | undefined): PixelMap | number | undefined =>
    typeof map !== "object" || (map.width === width && map.height === height)
      ? map
      : resized(map, width, height);
  return { ...dials, guidance: fit(dials.guidance), guidanceMix: fit(dials.guidanceMix) };
}

function mapPart(
  map: PixelMap | number | undefined,
  window: Rectangle,
): PixelMap | number | undefined {
  if (typeof map !== "object") return map;
  const { width, height } = window;
  return { values: cropped(map.values, map.width, window), width, height };
}
