"""How much code a use runs: functions and files of kt-tuning that three uses call.

Each use runs in a fresh process under a profile hook. The named functions of `kt_tuning` and
`hypermodels` that are called after the imports are counted, and the files that they are in.

- "folder to batch": load 30 images from a folder, and read the first training batch;
- "search": two trials of a small `ConvNet`, one epoch each, in this process;
- "ensemble to SavedModel": combine those two trials, and export the ensemble.

`--list` also prints the functions. `--quick` is the same. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

ROOT = Path(__file__).parents[1]
GOALS = {"folder to batch": (110, 24), "search": (260, 50), "ensemble to SavedModel": (220, 45)}
"""Most functions and files of each use."""
SIDE, CLASSES, EACH = 16, 3, 10


class Trace:
    """Collects the functions of ours that are called in any thread, as a context."""

    def __init__(self) -> None:
        self.found: set[tuple[str, str]] = set()

    def __enter__(self) -> Trace:
        threading.setprofile(self._note)
        sys.setprofile(self._note)
        return self

    def __exit__(self, *exception: object) -> None:
        sys.setprofile(None)
        threading.setprofile(None)  # type: ignore[arg-type]

    def _note(self, frame: FrameType, event: str, argument: Any) -> None:
        code = frame.f_code
        if event == "call" and not code.co_name.startswith("<"):
            path = Path(code.co_filename)
            if path.is_relative_to(ROOT):
                name = path.relative_to(ROOT)
                if name.parts[0] in ("kt_tuning", "hypermodels"):
                    self.found.add((str(name), code.co_qualname))


def make_images(folder: Path) -> None:
    """Write PNG files of noise, a folder per class."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    for label in range(CLASSES):
        (folder / f"class {label}").mkdir(parents=True)
        for number in range(EACH):
            pixels = rng.integers(0, 256, (SIDE, SIDE, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"class {label}" / f"{number}.png")


def first_batch(work: Path) -> Callable[[], object]:
    """Return the use "folder to batch"."""
    from kt_tuning import Recipe, load_images
    from kt_tuning.augment import augment
    from kt_tuning.data.batch_loader import Loader
    from kt_tuning.data.batches import Batches, Random

    def use() -> None:
        data = load_images(work / "images", cache=work / "cache", progress=False)
        plan = Recipe().plan({})
        change = Random(functools.partial(augment, plan.policy), plan.policy.draws)
        batches = Batches(data.train, plan.batch_size, seed=0, augment=change)
        with Loader(batches) as loader:
            loader.begin_epoch(0)
            images, labels = loader[0]
            assert len(images) == len(labels) > 0

    return use


def search(work: Path) -> Callable[[], Any]:
    """Return the use "search"."""
    from hypermodels import ConvNet
    from kt_tuning import Tuner, load_images

    data = load_images(work / "images", cache=work / "cache", progress=False)

    def use() -> Any:
        tuner = Tuner(
            ConvNet(data.input_shape, data.classes),
            max_trials=2,
            epochs=1,
            directory=work,
            project_name="run",
        )
        tuner.search(data, verbose=False)
        return tuner

    return use


def export(work: Path) -> Callable[[], object]:
    """Return the use "ensemble to SavedModel"."""
    tuner = search(work)()
    return lambda: tuner.ensemble().export(work / "export")


USES = dict(zip(GOALS, (first_batch, search, export), strict=True))


def import_all() -> None:
    """Import every module of ours, so that none of their top levels counts."""
    for package in ("kt_tuning", "hypermodels"):
        for path in sorted((ROOT / package).rglob("*.py")):
            if path.stem != "__main__":
                parts = path.relative_to(ROOT).with_suffix("").parts
                importlib.import_module(".".join(parts).removesuffix(".__init__"))


def trace(name: str) -> list[tuple[str, str]]:
    """Run a use in this process; return the file and name of each function, sorted."""
    with tempfile.TemporaryDirectory() as work:
        make_images(Path(work) / "images")
        import_all()
        use = USES[name](Path(work))
        with Trace() as traced:
            use()
    return sorted(traced.found)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--list", action="store_true", help="print the functions, too")
    parser.add_argument("--use", choices=USES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.use:
        print(json.dumps(trace(arguments.use)))
        return
    figures = {}
    print(f"{'use':24}{'functions':>11}{'goal':>6}{'files':>8}{'goal':>6}")
    for name, (most_functions, most_files) in GOALS.items():
        command = [sys.executable, __file__, "--use", name]
        ran = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
        found = json.loads(ran.stdout.splitlines()[-1])
        files = {file for file, _ in found}
        figures[name] = {"functions": len(found), "files": len(files)}
        print(f"{name:24}{len(found):11}{most_functions:6}{len(files):8}{most_files:6}")
        if arguments.list:
            for file, function in found:
                print(f"    {file}  {function}")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
