"""Training of guided enhancement networks by proxy-based bilevel optimisation (needs torch)."""
