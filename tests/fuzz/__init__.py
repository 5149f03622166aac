"""Fuzzing of all that reads bytes from outside: see docs/fuzzing.md."""
