/**
 * Guided enhancement in the browser.
 *
 *     import { load } from "hyperguide";
 *
 *     const enhancer = await load("models/denoise-fast.onnx");
 *     const { image, guidance } = await enhancer.enhance(photo, { strength: 0.8 });
 */

import type { Device, EngineInfo } from "./engine.js";
import type { Dials } from "./enhance.js";
import { HyperguideError, aborted } from "./errors.js";
import type { Answer, Opened, Reply, Request, Sent } from "./messages.js";
import type { PixelMap } from "./maps.js";
import type { Guidance, ModelInfo } from "./model-info.js";

export { HyperguideError };
export type { Device, Dials, EngineInfo, Guidance, ModelInfo, PixelMap };

/** Anything that shows a picture. */
export type ImageSource = ImageData | ImageBitmapSource;

export interface LoadOptions {
  /** `auto` (default): WebGPU where it is there and covers the model, otherwise WebAssembly. */
  readonly device?: Device;
  /** Of WebAssembly, on pages that are cross-origin isolated; by default up to four. */
  readonly threads?: number;
  /** Folder of ONNX Runtime's .wasm and .mjs files, if the bundler does not place them. */
  readonly wasmPaths?: string;
  /** The worker, if the bundler does not find it: `new Worker(url, { type: "module" })`. */
  readonly worker?: Worker;
  readonly signal?: AbortSignal;
}

/** Dials, and how a call is run. */
export interface Call extends Dials {
  /** Side of the tiles into which larger pictures are split; by default as memory allows. */
  readonly tile?: number;
  /** Is told the share that is done, of pictures that are split. */
  readonly onProgress?: (share: number) => void;
  /** Stops the call, between two tiles at the latest. */
  readonly signal?: AbortSignal;
}

export interface Result {
  readonly image: ImageData;
  /** The map that was used, with what it means; undefined at strength 0. */
  readonly guidance: (PixelMap & { readonly meaning: Guidance }) | undefined;
  /** How long it took, without waiting for calls before. */
  readonly milliseconds: number;
}

/**
 * Load a model file.
 *
 * @param source its address, or its bytes
 * @throws HyperguideError if it cannot be read, is no model of ours, was changed, or does not run
 */
export async function load(
  source: string | URL | Blob | ArrayBuffer | Uint8Array,
  options: LoadOptions = {},
): Promise<Enhancer> {
  const { content, where } = await read(source, options.signal);
  const worker =
    options.worker ?? new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
  const port = new Port(worker);
  try {
    const { device, threads, wasmPaths } = options;
    const opened = await port.ask<Opened>({
      kind: "open",
      content,
      where,
      options: { device, threads, wasmPaths },
    });
    return new Enhancer(port, opened);
  } catch (error) {
    port.close();
    throw error;
  }
}

/** A loaded model. Calls are served one after the other, in a worker. */
export class Enhancer {
  readonly info: ModelInfo;
  /** What runs the model, and why. */
  readonly engine: EngineInfo;
  private streams = 0;

  /** @internal */
  constructor(
    private readonly port: Port,
    opened: Opened,
  ) {
    this.info = opened.info;
    this.engine = opened.engine;
  }

  /**
   * Enhance a picture, in tiles if it is large.
   *
   * @throws HyperguideError for dials that do not fit, an AbortError if the call is stopped
   */
  async enhance(image: ImageSource, call: Call = {}): Promise<Result> {
    return this.call(await sent(image), call, undefined);
  }

  /**
   * Start a video, of which maps are smoothed over time.
   *
   * @param smoothing weight of the last frame's map where nothing moves, in [0, 1); by default the
   *     model's
   */
  async stream(smoothing: number = this.info.guidance.smoothing): Promise<Stream> {
    if (!(smoothing >= 0 && smoothing < 1)) {
      throw new HyperguideError(
        `The smoothing must be at least 0 and below 1, not ${smoothing}.`,
      );
    }
    const stream = ++this.streams;
    await this.port.ask({ kind: "stream", stream, smoothing });
    return new Stream(
      (picture, call) => this.call(picture, call, stream),
      (kind) => this.port.ask({ kind, stream }),
    );
  }

  /** Give the model up, and end its worker. Calls in progress fail. */
  close(): void {
    this.port.close();
  }

  private async call(picture: Sent, call: Call, stream: number | undefined): Promise<Result> {
    const { tile, onProgress, signal, ...dials } = call;
    if (tile !== undefined && !(Number.isInteger(tile) && tile > 0)) {
      throw new HyperguideError(`The tile must be a positive whole number of pixels, not ${tile}.`);
    }
    const answer = await this.port.ask<Answer>(
      { kind: "enhance", picture, dials, tile, stream },
      { transfer: ["close" in picture ? picture : picture.data.buffer], onProgress, signal },
    );
    const { data, width, height } = answer.picture;
    const meaning = this.info.guidance;
    return {
      image: new ImageData(data, width, height),
      guidance: answer.guidance === undefined ? undefined : { ...answer.guidance, meaning },
      milliseconds: answer.milliseconds,
    };
  }
}

/** One video. If frames come faster than they are enhanced, the newest one wins. */
export class Stream {
  private isBusy = false;
  private waiting: { image: Sent; call: Call; resolve: Settle; reject: Reject } | undefined;

  /** @internal */
  constructor(
    private readonly run: (picture: Sent, call: Call) => Promise<Result>,
    private readonly tell: (kind: "reset" | "end") => Promise<unknown>,
  ) {}

  /** Enhance the next frame. Gives undefined if a newer frame came before its turn. */
  async enhance(frame: ImageSource, call: Call = {}): Promise<Result | undefined> {
    const image = await sent(frame);
    return new Promise((resolve, reject) => {
      this.drop();
      this.waiting = { image, call, resolve, reject };
      void this.serve();
    });
  }

  /** Forget the frames so far, as before another scene. */
  async reset(): Promise<void> {
    await this.tell("reset");
  }

  async close(): Promise<void> {
    this.drop();
    await this.tell("end");
  }

  private async serve(): Promise<void> {
    if (this.isBusy) return;
    this.isBusy = true;
    for (let next = this.take(); next !== undefined; next = this.take()) {
      try {
        next.resolve(await this.run(next.image, next.call));
      } catch (error) {
        next.reject(error);
      }
    }
    this.isBusy = false;
  }

  private take(): typeof this.waiting {
    const next = this.waiting;
    this.waiting = undefined;
    return next;
  }

  private drop(): void {
    const dropped = this.take();
    if (dropped === undefined) return;
    if ("close" in dropped.image) dropped.image.close();
    dropped.resolve(undefined);
  }
}

type Settle = (result: Result | undefined) => void;
type Reject = (error: unknown) => void;

interface Ask {
  readonly transfer?: Transferable[];
  readonly onProgress?: ((share: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

interface Pending {
  readonly resolve: (value: never) => void;
  readonly reject: Reject;
  readonly onProgress: ((share: number) => void) | undefined;
}

/** Sends requests to a worker, and settles each with its reply. */
class Port {
  private readonly pending = new Map<number, Pending>();
  private count = 0;

  constructor(private readonly worker: Worker) {
    worker.onmessage = ({ data }: MessageEvent<Reply>) => {
      const call = this.pending.get(data.id);
      if ("share" in data) {
        call?.onProgress?.(data.share);
        return;
      }
      this.pending.delete(data.id);
      if ("error" in data) {
        call?.reject(data.isOurs ? new HyperguideError(data.error) : new Error(data.error));
      } else {
        call?.resolve(data.value as never);
      }
    };
    worker.onerror = (event) => {
      this.fail(new HyperguideError(`The worker does not start: ${event.message || "not found"}.`));
    };
  }

  ask<Value>(request: Request, { transfer = [], onProgress, signal }: Ask = {}): Promise<Value> {
    const id = ++this.count;
    return new Promise<Value>((resolve, reject) => {
      signal?.throwIfAborted();
      this.pending.set(id, { resolve, reject, onProgress });
      this.worker.postMessage({ id, request }, transfer);
      signal?.addEventListener("abort", () => {
        if (!this.pending.delete(id)) return;
        this.worker.postMessage({ id, request: { kind: "stop", call: id } });
        reject(aborted());
      });
    });
  }

  close(): void {
    this.worker.terminate();
    this.fail(aborted());
  }

  private fail(error: unknown): void {
    for (const { reject } of this.pending.values()) reject(error);
    this.pending.clear();
  }
}

async function read(
  source: string | URL | Blob | ArrayBuffer | Uint8Array,
  signal: AbortSignal | undefined,
): Promise<{ content: Uint8Array; where: string }> {
  const where = "The model file";
  if (source instanceof Uint8Array) return { content: source, where };
  if (source instanceof ArrayBuffer) return { content: new Uint8Array(source), where };
  if (source instanceof Blob) return { content: new Uint8Array(await source.arrayBuffer()), where };
  const address = String(source);
  let response: Response;
  try {
    response = await fetch(address, signal === undefined ? {} : { signal });
  } catch (error) {
    if (signal?.aborted === true) throw error;
    throw new HyperguideError(`${address} cannot be loaded: check the address and the network.`);
  }
  if (!response.ok) {
    throw new HyperguideError(`${address} cannot be loaded: the server says ${response.status}.`);
  }
  return { content: new Uint8Array(await response.arrayBuffer()), where: address };
}

/** A picture in a form that can be given away to the worker. */
async function sent(image: ImageSource): Promise<Sent> {
  if (image instanceof ImageData) {
    const data = image.data.slice();
    return { data, width: image.width, height: image.height };
  }
  try {
    return await createImageBitmap(image, { premultiplyAlpha: "none" });
  } catch {
    throw new HyperguideError("This is no picture that the browser can show: give another file.");
  }
}
