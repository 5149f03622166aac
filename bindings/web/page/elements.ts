/** Elements of the page. */

/** An element of index.html. */
export function element<Kind extends HTMLElement>(id: string, kind: new () => Kind): Kind {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new Error(`There is no ${kind.name} '${id}' in index.html.`);
  return found;
}

/** The drawing context of a canvas, in memory: pixels come from there, and are read again. */
export function contextOf(canvas: HTMLCanvasElement): CanvasRenderingContext2D {
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (context === null) throw new Error("This browser gives no memory for a picture.");
  return context;
}

/** A slider with the number that it shows. */
export class Slider {
  private readonly input: HTMLInputElement;
  private readonly output: HTMLOutputElement;

  /** format: what is shown of a value. onInput: called when the user moves the slider. */
  constructor(
    id: string,
    private readonly format: (value: number) => string,
    onInput: () => void,
  ) {
    this.input = element(id, HTMLInputElement);
    const output = document.querySelector(`output[for="${id}"]`);
    if (!(output instanceof HTMLOutputElement)) throw new Error(`'${id}' shows no number.`);
    this.output = output;
    this.input.addEventListener("input", () => {
      this.show();
      onInput();
    });
    this.show();
  }

  get value(): number {
    return this.input.valueAsNumber;
  }

  set value(value: number) {
    this.input.valueAsNumber = value;
    this.show();
  }

  /** Show the slider with its label, or hide both. */
  set isShown(isShown: boolean) {
    const box = this.input.closest<HTMLElement>(".dial");
    if (box !== null) box.hidden = !isShown;
  }

  /** Change the ends of the slider. */
  setRange(least: number, most: number, step: number): void {
    Object.assign(this.input, { min: String(least), max: String(most), step: String(step) });
    this.show();
  }

  private show(): void {
    const text = this.format(this.value);
    this.output.textContent = text;
    this.input.setAttribute("aria-valuetext", text);
  }
}
