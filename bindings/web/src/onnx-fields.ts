/**
 * Numbers of the fields of an ONNX file and of what is in it.
 *
 * https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
 */

export const FILE = { graph: 7, metadata: 14 } as const;
export const ENTRY = { key: 1, value: 2 } as const;
export const GRAPH = { node: 1, initializer: 5, input: 11, output: 12 } as const;
export const NODE = { input: 1, output: 2, operator: 4 } as const;
export const TENSOR = { side: 1, type: 2, name: 8, raw: 9 } as const;
export const VALUE = { name: 1 } as const;

/** The type of a tensor of whole numbers of 64 bits. */
export const INT64 = 7;
