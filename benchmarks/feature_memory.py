"""How much memory do many photos and their features take?

20,000 synthetic photos of 224x224 pixels are written as JPEG files, loaded, and their features are
computed by EfficientNet-Lite0 at 96 pixels, in a fresh process. The figures are VmHWM of /proc, the
peak of the resident memory, including pages of mapped files; Linux only. It should be at most 4
GiB. Then a second process asks for the same features: it should compute none.

`--quick` has 1,000 photos and a network with random weights of one convolution. The last line is
one JSON object.
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
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from PIL import Image

LARGEST = 4 * 2**20
"""KiB."""
SIDE, CLASSES = 224, 4


def write_photos(folder: Path, count: int) -> None:
    """Smooth random pictures, `count` of them, in a folder per class."""
    rng = np.random.default_rng(0)
    for index in range(count):
        path = folder / f"class_{index % CLASSES}" / f"{index}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        small = rng.integers(0, 256, (14, 14, 3), dtype=np.uint8)
        Image.fromarray(small).resize((SIDE, SIDE)).save(path, quality=85)


def most_resident() -> int:
    """KiB of this process, at most until now."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1])


def measure(folder: Path, cache: Path, *, tiny: bool) -> dict[str, Any]:
    """Load photos and compute their features, in this process."""
    import keras
    import keras_tuner

    import kt_tuning as ktt
    from hypermodels import LinearProbe
    from kt_tuning.features import FeatureCache

    began, started = time.perf_counter(), most_resident()
    data = ktt.load_images(folder, image_size=SIDE, cache=cache, progress=False)
    loaded = most_resident()
    keras.utils.set_random_seed(0)
    backbone: Any = "EfficientNetLite0"
    if tiny:
        backbone = keras.Sequential([keras.Input((96, 96, 3)), keras.layers.Conv2D(8, 3, 4)])
    probe = LinearProbe(data.input_shape, data.classes, backbone=backbone, values="tf")
    frozen = probe.build(keras_tuner.HyperParameters()).frozen
    computed = 0
    of_images = frozen.features

    class Counting:
        digest = frozen.digest

        def features(self, images: Any) -> Any:
            nonlocal computed
            computed += len(images)
            return of_images(images)

    store = FeatureCache(data.content, len(data.labels), cache)
    for split in (data.train, data.validation, data.test):
        store.of(split, Counting())
    return {
        "photos": len(data.labels),
        "computed": computed,
        "started_kib": started,
        "loaded_kib": loaded,
        "most_kib": most_resident(),
        "seconds": time.perf_counter() - began,
    }


def main() -> None:
    """Write photos, measure in two processes, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--child", nargs=2, type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(measure(*options.child, tiny=options.quick)))
        return
    with tempfile.TemporaryDirectory() as folder:
        photos, cache = Path(folder) / "photos", Path(folder) / "cache"
        write_photos(photos, 1000 if options.quick else 20_000)
        runs = []
        for title in ("first", "second"):
            command = [sys.executable, __file__, "--child", str(photos), str(cache)]
            command += ["--quick"] * options.quick
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            found = json.loads(done.stdout.splitlines()[-1])
            print(
                f"{title}: {found['photos']:,} photos, features of {found['computed']:,} computed; "
                f"at most {found['most_kib'] / 2**20:.2f} GiB, {found['loaded_kib'] / 2**20:.2f} "
                f"after loading, {found['started_kib'] / 2**20:.2f} before; "
                f"{found['seconds']:.0f} s"
            )
            runs.append(found)
    print(json.dumps({"quick": options.quick, "runs": runs, "python": sys.version.split()[0]}))
    if runs[1]["computed"] or any(run["most_kib"] > LARGEST for run in runs):
        sys.exit(1)


if __name__ == "__main__":
    main()
