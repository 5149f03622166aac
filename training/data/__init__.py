"""Training data: photos and pairs on disk, degraded, cropped, and drawn as batches."""
