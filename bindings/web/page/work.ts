/** Shows that something takes long, how far it is, and lets the user end it. */

import { element } from "./elements.js";

/** What ends sooner is not shown, in milliseconds. */
const PATIENCE = 300;

export class Work {
  private readonly busy = element("sheet", HTMLElement);
  private readonly box = element("work", HTMLElement);
  private readonly bar = element("progress", HTMLProgressElement);
  private readonly text = element("doing", HTMLElement);
  private readonly running = new Set<symbol>();
  private start = 0;
  private doing = "";

  /** onCancel: ends all that was begun. */
  constructor(onCancel: () => void) {
    element("cancel", HTMLButtonElement).addEventListener("click", () => {
      onCancel();
      this.running.clear();
      this.show();
    });
  }

  /** Begin something. Gives what ends it. */
  begin(text: string): () => void {
    const job = Symbol(text);
    this.running.add(job);
    this.say(text);
    this.show();
    setTimeout(() => {
      if (this.running.has(job)) this.box.hidden = false;
    }, PATIENCE);
    return () => {
      this.running.delete(job);
      this.show();
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

  private show(): void {
    const isBusy = this.running.size > 0;
    this.busy.setAttribute("aria-busy", String(isBusy));
    if (isBusy) return;
    if (this.box.contains(document.activeElement)) element("open", HTMLElement).focus();
    this.box.hidden = true;
  }
}
