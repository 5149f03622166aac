"""Export of a trained pair to one self-describing ONNX file (needs torch and onnx)."""
