"""Reading a folder of images: the first time, and later times, compared with PIL in a plain loop.

Each load is a fresh process with a cache of its own, imports included. Without `--folder` it makes
6,000 JPEG files of 32×32 (`--quick`: 1,000). The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

LOAD = "import sys, kt_tuning as ktt; print(ktt.load_images(sys.argv[1], progress=False))"


def make_folder(folder: Path, count: int) -> Path:
    """Write `count` noisy JPEG files in ten classes."""
    rng = np.random.default_rng(0)
    for number in range(count):
        path = folder / f"class_{number % 10}" / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(path)
    return folder


def plain_loop(folder: Path) -> int:
    """What one writes by hand: every file, opened and decoded, one after the other."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    paths += [path for link in folder.iterdir() if link.is_symlink() for path in link.rglob("*.*")]
    images = [np.asarray(Image.open(path).convert("RGB")) for path in dict.fromkeys(paths)]
    return len(np.stack(images))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--folder", type=Path, help="images of one size, e.g. CIFAR-10")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        made = Path(scratch) / "images"
        folder = arguments.folder or make_folder(made, 1000 if arguments.quick else 6000)
        seconds = {}
        began = time.perf_counter()
        count = plain_loop(folder)
        seconds["PIL in a loop"] = time.perf_counter() - began
        environment = {**os.environ, "KT_TUNING_CACHE": str(Path(scratch) / "cache")}
        for name in ("load_images, first", "load_images, again"):
            began = time.perf_counter()
            command = [sys.executable, "-c", LOAD, str(folder)]
            subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
            seconds[name] = time.perf_counter() - began
    print(f"{count:,} images")
    for name, spent in seconds.items():
        print(f"{name:22}{spent:8.2f} s{seconds['PIL in a loop'] / spent:8.1f}×")
    print(json.dumps({"images": count, "seconds": seconds}))


if __name__ == "__main__":
    main()
