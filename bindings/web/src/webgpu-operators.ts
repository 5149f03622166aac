/** Which operators ONNX Runtime's WebGPU provider has, of those that exports write. */

/**
 * From `docs/webgpu-operators.md` of onnxruntime-web; a test compares them. Constant has no kernel:
 * it is resolved when a model is loaded. For 64-bit integers, which only sizes and indices are, most
 * have none either: ONNX Runtime computes these steps on the CPU.
 */
const KNOWN: ReadonlySet<string> = new Set(
  (
    "Abs Add AveragePool Cast Ceil Clip Concat Constant Conv ConvTranspose Cos DepthToSpace Div " +
    "Einsum Equal Exp Expand Flatten Floor Gather GatherND GlobalAveragePool Greater " +
    "GreaterOrEqual If Less LessOrEqual Log MatMul MaxPool Mul Neg Not Pad Pow Range Reciprocal " +
    "ReduceMax ReduceMean ReduceMin ReduceSum Relu Reshape Resize Shape Sigmoid Sin Slice Softmax " +
    "Split Sqrt Squeeze Sub Tanh Tile Transpose Unsqueeze Where"
  ).split(" "),
);

/** The operators among these that WebGPU lacks, in alphabetical order. */
export function missingOnWebGpu(operators: Iterable<string>): string[] {
  return [...operators].filter((name) => !KNOWN.has(name)).sort();
}
