"""`hyperguide bench`: how fast files run on this machine, and whether they compute right."""
