"""Metadata of picture files: EXIF, XMP, IPTC, colour profiles, resolution."""
