/** One picture through a network: padding, dials, and the result in the form of the picture. */

import { Engine, type EngineOptions, type Feed } from "./engine.js";
import { HyperguideError } from "./errors.js";
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
  type Picture,
} from "./pixels.js";

/** A value for every pixel, in rows. */
export interface PixelMap {
  readonly values: Float32Array;
  readonly width: number;
  readonly height: number;
}

/** What is told a model about a picture. */
export interface Dials {
  /** 0 returns the picture, 1 (the default) the network's result; above 1 exaggerates. */
  readonly strength?: number | undefined;
  /** Multiplies the map that the network sees; 1 by default. */
  readonly guidanceScale?: number | undefined;
  /** A map of the picture's size, or a number, to use instead of the predicted one. */
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

const LARGEST_KERNEL = 255;
const SUM_TOLERANCE = 1e-3;
const ROUNDING = 1e-5;

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

  /** Enhance a picture. Throws HyperguideError for dials that do not fit. */
  async enhance(picture: Picture, dials: Dials): Promise<Enhanced> {
    const feeds = this.feeds(picture, dials);
    if (dials.strength === 0) {
      return { picture: { ...picture, data: picture.data.slice() }, guidance: undefined };
    }
    if (this.info.color === "gray" && !isGray(picture)) {
      throw new HyperguideError("This model takes gray pictures: convert the picture to gray first.");
    }
    const { sizeMultiple } = this.info;
    const planes = toPlanes(picture, this.info.color === "gray" ? 1 : 3, sizeMultiple);
    const { values, channels, height, width } = planes;
    const shape = [1, channels, height, width] as const;
    const result = await this.engine.run({ values, shape }, feeds);
    const enhanced = { values: new Float32Array(result.enhanced), channels, width, height };
    if (!isFinite(enhanced.values) || !isFinite(result.guidance)) {
      throw new HyperguideError("The engine computed NaN or infinity: turn the dials less.");
    }
    const map = cropped(result.guidance, width, picture.width, picture.height);
    return {
      picture: toPicture(enhanced, picture),
      guidance: { values: map, width: picture.width, height: picture.height },
    };
  }

  close(): Promise<void> {
    return this.engine.close();
  }

  private feeds(picture: Picture, dials: Dials): Partial<Record<Dial, Feed>> {
    const { minimum, maximum, name } = this.info.guidance;
    const feeds: Partial<Record<Dial, Feed>> = {};
    if (dials.strength !== undefined) feeds.strength = scalar("strength", dials.strength);
    if (dials.guidanceScale !== undefined) {
      feeds.guidance_scale = scalar("guidance scale", dials.guidanceScale);
    }
    if (dials.guidance !== undefined) {
      const range = [minimum, maximum] as const;
      feeds.guidance_in = this.map(picture, `guidance map (${name})`, dials.guidance, range);
      feeds.guidance_mix = this.map(picture, "guidance mix", dials.guidanceMix ?? 1, [0, 1]);
    }
    if (dials.kernel !== undefined) {
      if (!this.info.takesKernel) {
        throw new HyperguideError(`A ${this.info.task} model takes no kernel: leave it out.`);
      }
      feeds.kernel = kernelFeed(dials.kernel, picture);
    }
    return feeds;
  }

  private map(
    { width, height }: Picture,
    what: string,
    given: PixelMap | number,
    [least, most]: readonly [number, number],
  ): Feed {
    const values = typeof given === "number" ? Float32Array.of(given) : given.values;
    for (const value of values) {
      if (!(value >= least - ROUNDING && value <= most + ROUNDING)) {
        throw new HyperguideError(
          `The ${what} has the value ${value}, outside ${least} to ${most}: give values in that range.`,
        );
      }
    }
    if (typeof given === "number") return { values, shape: [1, 1, 1, 1] };
    if (given.width !== width || given.height !== height || values.length !== width * height) {
      throw new HyperguideError(
        `The ${what} of ${given.width}x${given.height} does not fit the picture of ` +
          `${width}x${height}: resize it.`,
      );
    }
    const multiple = this.info.sizeMultiple;
    const shape = [1, 1, nextMultiple(height, multiple), nextMultiple(width, multiple)] as const;
    return { values: padded(values, width, height, multiple), shape };
  }
}

function scalar(what: string, value: number): Feed {
  if (!(value >= 0 && Number.isFinite(value))) {
    throw new HyperguideError(`The ${what} must be a number of at least 0, not ${value}.`);
  }
  return { values: Float32Array.of(value), shape: [1, 1, 1, 1] };
}

function kernelFeed({ values, width, height }: PixelMap, picture: Picture): Feed {
  const isOdd = width % 2 === 1 && height % 2 === 1 && values.length === width * height;
  if (!isOdd || Math.max(width, height) > LARGEST_KERNEL) {
    throw new HyperguideError(
      `The kernel of ${width}x${height} must have odd sides up to ${LARGEST_KERNEL}: pad it with zeros.`,
    );
  }
  if (height > picture.height || width > picture.width) {
    throw new HyperguideError("The kernel is larger than the picture: give a larger picture.");
  }
  let sum = 0;
  for (const value of values) {
    if (!(value >= 0 && Number.isFinite(value))) {
      throw new HyperguideError("The kernel has values that are negative, NaN or infinite.");
    }
    sum += value;
  }
  if (!(Math.abs(sum - 1) <= SUM_TOLERANCE)) {
    throw new HyperguideError(`The kernel sums up to ${sum} instead of 1: divide it by its sum.`);
  }
  return { values: values.map((value) => value / sum), shape: [1, 1, height, width] };
}
