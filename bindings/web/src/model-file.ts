/** Reads a model file, checks its seal, and gives the engine a form that it can run. */

import { HyperguideError } from "./errors.js";
import { readInfo, type ModelInfo } from "./model-info.js";
import {
  MalformedError,
  WIRE,
  concatenated,
  fields,
  submessage,
  text,
  type Field,
} from "./protobuf.js";
import { widened } from "./wide-convolutions.js";

// Fields of an ONNX file, of its graph and of what is in it.
// https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
const GRAPH = 7;
const METADATA = 14;
const NODE = 1;
const INITIALIZER = 5;
const INPUT = 11;
const OUTPUT = 12;
const PARSED: readonly number[] = [NODE, INITIALIZER, INPUT, OUTPUT];
const OPERATOR = 4;
const TENSOR_NAME = 8;
const VALUE_NAME = 1;

/** The inputs that have defaults, one number each. */
export const DEFAULTS = {
  guidance_in: 0,
  guidance_mix: 0,
  guidance_scale: 1,
  strength: 1,
  kernel: 1,
} as const;
export type Dial = keyof typeof DEFAULTS;

/** Bundled files have a tenth of it. */
const MOST_FIELDS = 200_000;

const DIGESTED = ["weights", "graph", "metadata"] as const;
const DIGEST = "hyperguide.sha256.";

export interface ModelFile {
  readonly info: ModelInfo;
  /** The file with its dials as inputs like any other: the engine sees only such. */
  readonly content: Uint8Array<ArrayBuffer>;
  /** The same for WebGPU. */
  readonly onWebGpu: () => Uint8Array<ArrayBuffer>;
  /** Names of the operators of its graph. */
  readonly operators: ReadonlySet<string>;
}

/**
 * Read a model file.
 *
 * @param where names it in errors
 * @throws HyperguideError unless it is a model of ours, unchanged since its export
 */
export async function readModelFile(content: Uint8Array, where: string): Promise<ModelFile> {
  let outline: Outline;
  try {
    outline = readOutline(content);
  } catch (error) {
    if (!(error instanceof MalformedError)) throw error;
    throw new HyperguideError(
      `${where} is no model file or is damaged (${error.message}): export or download it again.`,
    );
  }
  const info = readInfo(outline.metadata, where, outline.inputs.includes("kernel"));
  await checkSeal(outline, where);
  checkEnds(outline, where);
  const { withInputs, operators } = outline;
  const onWebGpu = (): Uint8Array<ArrayBuffer> => withInputs(widened);
  return { info, content: withInputs((graph) => graph), onWebGpu, operators };
}

interface Outline {
  metadata: Map<string, string>;
  operators: Set<string>;
  inputs: string[];
  outputs: string[];
  /** The bytes that each digest is of. */
  digested: Record<(typeof DIGESTED)[number], Uint8Array<ArrayBuffer>>;
  /** The file with its dials as inputs, and a change of its graph. */
  withInputs: (change: (graph: Uint8Array) => Uint8Array) => Uint8Array<ArrayBuffer>;
}

function readOutline(content: Uint8Array): Outline {
  const entries: [string, string][] = [];
  const operators = new Set<string>();
  const inputs: string[] = [];
  const outputs: string[] = [];
  const weights: Uint8Array[] = [];
  const rest: Uint8Array[] = [];
  const around: Uint8Array[] = [];
  const kept: Uint8Array[] = [];
  let place = 0;
  let graphs = 0;
  let count = 0;
  const parsed = (message: Uint8Array): Field[] => {
    const found: Field[] = [];
    for (const field of fields(message)) {
      if (++count > MOST_FIELDS) throw new MalformedError("it has too many fields");
      found.push(field);
    }
    return found;
  };
  for (const field of parsed(content)) {
    if (field.number === METADATA) {
      const parts = parsed(field.bytes);
      const [key, value] = [1, 2].map((n) => text(bytesOf(parts, n)));
      entries.push([key ?? "", value ?? ""]);
    }
    if (field.number !== GRAPH) {
      if (field.number !== METADATA) rest.push(...framed(field));
      around.push(field.whole);
      continue;
    }
    graphs += 1;
    place = around.length;
    for (const part of parsed(field.bytes)) {
      (part.number === INITIALIZER ? weights : rest).push(...framed(part));
      const parts = PARSED.includes(part.number) ? parsed(part.bytes) : [];
      if (part.number === NODE) operators.add(text(bytesOf(parts, OPERATOR)));
      if (part.number === INPUT) inputs.push(text(bytesOf(parts, VALUE_NAME)));
      if (part.number === OUTPUT) outputs.push(text(bytesOf(parts, VALUE_NAME)));
      const name = part.number === INITIALIZER ? text(bytesOf(parts, TENSOR_NAME)) : "";
      if (!Object.hasOwn(DEFAULTS, name)) kept.push(part.whole);
    }
  }
  if (graphs !== 1) throw new MalformedError("it has no graph");
  const metadata = new Map(entries);
  if (metadata.size < entries.length) throw new MalformedError("it has a metadata entry twice");
  return {
    metadata,
    operators,
    inputs,
    outputs,
    digested: {
      weights: concatenated(weights),
      graph: concatenated(rest),
      metadata: new TextEncoder().encode(listed(entries)),
    },
    withInputs: (change) =>
      concatenated([
        ...around.slice(0, place),
        submessage(GRAPH, [change(concatenated(kept))]),
        ...around.slice(place),
      ]),
  };
}

/** The bytes of a field; of those that are there twice, protocol buffers take the last. */
function bytesOf(parts: readonly Field[], number: number): Uint8Array {
  return parts.findLast((part) => part.number === number)?.bytes ?? new Uint8Array();
}

/** A field as it goes into a digest: its number and length, or value, before its bytes. */
function framed(field: Field): Uint8Array[] {
  const isNumber = field.wire === WIRE.varint;
  const frame = isNumber
    ? `${field.number}=${field.value};`
    : `${field.number}:${field.bytes.length};`;
  return [new TextEncoder().encode(frame), field.bytes];
}

/** Metadata without its digests, as Python's `json.dumps(sorted(entries))` writes it. */
function listed(entries: readonly [string, string][]): string {
  const kept = entries.filter(([key]) => !DIGESTED.some((part) => key === DIGEST + part));
  kept.sort(([one], [other]) => (one < other ? -1 : one > other ? 1 : 0));
  return `[${kept.map(([key, value]) => `[${quoted(key)}, ${quoted(value)}]`).join(", ")}]`;
}

function quoted(value: string): string {
  return JSON.stringify(value).replace(
    /[\u007f-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

async function checkSeal(outline: Outline, where: string): Promise<void> {
  // Undefined on pages from http that are not of this machine.
  const subtle = (globalThis.crypto as Crypto | undefined)?.subtle;
  if (subtle === undefined) {
    throw new HyperguideError(
      "The seal of model files can only be checked on pages from https or localhost: serve this " +
        "page from there.",
    );
  }
  for (const part of DIGESTED) {
    const digest = new Uint8Array(await subtle.digest("SHA-256", outline.digested[part]));
    const written = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
    if (outline.metadata.get(DIGEST + part) !== written) {
      throw new HyperguideError(
        `${where} was changed since its export (its ${part}): export or download it again.`,
      );
    }
  }
}

function checkEnds(outline: Outline, where: string): void {
  const needed = ["image", "guidance_in", "guidance_mix", "guidance_scale", "strength"];
  const missing =
    needed.find((name) => !outline.inputs.includes(name)) ??
    ["enhanced", "guidance"].find((name) => !outline.outputs.includes(name));
  if (missing !== undefined) {
    throw new HyperguideError(`${where} lacks '${missing}': export it again.`);
  }
}
