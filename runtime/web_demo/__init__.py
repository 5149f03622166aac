"""Shows a web page with the bundled models to the browsers of this machine."""
