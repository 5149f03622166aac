/** Frames of one video in order, with maps smoothed over time. */

import type { Dials, Enhanced, Network, Run } from "./enhance.js";
import { resized, type PixelMap } from "./maps.js";
import type { Picture } from "./pixels.js";
import { difference, isCut, reduced, stillness } from "./stillness.js";

/** Noise of videos for tasks whose map does not tell it: that of good cameras, full scale = 1. */
const USUAL_NOISE = 4 / 255;

interface Before {
  readonly glance: PixelMap;
  readonly guidance: PixelMap;
}

/**
 * What is remembered of a video.
 *
 * Maps that are predicted for each frame on its own flicker, and the pictures with them. So the map
 * of a frame is mixed with that of the frame before, except where the picture moves, after a cut, or
 * when the frame size changes.
 */
export class Frames {
  private before: Before | undefined;

  constructor(
    private readonly network: Network,
    /** Weight of the last frame's map where nothing moves, in [0, 1). */
    private readonly smoothing: number,
  ) {}

  async enhance(frame: Picture, dials: Dials, run: Run = {}): Promise<Enhanced> {
    if (dials.guidance !== undefined || this.smoothing === 0) {
      return this.network.enhance(frame, dials, run);
    }
    const glance = reduced(frame);
    const result = await this.network.enhance(frame, { ...dials, ...this.memory(frame, glance) }, run);
    if (result.guidance !== undefined) this.before = { glance, guidance: result.guidance };
    return result;
  }

  /** Forget the frames so far. */
  reset(): void {
    this.before = undefined;
  }

  private memory({ width, height }: Picture, glance: PixelMap): Dials {
    const { before } = this;
    if (before?.guidance.width !== width || before.guidance.height !== height) return {};
    const change = difference(glance, before.glance);
    if (isCut(change)) return {};
    const isNoise = this.network.info.guidance.name === "noise_level";
    const still = stillness(change, isNoise ? before.guidance : USUAL_NOISE);
    const mix = { ...still, values: still.values.map((share) => this.smoothing * share) };
    return { guidance: before.guidance, guidanceMix: resized(mix, width, height) };
  }
}
