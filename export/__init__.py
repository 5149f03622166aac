"""Export: a trained pair becomes one self-describing ONNX file (needs torch and onnx)."""
