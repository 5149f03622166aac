"""The model file: its contract, read strictly, and everything that knows ONNX by its fields."""
