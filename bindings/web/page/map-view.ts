/** Shows a map in false colour, and lets the user paint on it. */

import type { Guidance, PixelMap } from "../src/index.js";
import { contextOf } from "./elements.js";
import { colorize, cssColor } from "./palette.js";
import { Painting } from "./painting.js";

/** Cells of the longer side of what is shown and painted on. */
const LONGEST = 400;
const KEYS: Readonly<Record<string, readonly [number, number]>> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
};

export interface Brush {
  /** In the map's unit. */
  readonly value: number;
  /** Diameter, in percent of the longer side. */
  readonly size: number;
}

export class MapView {
  private shown: PixelMap | undefined;
  private meaning: Guidance | undefined;
  private painting = new Painting(1, 1);
  private cursor: readonly [number, number] | undefined;
  private isPainting = false;

  /**
   * brush: what is painted with. onPaint: called when the painting has changed. onRead: called with
   * the value below the brush.
   */
  constructor(
    private readonly canvas: HTMLCanvasElement,
    private readonly brush: () => Brush,
    private readonly onPaint: () => void,
    private readonly onRead: (value: number) => void,
  ) {
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || this.shown === undefined) return;
      canvas.setPointerCapture(event.pointerId);
      this.begin();
      this.move(this.placeOf(event));
    });
    canvas.addEventListener("pointermove", (event) => {
      this.move(this.placeOf(event));
    });
    for (const name of ["pointerup", "pointercancel"] as const) {
      canvas.addEventListener(name, () => (this.isPainting = false));
    }
    canvas.addEventListener("pointerleave", () => {
      this.cursor = undefined;
      this.draw();
    });
    canvas.addEventListener("keydown", (event) => {
      this.onKey(event);
    });
    canvas.addEventListener("blur", () => {
      this.cursor = undefined;
      this.draw();
    });
  }

  /** What is told the network of the painting. */
  get dials(): Painting["dials"] {
    return this.painting.dials;
  }

  get isPainted(): boolean {
    return !this.painting.isEmpty;
  }

  /** Show the map of a picture of another size: the painting is lost. */
  resize(width: number, height: number): void {
    const factor = Math.min(LONGEST / Math.max(width, height), 1);
    const [columns, rows] = [width, height].map((side) => Math.max(Math.round(side * factor), 1));
    Object.assign(this.canvas, { width: columns, height: rows });
    this.canvas.style.setProperty("--ratio", String(width / height));
    this.painting = new Painting(columns ?? 1, rows ?? 1);
    this.forget();
  }

  /** Show no map, and do not let the user paint, until there is another one. */
  forget(): void {
    this.shown = undefined;
    this.cursor = undefined;
    this.isPainting = false;
    contextOf(this.canvas).clearRect(0, 0, this.canvas.width, this.canvas.height);
  }

  /** Show a map, which has the painting in it. */
  show(map: PixelMap, meaning: Guidance): void {
    this.meaning = meaning;
    this.shown = sampled(map, this.canvas.width, this.canvas.height);
    this.draw(false);
  }

  undo(): void {
    this.painting.undo();
    this.onPaint();
  }

  clear(): void {
    this.isPainting = false;
    this.painting.clear();
    this.onPaint();
  }

  private begin(): void {
    this.isPainting = true;
    this.painting.begin();
  }

  private move(place: readonly [number, number]): void {
    this.cursor = place;
    if (this.isPainting) {
      this.painting.dab(...place, this.radius(), this.brush().value);
      this.onPaint();
    }
    this.draw();
    const [x, y] = place.map(Math.floor);
    const cell = (y ?? 0) * this.canvas.width + (x ?? 0);
    const value = this.shown?.values[cell];
    if (value !== undefined) this.onRead(this.painting.over(value, cell));
  }

  private onKey(event: KeyboardEvent): void {
    const { width, height } = this.canvas;
    const [x, y] = this.cursor ?? [width / 2, height / 2];
    const step = KEYS[event.key];
    if (step === undefined && event.key !== " ") return;
    if (this.shown === undefined) return;
    event.preventDefault();
    if (step === undefined) {
      this.begin();
      this.move([x, y]);
      this.isPainting = false;
      return;
    }
    const by = this.radius() / (event.shiftKey ? 4 : 1);
    this.move([
      Math.min(Math.max(x + by * step[0], 0), width - 1),
      Math.min(Math.max(y + by * step[1], 0), height - 1),
    ]);
  }

  private radius(): number {
    return Math.max((this.brush().size / 200) * Math.max(this.canvas.width, this.canvas.height), 1);
  }

  private placeOf(event: PointerEvent): [number, number] {
    const { left, top, width, height } = this.canvas.getBoundingClientRect();
    return [
      ((event.clientX - left) / width) * this.canvas.width,
      ((event.clientY - top) / height) * this.canvas.height,
    ];
  }

  /** painted: whether to draw the painting over the map, which may not have it yet. */
  private draw(painted = true): void {
    const { shown, meaning, canvas } = this;
    if (shown === undefined || meaning === undefined) return;
    const picture = new ImageData(shown.width, shown.height);
    const range = meaning.maximum - meaning.minimum;
    shown.values.forEach((value, cell) => {
      const now = painted ? this.painting.over(value, cell) : value;
      colorize((now - meaning.minimum) / range, picture.data, cell);
    });
    const context = contextOf(canvas);
    context.putImageData(picture, 0, 0);
    if (this.cursor === undefined) return;
    context.beginPath();
    context.arc(...this.cursor, this.radius(), 0, 2 * Math.PI);
    context.lineWidth = 3;
    context.strokeStyle = "#000";
    context.stroke();
    context.lineWidth = 1.5;
    context.strokeStyle = "#fff";
    context.stroke();
    context.fillStyle = cssColor((this.brush().value - meaning.minimum) / range);
    context.beginPath();
    context.arc(...this.cursor, 3, 0, 2 * Math.PI);
    context.fill();
    context.stroke();
  }
}

/** Values of a map at the centres of fewer cells. */
function sampled(map: PixelMap, width: number, height: number): PixelMap {
  const values = new Float32Array(width * height);
  for (let y = 0; y < height; y++) {
    const row = Math.floor(((y + 0.5) / height) * map.height) * map.width;
    for (let x = 0; x < width; x++) {
      values[y * width + x] = map.values[row + Math.floor(((x + 0.5) / width) * map.width)] ?? 0;
    }
  }
  return { values, width, height };
}
