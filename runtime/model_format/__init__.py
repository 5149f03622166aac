"""The model file: its contract, strict readers, and all code that handles ONNX's fields."""
