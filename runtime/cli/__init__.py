"""The command line: one program, one file per verb."""
