"""Files on disk: atomic writes, bounded reads, one writer at a time."""
