/** Widens convolutions that ONNX Runtime's WebGPU provider miscomputes. */

import { concatenated, fields, numberField, submessage, text, type Field } from "./protobuf.js";

// Fields of a graph, a node and a tensor.
// https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
const NODE = 1;
const INITIALIZER = 5;
const NODE_INPUT = 1;
const NODE_OUTPUT = 2;
const OPERATOR = 4;
const SIDE = 1;
const TYPE = 2;
const NAME = 8;
const RAW = 9;
const INT64 = 7;

/**
 * A graph whose convolutions of 6, 9, 15, 18, ... input planes have further ones of zeros.
 *
 * The provider takes planes in fours or else in threes, and its code for threes is right only for
 * three planes in all (https://github.com/microsoft/onnxruntime/issues/29651). As in files that
 * `hyperguide export --io web` writes.
 */
export function widened(graph: Uint8Array): Uint8Array {
  const parts = [...fields(graph)];
  const weights = new Map<string, Tensor>();
  for (const { number, bytes } of parts) {
    if (number !== INITIALIZER) continue;
    const tensor = read(bytes);
    weights.set(tensor.name, tensor);
  }
  const more = new Map<string, number>();
  for (const { number, bytes } of parts) {
    const tensor = number === NODE ? weights.get(filtersOf(bytes)) : undefined;
    const count = tensor === undefined ? 0 : lacking(tensor.shape);
    if (tensor !== undefined && count > 0) more.set(tensor.name, count);
  }
  if (more.size === 0) return graph;
  const padded = new Set<string>();
  const changed = parts.flatMap(({ number, bytes, whole }) => {
    const name = number === NODE ? filtersOf(bytes) : number === INITIALIZER ? read(bytes).name : "";
    const count = more.get(name);
    if (count === undefined) return [whole];
    if (number === INITIALIZER) return [submessage(INITIALIZER, wider(read(bytes), count))];
    return padding(bytes, count, padded);
  });
  return concatenated(changed);
}

interface Tensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly raw: Uint8Array;
  readonly others: readonly Field[];
}

function read(bytes: Uint8Array): Tensor {
  const all = [...fields(bytes)];
  const last = (number: number) => all.findLast((field) => field.number === number)?.bytes;
  return {
    name: text(last(NAME) ?? new Uint8Array()),
    shape: all.filter(({ number }) => number === SIDE).map(({ value }) => Number(value)),
    raw: last(RAW) ?? new Uint8Array(),
    others: all.filter(({ number }) => number !== SIDE && number !== RAW),
  };
}

/** The name of the weights of a convolution; empty for other nodes. */
function filtersOf(node: Uint8Array): string {
  const all = [...fields(node)];
  const operator = all.find(({ number }) => number === OPERATOR);
  const [, filters] = all.filter(({ number }) => number === NODE_INPUT);
  const isConvolution = operator !== undefined && text(operator.bytes) === "Conv";
  return isConvolution && filters !== undefined ? text(filters.bytes) : "";
}

/** How many planes a convolution gets. */
function lacking(shape: readonly number[]): number {
  const [filters = 0, planes = 0, ...sides] = shape;
  const isInThrees = planes > 3 && planes % 3 === 0 && filters % 4 === 0;
  return isInThrees && sides.some((side) => side > 1) ? (4 - (planes % 4)) % 4 : 0;
}

/** The fields of weights with further planes of zeros. */
function wider({ shape, raw, others }: Tensor, count: number): Uint8Array[] {
  const [filters = 0, planes = 0, ...sides] = shape;
  const length = raw.length / filters;
  const wide = new Uint8Array((raw.length / planes) * (planes + count));
  for (let i = 0; i < filters; i++) {
    wide.set(raw.subarray(i * length, (i + 1) * length), (i * wide.length) / filters);
  }
  const dims = [filters, planes + count, ...sides].map((side) => numberField(SIDE, side));
  return [...dims, ...others.map(({ whole }) => whole), submessage(RAW, [wide])];
}

/**
 * A convolution that reads planes with zeros, and what makes these, as fields of the graph.
 *
 * @param padded names of the planes that have them already; several convolutions may read the same
 */
function padding(node: Uint8Array, count: number, padded: Set<string>): Uint8Array[] {
  const all = [...fields(node)];
  const first = all.findIndex(({ number }) => number === NODE_INPUT);
  const planes = text(all[first]?.bytes ?? new Uint8Array());
  const [pads, wide] = [`${planes}.pads`, `${planes}.padded`].map(encoded) as [Bytes, Bytes];
  const others = all.map(({ whole }, i) => (i === first ? submessage(NODE_INPUT, [wide]) : whole));
  const changed = submessage(NODE, others);
  if (padded.has(planes)) return [changed];
  padded.add(planes);
  const sizes = new BigInt64Array(8);
  sizes[5] = BigInt(count); // behind the planes
  const tensor = [
    numberField(SIDE, sizes.length),
    numberField(TYPE, INT64),
    submessage(NAME, [pads]),
    submessage(RAW, [new Uint8Array(sizes.buffer)]),
  ];
  const pad = [
    submessage(NODE_INPUT, [encoded(planes)]),
    submessage(NODE_INPUT, [pads]),
    submessage(NODE_OUTPUT, [wide]),
    submessage(OPERATOR, [encoded("Pad")]),
  ];
  return [submessage(INITIALIZER, tensor), submessage(NODE, pad), changed];
}

type Bytes = Uint8Array;

function encoded(words: string): Bytes {
  return new TextEncoder().encode(words);
}
