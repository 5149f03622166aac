/** Enhances what a camera sees. */

import type { Call, Enhancer, Result } from "../src/index.js";
import { HyperguideError } from "../src/index.js";
import { videoPixels } from "../src/video-pixels.js";
import { contextOf } from "./elements.js";

const WANTED = { width: { ideal: 640 }, height: { ideal: 480 }, facingMode: { ideal: "user" } };
/** Results from which the frame rate is computed. */
const COUNTED = 20;
/** How often a camera without frames is looked at, in milliseconds. */
const WATCH = 200;
const UNPLUGGED = "The camera was disconnected: connect it, and turn it on again.";

export interface Shown {
  readonly frame: ImageData;
  readonly result: Result;
  /** Of results per second; undefined for the first. */
  readonly rate: number | undefined;
}

/** A camera that is on. */
export class Camera {
  private isOpen = true; // until it is closed, which may be during any wait
  /** For browsers that give the pixels of videos only to canvases. */
  private readonly canvas = document.createElement("canvas");

  private constructor(
    private readonly media: MediaStream,
    private readonly video: HTMLVideoElement,
  ) {}

  /** Turn a camera on. Throws HyperguideError if there is none, or the user refuses. */
  static async open(): Promise<Camera> {
    // Browsers leave it out on pages from http.
    const devices = navigator.mediaDevices as MediaDevices | undefined;
    if (devices === undefined) {
      throw new HyperguideError("This page may not use a camera: open it from https or localhost.");
    }
    let media: MediaStream;
    try {
      media = await devices.getUserMedia({ video: WANTED, audio: false });
    } catch (error) {
      throw new HyperguideError(reason(error));
    }
    const video = document.createElement("video");
    Object.assign(video, { srcObject: media, muted: true, playsInline: true });
    try {
      await video.play();
    } catch {
      for (const track of media.getTracks()) track.stop();
      throw new HyperguideError("The camera gives no picture: close other programs that use it.");
    }
    return new Camera(media, video);
  }

  /**
   * Enhance the newest frame, again and again, until the camera is closed. In the background the
   * browser gives no frames.
   *
   * call: the dials of the next frame. Throws HyperguideError if the camera is unplugged.
   */
  async run(enhancer: Enhancer, call: () => Call, show: (shown: Shown) => void): Promise<void> {
    const stream = await enhancer.stream();
    const times: number[] = [];
    const forget = (): void => {
      times.length = 0;
      if (!document.hidden) void stream.reset().catch(() => undefined); // the model may be closed
    };
    document.addEventListener("visibilitychange", forget);
    try {
      while (await this.nextFrame()) {
        const frame = await this.grab();
        if (this.isClosed()) return;
        const result = await stream.enhance(frame, call());
        if (result !== undefined && !this.isClosed()) {
          times.push(performance.now());
          if (times.length > COUNTED) times.shift();
          show({ frame, result, rate: rateOf(times) });
        }
      }
    } finally {
      document.removeEventListener("visibilitychange", forget);
      void stream.close().catch(() => undefined);
      this.close();
    }
  }

  close(): void {
    this.isOpen = false;
    for (const track of this.media.getTracks()) track.stop();
    this.video.srcObject = null;
  }

  private isClosed(): boolean {
    return !this.isOpen;
  }

  /** The pixels of the frame that the camera shows. */
  private async grab(): Promise<ImageData> {
    const pixels = await videoPixels(this.video);
    if (pixels !== undefined) return pixels;
    const { videoWidth: width, videoHeight: height } = this.video;
    Object.assign(this.canvas, { width, height });
    const context = contextOf(this.canvas);
    context.drawImage(this.video, 0, 0);
    return context.getImageData(0, 0, width, height);
  }

  /** Wait for a frame; false if the camera was closed. */
  private nextFrame(): Promise<boolean> {
    return new Promise((resolve, reject) => {
      const settle = (act: () => void): void => {
        clearInterval(watch);
        act();
      };
      // A camera without frames tells nothing, whether it was closed or unplugged.
      const watch = setInterval(() => {
        const isEnded = this.media.getVideoTracks().every(({ readyState }) => readyState === "ended");
        if (!this.isOpen) settle(() => { resolve(false); });
        else if (isEnded) settle(() => { reject(new HyperguideError(UNPLUGGED)); });
      }, WATCH);
      const onFrame = (): void => {
        settle(() => { resolve(this.isOpen); });
      };
      if ("requestVideoFrameCallback" in this.video) this.video.requestVideoFrameCallback(onFrame);
      else requestAnimationFrame(onFrame);
    });
  }
}

function rateOf(times: readonly number[]): number | undefined {
  const [first, last] = [times[0], times.at(-1)];
  if (first === undefined || last === undefined || last <= first) return undefined;
  return (1000 * (times.length - 1)) / (last - first);
}

/** Why a browser gives no camera, and what to do. */
function reason(error: unknown): string {
  switch (error instanceof DOMException ? error.name : "") {
    case "NotAllowedError":
      return "The camera was refused: allow it for this page in the browser's settings, and try again.";
    case "NotFoundError":
      return "There is no camera: connect one, and try again.";
    case "NotReadableError":
    case "AbortError":
      return "The camera is in use: close other programs that use it, and try again.";
    default:
      return `The camera cannot be used (${error instanceof Error ? error.message : String(error)}).`;
  }
}
