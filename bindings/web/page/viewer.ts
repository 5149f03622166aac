/** Shows a picture before and after, with a divider between the two. */

import { HyperguideError } from "../src/index.js";
import { contextOf, element } from "./elements.js";

export class Viewer {
  readonly before = element("before", HTMLCanvasElement);
  readonly after = element("after", HTMLCanvasElement);
  private readonly frame = element("frame", HTMLElement);
  private readonly sheet = element("sheet", HTMLElement);

  constructor() {
    const split = element("split", HTMLInputElement);
    const full = element("full", HTMLInputElement);
    const show = (): void => {
      this.sheet.style.setProperty("--split", `${split.value}%`);
      split.setAttribute("aria-valuetext", `${Math.round(split.valueAsNumber)} % before`);
    };
    split.addEventListener("input", show);
    // Safari on phones moves sliders only by their thumbs.
    const follow = (event: PointerEvent): void => {
      if (event.buttons === 0) return;
      const { left, width } = split.getBoundingClientRect();
      split.valueAsNumber = (100 * (event.clientX - left)) / width;
      show();
    };
    split.addEventListener("pointerdown", follow);
    split.addEventListener("pointermove", follow);
    full.addEventListener("change", () => {
      this.frame.classList.toggle("is-full", full.checked);
    });
  }

  /**
   * Show a new picture; until it is enhanced, also as the result.
   *
   * Throws HyperguideError if this browser has no canvas of its size.
   */
  showInput(picture: ImageBitmap): void {
    this.resize(picture);
    const { width, height } = picture;
    for (const context of [this.before, this.after].map(contextOf)) {
      context.fillRect(0, 0, 1, 1);
      if (context.getImageData(0, 0, 1, 1).data[3] === 0) {
        throw new HyperguideError(
          `A picture of ${width} x ${height} pixels is too large for this browser: use the Python package.`,
        );
      }
      context.clearRect(0, 0, width, height);
      context.drawImage(picture, 0, 0);
    }
  }

  showResult(image: ImageData): void {
    contextOf(this.after).putImageData(image, 0, 0);
  }

  /** Show a frame of a video with its result. */
  showFrame(frame: ImageData, image: ImageData): void {
    this.resize(frame);
    contextOf(this.before).putImageData(frame, 0, 0);
    this.showResult(image);
  }

  private resize({ width, height }: { width: number; height: number }): void {
    for (const canvas of [this.before, this.after]) {
      // Setting a size clears a canvas.
      if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    }
    this.sheet.style.setProperty("--ratio", String(width / height));
    this.sheet.style.setProperty("--columns", String(width / devicePixelRatio));
  }
}
