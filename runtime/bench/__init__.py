"""`hyperguide bench`: how fast models run on this machine, and whether results are correct."""
