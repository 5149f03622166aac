"""Time and memory of enhancing a picture of 400 megapixels, as a user would.

    python benchmarks/giant_picture.py
    python benchmarks/giant_picture.py --side 3000 --task dehaze --max-memory 1G

Makes a square PNG in a temporary folder, enhances it in a process of its own, and prints the
seconds and the most memory that the process held. Fails if the result has another size.
"""

from __future__ import annotations

import argparse
import resource
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path

import numpy as np
import skimage.data

from hyperguide.containers import PNG, png_chunk
from hyperguide.picture_header import picture_size


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--side", type=int, default=20000, help="pixels")
    parser.add_argument("--task", default="denoise")
    parser.add_argument("--max-memory", default="2G")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        source, output = Path(folder, "giant.png"), Path(folder, "enhanced.png")
        _write_noisy(source, arguments.side)
        print(f"{arguments.side}x{arguments.side} pixels, {source.stat().st_size / 1e6:.0f} MB")
        start = time.monotonic()
        subprocess.run(
            [
                *(sys.executable, "-m", "hyperguide", "enhance", "-i", source, "-o", output),
                *("-t", arguments.task, "--max-memory", arguments.max_memory),
            ],
            check=True,
        )
        seconds = time.monotonic() - start
        with output.open("rb") as file:
            size = picture_size(file.read(64))
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss  # KiB on Linux
    print(f"{seconds:.0f} s, {peak / (1 << 20):.2f} GiB at most")
    if size != (arguments.side, arguments.side):
        raise SystemExit(f"The result has the size {size}.")


def _write_noisy(path: Path, side: int) -> None:
    """A noisy photo again and again, row by row: a process counts what its parent held."""
    photo = skimage.data.astronaut().astype(np.float32)
    noise = np.random.default_rng(0).normal(0, 15, photo.shape)
    noisy = np.rint((photo + noise).clip(0, 255)).astype(np.uint8)
    packer = zlib.compressobj(1)
    with path.open("wb") as file:
        file.write(PNG + png_chunk(b"IHDR", struct.pack(">2I5B", side, side, 8, 2, 0, 0, 0)))
        for row in range(side):
            line = np.resize(noisy[row % len(noisy)], (side, 3))
            data = packer.compress(b"\0" + line.tobytes())  # filtered by none
            if data:
                file.write(png_chunk(b"IDAT", data))
        file.write(png_chunk(b"IDAT", packer.flush()) + png_chunk(b"IEND", b""))


if __name__ == "__main__":
    main()
