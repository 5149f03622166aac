"""Time and memory to enhance a picture of 100 megapixels, as a user would.

    python benchmarks/giant_picture.py
    python benchmarks/giant_picture.py --side 20000 --max-memory 8G   # input, result and map: 4 GB
    python benchmarks/giant_picture.py --task dehaze --device openvino --maps

Makes a square PNG in a temporary folder, enhances it in a separate process, and prints the seconds
and the process's peak memory. Exit code 1 if the peak exceeds `--max-memory` or the result has
another size.
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

from hyperguide.memory import parse_bytes

_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--side", type=int, default=10000, help="pixels")
    parser.add_argument("--task", default="denoise")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--max-memory", default="2G")
    parser.add_argument("--maps", action="store_true", help="write the maps, too")
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
                *("--device", arguments.device),
                *(("--save-guidance", Path(folder, "maps")) if arguments.maps else ()),
            ],
            check=True,
        )
        seconds = time.monotonic() - start
        with output.open("rb") as file:
            size = struct.unpack(">2I", file.read(24)[16:])
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss  # KiB on Linux
    print(f"{seconds:.0f} s, {peak / (1 << 20):.2f} GiB at most, allowed {arguments.max_memory}")
    if 1024 * peak > parse_bytes(arguments.max_memory):
        raise SystemExit("That is more than was allowed.")
    if size != (arguments.side, arguments.side):
        raise SystemExit(f"The result has the size {size}.")


def _write_noisy(path: Path, side: int) -> None:
    """Write a photo, repeated under fresh noise, row by row.

    Row by row because the peak memory of a child process includes what its parent held.
    """
    photo = skimage.data.astronaut().astype(np.float32)
    rng = np.random.default_rng(0)
    packer = zlib.compressobj(1)
    with path.open("wb") as file:
        file.write(_SIGNATURE + _chunk(b"IHDR", struct.pack(">2I5B", side, side, 8, 2, 0, 0, 0)))
        for row in range(side):
            line = np.resize(photo[row % len(photo)], (side, 3))
            noise = 15 * rng.standard_normal(line.shape, np.float32)
            line = np.rint((line + noise).clip(0, 255)).astype(np.uint8)
            data = packer.compress(b"\0" + line.tobytes())  # no filter
            if data:
                file.write(_chunk(b"IDAT", data))
        file.write(_chunk(b"IDAT", packer.flush()) + _chunk(b"IEND", b""))


def _chunk(name: bytes, data: bytes) -> bytes:
    """A PNG chunk."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


if __name__ == "__main__":
    main()
