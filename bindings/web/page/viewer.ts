/** Shows a picture before and after, with a divider between the two. */

import { contextOf, element } from "./elements.js";

export class Viewer {
  readonly before = element("before", HTMLCanvasElement);
  readonly after = element("after", HTMLCanvasElement);
  private readonly frame = element("frame", HTMLElement);
  private readonly sheet = element("sheet", HTMLElement);

  constructor() {
    const split = element("split", HTMLInputElement);
    const full = element("full", HTMLInputElement);
    split.addEventListener("input", () => {
      this.sheet.style.setProperty("--split", `${split.value}%`);
      split.setAttribute("aria-valuetext", `${Math.round(split.valueAsNumber)} % before`);
    });
    full.addEventListener("change", () => {
      this.frame.classList.toggle("is-full", full.checked);
    });
  }

  /** Show a new picture; until it is enhanced, also as the result. */
  showInput(picture: ImageBitmap): void {
    this.resize(picture);
    for (const canvas of [this.before, this.after]) contextOf(canvas).drawImage(picture, 0, 0);
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
