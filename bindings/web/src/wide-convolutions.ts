/** Widens convolutions that ONNX Runtime's WebGPU provider miscomputes. */

import { GRAPH, INT64, NODE, TENSOR } from "./onnx-fields.js";
import {
  bytesOf,
  concatenated,
  fields,
  numberField,
  submessage,
  text,
  type Field,
} from "./protobuf.js";

/**
 * A graph whose convolutions of 6, 9, 15, 18, ... input planes have further ones of zeros.
 *
 * The provider takes planes in fours or else in threes, and its code for threes is right only for
 * three planes in all (https://github.com/microsoft/onnxruntime/issues/29651). As in files that
 * `hyperguide export --io web` writes.
 */
export function widened(graph: Uint8Array): Uint8Array {
  const parts = [...fields(graph)].map(({ number, bytes, whole }) => ({
    whole,
    tensor: number === GRAPH.initializer ? new Tensor(bytes) : undefined,
    node: number === GRAPH.node ? new Node(bytes) : undefined,
  }));
  const weights = new Map(parts.flatMap(({ tensor }) => (tensor ? [[tensor.name, tensor]] : [])));
  const used = parts.map(({ node }) => weights.get(node?.filters ?? ""));
  const narrow = new Set(used.filter((tensor) => tensor !== undefined && tensor.lacking > 0));
  const padded = new Set<string>();
  const changed = parts.flatMap(({ whole, tensor, node }) => {
    const filters = tensor ?? weights.get(node?.filters ?? "");
    if (filters === undefined || !narrow.has(filters)) return [whole];
    return node ? node.padded(filters.lacking, padded) : [filters.widened()];
  });
  return concatenated(changed);
}

class Tensor {
  readonly name: string;
  readonly #shape: readonly number[];
  readonly #fields: readonly Field[];

  constructor(bytes: Uint8Array) {
    this.#fields = [...fields(bytes)];
    this.name = text(bytesOf(this.#fields, TENSOR.name));
    this.#shape = this.#fields
      .filter(({ number }) => number === TENSOR.side)
      .map(({ value }) => Number(value));
  }

  /** How many planes a convolution with these weights gets. */
  get lacking(): number {
    const [filters = 0, planes = 0, ...sides] = this.#shape;
    const isInThrees = planes > 3 && planes % 3 === 0 && filters % 4 === 0;
    return isInThrees && sides.some((side) => side > 1) ? (4 - (planes % 4)) % 4 : 0;
  }

  /** These weights with the lacking planes, all zeros, as a field of the graph. */
  widened(): Uint8Array {
    const [filters = 0, planes = 0, ...sides] = this.#shape;
    const raw = bytesOf(this.#fields, TENSOR.raw);
    const length = raw.length / filters;
    const wide = new Uint8Array((raw.length / planes) * (planes + this.lacking));
    for (let i = 0; i < filters; i++) {
      wide.set(raw.subarray(i * length, (i + 1) * length), (i * wide.length) / filters);
    }
    const others = this.#fields.filter(
      ({ number }) => number !== TENSOR.side && number !== TENSOR.raw,
    );
    return submessage(GRAPH.initializer, [
      ...[filters, planes + this.lacking, ...sides].map((side) => numberField(TENSOR.side, side)),
      ...others.map(({ whole }) => whole),
      submessage(TENSOR.raw, [wide]),
    ]);
  }
}

class Node {
  /** The name of the weights of a convolution; undefined for other nodes. */
  readonly filters: string | undefined;
  readonly #fields: readonly Field[];

  constructor(bytes: Uint8Array) {
    this.#fields = [...fields(bytes)];
    const [, filters] = this.#fields.filter(({ number }) => number === NODE.input);
    const isConvolution = text(bytesOf(this.#fields, NODE.operator)) === "Conv";
    this.filters = isConvolution && filters ? text(filters.bytes) : undefined;
  }

  /**
   * This node on planes with zeros behind, and what makes these, as fields of the graph.
   *
   * @param done names of the planes that have them already: several nodes may read the same
   */
  padded(count: number, done: Set<string>): Uint8Array[] {
    const first = this.#fields.findIndex(({ number }) => number === NODE.input);
    const planes = text(this.#fields[first]?.bytes ?? new Uint8Array());
    const [pads, wide] = [`${planes}.pads`, `${planes}.padded`];
    const others = this.#fields.map(({ whole }, i) =>
      i === first ? named(NODE.input, wide) : whole,
    );
    const changed = submessage(GRAPH.node, others);
    if (done.has(planes)) return [changed];
    done.add(planes);
    const sizes = new BigInt64Array(8);
    sizes[5] = BigInt(count); // behind the planes
    const tensor = submessage(GRAPH.initializer, [
      numberField(TENSOR.side, sizes.length),
      numberField(TENSOR.type, INT64),
      named(TENSOR.name, pads),
      submessage(TENSOR.raw, [new Uint8Array(sizes.buffer)]),
    ]);
    const pad = submessage(GRAPH.node, [
      named(NODE.input, planes),
      named(NODE.input, pads),
      named(NODE.output, wide),
      named(NODE.operator, "Pad"),
    ]);
    return [tensor, pad, changed];
  }
}

function named(field: number, name: string): Uint8Array {
  return submessage(field, [new TextEncoder().encode(name)]);
}
