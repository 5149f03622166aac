"""Presets that come with the package, one YAML file per task and tier."""
