/** Reads a model file, checks its seal, and gives the engine a form that it can run. */

import { HyperguideError } from "./errors.js";
import { readInfo, type ModelInfo } from "./model-info.js";
import { ENTRY, FILE, GRAPH, NODE, TENSOR, VALUE } from "./onnx-fields.js";
import {
  MalformedError,
  WIRE,
  bytesOf,
  concatenated,
  fields,
  submessage,
  text,
  type Field,
} from "./protobuf.js";
import { widened } from "./wide-convolutions.js";

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
  readonly content: () => Uint8Array<ArrayBuffer>;
  /** The same for WebGPU. */
  readonly contentForWebGpu: () => Uint8Array<ArrayBuffer>;
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
    outline = new Outline(content);
  } catch (error) {
    if (!(error instanceof MalformedError)) throw error;
    throw new HyperguideError(
      `${where} is no model file or is damaged (${error.message}): export or download it again.`,
    );
  }
  const info = readInfo(outline.metadata, where, outline.inputs.includes("kernel"));
  await checkSeal(outline, where);
  checkEnds(outline, where);
  return {
    info,
    content: () => outline.withInputs((graph) => graph),
    contentForWebGpu: () => outline.withInputs(widened),
    operators: outline.operators,
  };
}

/** What a file consists of. The constructor throws MalformedError. */
class Outline {
  readonly metadata: ReadonlyMap<string, string>;
  readonly operators = new Set<string>();
  readonly inputs: string[] = [];
  readonly outputs: string[] = [];

  readonly #entries: [string, string][] = [];
  /** What the digests of the weights and of the graph are of. */
  readonly #weights: Uint8Array[] = [];
  readonly #rest: Uint8Array[] = [];
  /** The fields around the graph, and those of the graph but for defaults of dials. */
  readonly #before: Uint8Array[] = [];
  readonly #behind: Uint8Array[] = [];
  readonly #graph: Uint8Array[] = [];
  #count = 0;

  constructor(file: Uint8Array) {
    let graphs = 0;
    for (const field of this.#parsed(file)) {
      if (field.number === FILE.graph) {
        graphs += 1;
        for (const part of this.#parsed(field.bytes)) this.#addPart(part);
        continue;
      }
      (graphs === 0 ? this.#before : this.#behind).push(field.whole);
      if (field.number === FILE.metadata) this.#addEntry(field.bytes);
      else this.#rest.push(...framed(field));
    }
    if (graphs !== 1) throw new MalformedError("it has no graph");
    this.metadata = new Map(this.#entries);
    if (this.metadata.size < this.#entries.length) {
      throw new MalformedError("it has a metadata entry twice");
    }
  }

  /** The bytes that a digest is of. */
  digested(part: (typeof DIGESTED)[number]): Uint8Array<ArrayBuffer> {
    if (part === "metadata") return new TextEncoder().encode(listed(this.#entries));
    return concatenated(part === "weights" ? this.#weights : this.#rest);
  }

  /** The file with its dials as inputs, and a change of its graph. */
  withInputs(change: (graph: Uint8Array) => Uint8Array): Uint8Array<ArrayBuffer> {
    const graph = submessage(FILE.graph, [change(concatenated(this.#graph))]);
    return concatenated([...this.#before, graph, ...this.#behind]);
  }

  #parsed(message: Uint8Array): Field[] {
    const found: Field[] = [];
    for (const field of fields(message)) {
      if (++this.#count > MOST_FIELDS) throw new MalformedError("it has too many fields");
      found.push(field);
    }
    return found;
  }

  #addEntry(bytes: Uint8Array): void {
    const parts = this.#parsed(bytes);
    this.#entries.push([text(bytesOf(parts, ENTRY.key)), text(bytesOf(parts, ENTRY.value))]);
  }

  #addPart(part: Field): void {
    (part.number === GRAPH.initializer ? this.#weights : this.#rest).push(...framed(part));
    const nameOf = (number: number) => text(bytesOf(this.#parsed(part.bytes), number));
    let isDefault = false;
    if (part.number === GRAPH.node) this.operators.add(nameOf(NODE.operator));
    if (part.number === GRAPH.input) this.inputs.push(nameOf(VALUE.name));
    if (part.number === GRAPH.output) this.outputs.push(nameOf(VALUE.name));
    if (part.number === GRAPH.initializer) isDefault = Object.hasOwn(DEFAULTS, nameOf(TENSOR.name));
    if (!isDefault) this.#graph.push(part.whole);
  }
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
    const digest = new Uint8Array(await subtle.digest("SHA-256", outline.digested(part)));
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
