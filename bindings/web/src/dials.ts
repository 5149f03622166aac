/** Checks what a model is told about a picture. */

import type { Dials } from "./enhance.js";
import { HyperguideError } from "./errors.js";
import type { PixelMap } from "./maps.js";
import type { ModelInfo } from "./model-info.js";

interface Size {
  readonly width: number;
  readonly height: number;
}

const LARGEST_KERNEL = 255;
const SUM_TOLERANCE = 1e-3;
/** Maps come from float arithmetic, and may exceed the range by a rounding error. */
const ROUNDING = 1e-5;

/** Throws HyperguideError unless the dials fit the picture and the model. */
export function check(picture: Size, dials: Dials, info: ModelInfo): void {
  checkNumber("strength", dials.strength);
  checkNumber("guidance scale", dials.guidanceScale);
  if (dials.guidance !== undefined) {
    const { minimum, maximum, name } = info.guidance;
    checkMap(`guidance map (${name})`, dials.guidance, minimum, maximum);
    if (dials.guidanceMix !== undefined) checkMap("guidance mix", dials.guidanceMix, 0, 1);
  }
  if (dials.kernel === undefined) return;
  if (!info.takesKernel) {
    throw new HyperguideError(`A ${info.task} model takes no kernel: leave it out.`);
  }
  checkKernel(dials.kernel, picture);
}

export function checkTile(tile: number | undefined): void {
  if (tile !== undefined && !(Number.isInteger(tile) && tile > 0)) {
    throw new HyperguideError(`The tile must be a positive whole number of pixels, not ${tile}.`);
  }
}

function checkNumber(what: string, value: number | undefined): void {
  if (value !== undefined && !(value >= 0 && Number.isFinite(value))) {
    throw new HyperguideError(`The ${what} must be a number of at least 0, not ${value}.`);
  }
}

function checkMap(what: string, given: PixelMap | number, least: number, most: number): void {
  if (!isNumberOrMap(given)) {
    throw new HyperguideError(
      `The ${what} must be a number, or a map with values (a Float32Array), width and height.`,
    );
  }
  const values = typeof given === "number" ? [given] : given.values;
  for (const value of values) {
    if (!(value >= least - ROUNDING && value <= most + ROUNDING)) {
      throw new HyperguideError(
        `The ${what} has the value ${value}, outside ${least} to ${most}: give values in that range.`,
      );
    }
  }
  if (typeof given === "number") return;
  if (values.length === 0 || values.length !== given.width * given.height) {
    throw new HyperguideError(
      `The ${what} of ${given.width}x${given.height} has ${values.length} values: ` +
        "give one for each of its pixels.",
    );
  }
}

/** Callers in JavaScript may give anything. */
function isNumberOrMap(given: unknown): given is PixelMap | number {
  if (typeof given === "number") return true;
  return given instanceof Object && "values" in given && given.values instanceof Float32Array;
}

function checkKernel({ values, width, height }: PixelMap, picture: Size): void {
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
      throw new HyperguideError(
        "The kernel has values that are negative, NaN or infinite: mend or remove it.",
      );
    }
    sum += value;
  }
  if (!(Math.abs(sum - 1) <= SUM_TOLERANCE)) {
    throw new HyperguideError(`The kernel sums up to ${sum} instead of 1: divide it by its sum.`);
  }
}
