"""TensorRT engines from model files."""
