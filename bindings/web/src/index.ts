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
import { HyperguideError } from "./errors.js";
import type { Answer, Opened, Reply, Request, Sent } from "./messages.js";
import type { PixelMap } from "./maps.js";
import type { Guidance, ModelInfo } from "./model-info.js";
import { videoPixels } from "./video-pixels.js";

export { HyperguideError };
export type { Device, Dials, EngineInfo, Guidance, ModelInfo, PixelMap };

/** Anything that shows a picture. */
export type ImageSource = ImageData | ImageBitmapSource;

export interface LoadOptions {
  /** `auto` (default): WebGPU where it is there and covers the model, otherwise WebAssembly. */
  readonly device?: Device | undefined;
  /** Of WebAssembly, on pages that are cross-origin isolated; by default up to four. */
  readonly threads?: number | undefined;
  /**
   * Folder of ONNX Runtime's .wasm and .mjs files, with a slash at its end, if the bundler does not
   * place them.
   */
  readonly wasmPaths?: string | undefined;
  /**
   * The worker, if the bundler does not find it: `new Worker(url, { type: "module" })`. It serves
   * only this model, and ends with it.
   */
  readonly worker?: Worker | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Dials, and how a call is run. */
export interface Call extends Dials {
  /** Side of the tiles into which larger pictures are split; by default as memory allows. */
  readonly tile?: number | undefined;
  /** Called with the share that is done, for pictures that are split. */
  readonly onProgress?: ((share: number) => void) | undefined;
  /** Stops the call; a picture that is not split is still finished in the worker. */
  readonly signal?: AbortSignal | undefined;
}

export interface Result {
  readonly image: ImageData;
  /** The map that was used, with what it means; undefined at strength 0. */
  readonly guidance: (PixelMap & { readonly meaning: Guidance }) | undefined;
  /** How long it took, not counting the calls before it. */
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
  const { signal } = options;
  const { content, where } = await read(source, signal);
  signal?.throwIfAborted();
  const worker =
    options.worker ?? new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
  const port = new Port(worker);
  try {
    const { device, threads, wasmPaths } = options;
    const opened = await port.ask<Opened>(
      { kind: "open", content, where, options: { device, threads, wasmPaths } },
      { signal },
    );
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
    return this.run(await sent(image), call, undefined);
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
      (picture, call) => this.run(picture, call, stream),
      (kind) => this.port.ask({ kind, stream }),
    );
  }

  /** Unload the model and end its worker. Calls that are not finished fail, as do later ones. */
  close(): void {
    this.port.close();
  }

  private async run(picture: Sent, call: Call, stream: number | undefined): Promise<Result> {
    const { tile, onProgress, signal, ...dials } = call;
    let answer: Answer;
    try {
      answer = await this.port.ask<Answer>(
        { kind: "enhance", picture, dials, tile, stream },
        { transfer: ["close" in picture ? picture : picture.data.buffer], onProgress, signal },
      );
    } catch (error) {
      if ("close" in picture) picture.close(); // if it was not sent
      throw error;
    }
    const { data, width, height } = answer.picture;
    const colorSpace = "close" in picture ? "srgb" : (picture.colorSpace ?? "srgb");
    const meaning = this.info.guidance;
    return {
      image: new ImageData(data, width, height, { colorSpace }),
      guidance: answer.guidance === undefined ? undefined : { ...answer.guidance, meaning },
      milliseconds: answer.milliseconds,
    };
  }
}

/** One video. If frames come faster than they are enhanced, the newest one wins. */
export class Stream {
  private isBusy = false;
  /** Numbers of the frame that came last, and of the last one that was accepted. */
  private count = 0;
  private accepted = 0;
  private waiting: { image: Sent; call: Call; resolve: Settle; reject: Reject } | undefined;

  /** @internal */
  constructor(
    private readonly run: (picture: Sent, call: Call) => Promise<Result>,
    private readonly tell: (kind: "reset" | "end") => Promise<unknown>,
  ) {}

  /** Enhance the next frame. Gives undefined if a newer frame came before its turn. */
  async enhance(frame: ImageSource, call: Call = {}): Promise<Result | undefined> {
    const number = ++this.count; // pictures are not decoded in the order in which they come
    const image = await sent(frame);
    if (number < this.accepted) {
      if ("close" in image) image.close();
      return undefined;
    }
    this.accepted = number;
    return new Promise((resolve, reject) => {
      this.drop();
      this.waiting = { image, call, resolve, reject };
      void this.serve();
    });
  }

  /** Forget the frames so far, as before another scene. */
  async reset(): Promise<void> {
    this.drop(); // it belongs to the scene before
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
  /** Why there are no more calls. */
  private end: Error | undefined;

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
      this.fail(new HyperguideError(`The worker failed: ${event.message || "it was not found"}.`));
    };
    worker.onmessageerror = () => {
      this.fail(new HyperguideError("The worker's answer cannot be read: load the model again."));
    };
  }

  ask<Value>(request: Request, { transfer = [], onProgress, signal }: Ask = {}): Promise<Value> {
    const id = ++this.count;
    const settled = new AbortController(); // ends listening to the signal
    const answer = new Promise<Value>((resolve, reject) => {
      signal?.throwIfAborted();
      if (this.end !== undefined) throw this.end;
      post(this.worker, id, request, transfer);
      this.pending.set(id, { resolve, reject, onProgress });
      const onAbort = (): void => {
        if (!this.pending.delete(id)) return;
        this.worker.postMessage({ id, request: { kind: "stop", call: id } });
        reject(signal?.reason as Error);
      };
      signal?.addEventListener("abort", onAbort, { signal: settled.signal });
    });
    return answer.finally(() => {
      settled.abort();
    });
  }

  close(): void {
    this.worker.terminate();
    this.fail(new DOMException("The model was closed.", "AbortError"));
  }

  private fail(error: Error): void {
    this.end = error;
    for (const { reject } of this.pending.values()) reject(error);
    this.pending.clear();
  }
}

/** Throws HyperguideError for what cannot be sent. */
function post(worker: Worker, id: number, request: Request, transfer: Transferable[]): void {
  try {
    worker.postMessage({ id, request }, transfer);
  } catch {
    throw new HyperguideError(
      "The picture or a dial cannot be given to the worker: load pictures of other sites with " +
        "crossOrigin, and give maps as plain Float32Arrays.",
    );
  }
}

async function read(
  source: string | URL | Blob | ArrayBuffer | Uint8Array,
  signal: AbortSignal | undefined,
): Promise<{ content: Uint8Array; where: string }> {
  const where = "The model file";
  if (source instanceof Uint8Array) return { content: source.slice(), where };
  if (source instanceof ArrayBuffer) return { content: new Uint8Array(source), where };
  if (source instanceof Blob) return { content: new Uint8Array(await source.arrayBuffer()), where };
  const address = String(source);
  try {
    const response = await fetch(address, signal === undefined ? {} : { signal });
    if (response.ok) return { content: new Uint8Array(await response.arrayBuffer()), where: address };
    throw new HyperguideError(`${address} cannot be loaded: the server says ${response.status}.`);
  } catch (error) {
    if (signal?.aborted === true || error instanceof HyperguideError) throw error;
    throw new HyperguideError(`${address} cannot be loaded: check the address and the network.`);
  }
}

/** A picture in a form that can be given away to the worker. */
async function sent(image: ImageSource): Promise<Sent> {
  if (image instanceof ImageData) {
    if (!(image.data instanceof Uint8ClampedArray)) {
      throw new HyperguideError("Pictures of floats are not supported: give ImageData of bytes.");
    }
    return membersOf(image, image.data.slice());
  }
  try {
    const pixels = isVideo(image) ? await videoPixels(image) : undefined;
    return pixels === undefined ? await createImageBitmap(image) : membersOf(pixels);
  } catch {
    throw new HyperguideError(
      "This is no picture that the browser can show, or a video without a frame yet: give another " +
        "one, or wait until it is loaded.",
    );
  }
}

/** Not as ImageData, whose pixels cannot be given away. */
function membersOf(image: ImageData, data = image.data): Sent {
  const { width, height, colorSpace } = image;
  return { data, width, height, colorSpace };
}

function isVideo(image: ImageSource): image is HTMLVideoElement | VideoFrame {
  return (
    (typeof HTMLVideoElement !== "undefined" && image instanceof HTMLVideoElement) ||
    (typeof VideoFrame !== "undefined" && image instanceof VideoFrame)
  );
}
