"""What picture files carry beside their pixels: EXIF, XMP, IPTC, colour profiles, resolution."""
