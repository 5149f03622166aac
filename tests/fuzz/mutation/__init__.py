"""Mutation that keeps a format's structure: see `target.Mutator`."""
