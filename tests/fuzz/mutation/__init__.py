"""Mutations that keep a format's structure: see `target.Mutator`."""
