"""Metadata of picture files: EXIF, XMP, IPTC, colour profiles, resolution.

Read and written here because OpenCV, which decodes and encodes the pixels, drops it.
"""
