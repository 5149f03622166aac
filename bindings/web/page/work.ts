/** Shows that something takes long, how far it is, and lets the user end it. */

import { element } from "./elements.js";

/** What ends sooner is not shown, in milliseconds. */
const PATIENCE = 300;

export class Work {
  private readonly page = element("main", HTMLElement);
  private readonly box = element("work", HTMLElement);
  private readonly bar = element("progress", HTMLProgressElement);
  private readonly text = element("doing", HTMLElement);
  private count = 0;
  private start = 0;
  private doing = "";

  constructor(onCancel: () => void) {
    element("cancel", HTMLButtonElement).addEventListener("click", onCancel);
  }

  /** Begin something. Gives what ends it. */
  begin(text: string): () => void {
    const number = ++this.count;
    this.say(text);
    this.page.ariaBusy = "true";
    setTimeout(() => {
      if (number === this.count) this.box.hidden = false;
    }, PATIENCE);
    return () => {
      if (number !== this.count) return;
      this.count++;
      this.box.hidden = true;
      this.page.ariaBusy = "false";
    };
  }

  /** Say what is done now, of which nothing is known yet. */
  say(text: string): void {
    this.doing = text;
    this.start = performance.now();
    this.bar.removeAttribute("value");
    this.text.textContent = `${text} …`;
  }

  /** Show the share that is done, and the time that is left. */
  progress(share: number): void {
    this.bar.value = share;
    const left = ((performance.now() - this.start) * (1 - share)) / Math.max(share, 1e-6) / 1000;
    this.text.textContent = `${this.doing} … ${Math.round(100 * share)} %, ${Math.ceil(left)} s left`;
  }
}
