"""Do exports of a linear probe and of a fine-tuned network answer like the Keras model?

A `LinearProbe` and a `FineTune` on EfficientNet-Lite0 are each trained by a search of one trial,
calibrated, and exported as SavedModel, LiteRT and ONNX. Each export is loaded into its own runtime
and compared with the Keras model on 200 test images. Time is for one image, the median of 50 calls.

`--folder` holds photos, e.g. five kinds of flowers; without it they are scikit-learn's digits.
`--quick` trains on 200 images, at 96 pixels.

It fails if a label differs or a probability differs by more than 1e-4. The last line is one JSON
object.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

import kt_tuning as ktt
from hypermodels import HYPERMODELS
from kt_tuning.cli.run import write_digits
from kt_tuning.core.errors import ExportError
from kt_tuning.export import FORMATS, export_model
from kt_tuning.export.measurement import Measurement
from kt_tuning.finalize.export import format_table, measure_export

WANTED = ("saved_model", "litert", "onnx")
COMPARED = 200
TOLERANCE = 1e-4
"""Of a probability."""


def train(family: str, data: ktt.ImageData, folder: Path, *, size: int, epochs: int) -> Any:
    """Return the calibrated model of a search of one trial, as a Keras model."""
    made = HYPERMODELS[family](
        data.input_shape, data.classes, backbone="EfficientNetLite0", size=size
    )
    tuner = ktt.Tuner(made, max_trials=1, directory=folder, project_name=family)
    tuner.search(data, epochs=epochs, verbose=False)
    print(f"{family}: validation accuracy {tuner.results()['val_accuracy'].max():.1%}")
    return tuner.ensemble().to_keras()


def export_all(
    family: str, model: Any, data: ktt.ImageData, folder: Path
) -> tuple[list[Measurement], dict[str, str]]:
    """Return the measured exports, and format -> why it failed."""
    chosen = np.sort(np.random.default_rng(0).permutation(len(data.test))[:COMPARED])
    images, labels = data.test.take(chosen), data.test.labels[chosen]
    found, failed = [], {}
    for name in WANTED:
        row = FORMATS[name]
        if any(importlib.util.find_spec(package) is None for package in row.packages):
            print(f"{name}: not installed: kt-tuning[{row.extra}]")
            continue
        place = f"{family}/{name}"
        try:
            exported = export_model(
                model, folder / place, format=name, card=data.card, check_images=images
            )
        except ExportError as error:
            failed[place] = str(error)
            continue
        measured = measure_export(exported, images, labels, folder=place)
        if measured.agreement < 1 or measured.difference > TOLERANCE:
            failed[place] = f"labels {measured.agreement:.1%}, difference {measured.difference:.1e}"
        found.append(measured)
    return found, failed


def main() -> None:
    """Train, export, compare and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, help="photos, e.g. flowers")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    found: list[Measurement] = []
    failed: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        source = options.folder or write_digits(folder / "digits")
        data = ktt.load_images(source, progress=False)
        if options.quick:
            data = data.limit(200)
        size, epochs = (96, 1) if options.quick else (160, 3)
        print(data)
        for family in ("linearprobe", "finetune"):
            model = train(family, data, folder / "runs", size=size, epochs=epochs)
            measured, wrong = export_all(family, model, data, folder)
            found += measured
            failed |= wrong
    print(format_table(found))
    for place, reason in failed.items():
        print(f"{place}: {reason}")
    figures = {
        "quick": options.quick,
        "exports": {row.folder: row.to_json() for row in found},
        "failed": failed,
        "python": sys.version.split()[0],
    }
    print(json.dumps(figures))
    if failed:
        sys.exit(1)


if __name__ == "__main__":
    main()
