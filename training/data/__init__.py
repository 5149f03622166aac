"""What training learns from: photos and pairs on disk, degraded, cropped, and drawn as batches."""
