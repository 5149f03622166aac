"""The bundled model files, `TASK-TIER.onnx`."""
