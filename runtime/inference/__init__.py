"""How one picture goes through an engine: dials, padding, tiles, and large ones in parts."""
