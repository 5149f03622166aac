/** Runs a model file with ONNX Runtime: on the GPU by WebGPU, or on the CPU by WebAssembly. */

import type { InferenceSession, Tensor } from "onnxruntime-web";

import { HyperguideError } from "./errors.js";
import { DEFAULTS, type Dial, type ModelFile } from "./model-file.js";
import { missingOnWebGpu } from "./webgpu-operators.js";

export type Device = "auto" | "webgpu" | "wasm";

export interface EngineOptions {
  /** `auto`: WebGPU if this browser has it and it covers the model, otherwise WebAssembly. */
  readonly device?: Device | undefined;
  /** Of WebAssembly; by default one for each core, up to four. */
  readonly threads?: number | undefined;
  /** Folder of ONNX Runtime's .wasm and .mjs files, if they are not where the bundler puts them. */
  readonly wasmPaths?: string | undefined;
}

/** What runs a model, and why it is this. */
export interface EngineInfo {
  readonly device: "webgpu" | "wasm";
  readonly threads: number;
  readonly why: string;
}

/** A value for one number of a call: rank 4, or one number for all pixels. */
export interface Feed {
  readonly values: Float32Array;
  readonly shape: readonly [number, number, number, number];
}

export interface Outputs {
  readonly enhanced: Float32Array;
  readonly guidance: Float32Array;
}

/** Threads that are taken by default, and that may be asked for. */
const MOST_THREADS = 4;
const LARGEST_COUNT = 64;

/** A loaded model. */
export class Engine {
  private constructor(
    readonly info: EngineInfo,
    private readonly runtime: Runtime,
    private readonly session: InferenceSession,
    private readonly dials: readonly Dial[],
  ) {}

  /** Load a model file. Throws HyperguideError if the device that is named does not run it. */
  static async open(file: ModelFile, options: EngineOptions): Promise<Engine> {
    const asked = options.device ?? "auto";
    const choice = await choose(file, asked);
    try {
      return await Engine.on(choice, file, options);
    } catch (error) {
      if (asked !== "auto" || choice.device === "wasm") throw error;
      const why = `WebGPU failed (${reason(error)})`;
      return Engine.on({ device: "wasm", why }, file, options);
    }
  }

  private static async on(choice: Choice, file: ModelFile, options: EngineOptions): Promise<Engine> {
    const runtime =
      choice.device === "webgpu"
        ? await import("onnxruntime-web/webgpu")
        : await import("onnxruntime-web/wasm");
    const { threads, why } = threadsFor(options.threads);
    runtime.env.wasm.numThreads = threads;
    runtime.env.logLevel = "error";
    if (options.wasmPaths !== undefined) runtime.env.wasm.wasmPaths = options.wasmPaths;
    let session: InferenceSession;
    try {
      const content = choice.device === "webgpu" ? file.contentForWebGpu() : file.content();
      session = await runtime.InferenceSession.create(content, {
        executionProviders: [choice.device],
        logSeverityLevel: 3,
      });
    } catch (error) {
      throw failure("ONNX Runtime does not run this model here", error);
    }
    const dials = (Object.keys(DEFAULTS) as Dial[]).filter((n) => session.inputNames.includes(n));
    const info =
      choice.device === "webgpu"
        ? { ...choice, threads: 1 }
        : { ...choice, threads, why: `${choice.why}; ${why}` };
    return new Engine(info, runtime, session, dials);
  }

  /** Run the network. Dials that are left out have their defaults. */
  async run(image: Feed, dials: Partial<Record<Dial, Feed>>): Promise<Outputs> {
    const feeds: Record<string, Tensor> = { image: this.tensor(image) };
    for (const dial of this.dials) {
      const one = { values: Float32Array.of(DEFAULTS[dial]), shape: [1, 1, 1, 1] } as const;
      feeds[dial] = this.tensor(dials[dial] ?? one);
    }
    let results: InferenceSession.ReturnType;
    try {
      results = await this.session.run(feeds);
    } catch (error) {
      throw failure("ONNX Runtime failed on this picture", error);
    }
    const [count, , height, width] = image.shape;
    return {
      enhanced: checked(results, "enhanced", image.shape),
      guidance: checked(results, "guidance", [count, 1, height, width]),
    };
  }

  private tensor({ values, shape }: Feed): Tensor {
    return new this.runtime.Tensor("float32", values, shape);
  }
}

type Runtime = typeof import("onnxruntime-web");

interface Choice {
  readonly device: "webgpu" | "wasm";
  readonly why: string;
}

async function choose(file: ModelFile, device: Device): Promise<Choice> {
  if (device === "wasm") return { device, why: "it was asked for" };
  const missing = missingOnWebGpu(file.operators);
  const hasAdapter = await findsAdapter();
  if (device === "webgpu") {
    if (!hasAdapter) {
      throw new HyperguideError("This browser has no WebGPU: use the device 'wasm' or 'auto'.");
    }
    if (missing.length > 0) {
      throw new HyperguideError(
        `WebGPU lacks ${listed(missing)}, which this model needs: use the device 'wasm' or 'auto'.`,
      );
    }
    return { device, why: "it was asked for" };
  }
  if (!hasAdapter) return { device: "wasm", why: "this browser has no WebGPU" };
  if (missing.length > 0) return { device: "wasm", why: `WebGPU lacks ${listed(missing)}` };
  return { device: "webgpu", why: "this browser has WebGPU" };
}

async function findsAdapter(): Promise<boolean> {
  const gpu = (globalThis.navigator as Navigator | undefined)?.gpu;
  try {
    return gpu !== undefined && (await gpu.requestAdapter()) !== null;
  } catch {
    return false;
  }
}

/** The values of an output, whose shape comes from the file. */
function checked(
  results: InferenceSession.ReturnType,
  name: string,
  shape: readonly number[],
): Float32Array {
  const output = results[name];
  if (!(output?.data instanceof Float32Array) || output.dims.join() !== shape.join()) {
    throw new HyperguideError(
      `The model file gives '${name}' in another form than the picture's: export it again.`,
    );
  }
  return output.data;
}

function threadsFor(asked: number | undefined): { threads: number; why: string } {
  if (asked !== undefined && !(Number.isInteger(asked) && asked >= 1 && asked <= LARGEST_COUNT)) {
    throw new HyperguideError(
      `The threads must be a whole number from 1 to ${LARGEST_COUNT}, not ${asked}.`,
    );
  }
  if (!globalThis.crossOriginIsolated) {
    return { threads: 1, why: "one thread, because the page is not cross-origin isolated" };
  }
  const cores = (globalThis.navigator as Navigator | undefined)?.hardwareConcurrency ?? 1;
  const threads = asked ?? Math.min(cores, MOST_THREADS);
  return { threads, why: threads === 1 ? "one thread" : `${threads} threads` };
}

function listed(names: readonly string[]): string {
  return names.length === 1 ? String(names[0]) : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
}

function failure(sentence: string, error: unknown): HyperguideError {
  const why = reason(error);
  return new HyperguideError(
    /memory|allocat/i.test(why)
      ? "There is not enough memory: give a smaller picture, or close other pages."
      : `${sentence}: ${why}.`,
  );
}

/** The first line of what an engine says, without its full stop. */
function reason(error: unknown): string {
  const [line = ""] = String(error instanceof Error ? error.message : error).split("\n");
  // Exceptions of WebAssembly are only the number of an address.
  return /^\d*$/.test(line) ? "an internal error" : line.slice(0, 300).replace(/\.$/, "");
}
