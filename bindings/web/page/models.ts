/** The models of the page, of which one is loaded at a time. */

import { load, type Enhancer, type ModelInfo } from "../src/index.js";

export type Task = ModelInfo["task"];

export class Models {
  private name = "";
  private loading: Promise<Enhancer> | undefined;

  /** The model of a task; for cameras the fastest one. */
  async get(task: Task, isLive: boolean): Promise<Enhancer> {
    const name = isLive && task === "denoise" ? "denoise-live" : `${task}-fast`;
    if (name !== this.name || this.loading === undefined) {
      const before = this.loading;
      this.name = name;
      this.loading = load(new URL(`models/${name}.onnx`, document.baseURI));
      before?.then((enhancer) => {
        enhancer.close();
      }, Boolean);
    }
    const { loading } = this;
    try {
      return await loading;
    } catch (error) {
      if (this.loading === loading) this.loading = undefined; // so that it is tried again
      throw error;
    }
  }
}
