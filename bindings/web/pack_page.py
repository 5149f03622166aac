"""Puts the built page into the package, for `hyperguide demo`, with WebAssembly packed by xz."""

from __future__ import annotations

import lzma
import shutil
import sys
from pathlib import Path

HERE = Path(__file__).parent
BUILT = HERE / "build" / "page"
PACKAGED = HERE.parents[1] / "runtime" / "web_page"

# Only the tests open it.
LEFT_OUT = {"harness.html"}

# The dictionary holds all of ONNX Runtime's files, and bounds the memory of unpacking.
FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 9, "dict_size": 1 << 25}]


def main() -> None:
    """Replace the page in the package."""
    if not (BUILT / "index.html").is_file():
        sys.exit(f"There is no page in {BUILT}: run 'npm run build' in {HERE} first.")
    shutil.rmtree(PACKAGED, ignore_errors=True)
    for path in sorted(BUILT.rglob("*")):
        name = path.relative_to(BUILT)
        if path.is_dir() or name.as_posix() in LEFT_OUT:
            continue
        target = PACKAGED / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".wasm":
            packed = lzma.compress(path.read_bytes(), filters=FILTERS)
            target.with_name(f"{path.name}.xz").write_bytes(packed)
        else:
            shutil.copyfile(path, target)
    size = sum(path.stat().st_size for path in PACKAGED.rglob("*") if path.is_file())
    print(f"{PACKAGED}: {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
