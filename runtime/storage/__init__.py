"""Files on disk: whole or not there at all, read within bounds, one writer at a time."""
