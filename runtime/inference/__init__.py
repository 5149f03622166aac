"""Runs one picture through an engine: dials, padding, and tiles for large pictures."""
