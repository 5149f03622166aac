"""Fuzzing of everything that reads untrusted bytes: see docs/fuzzing.md."""
