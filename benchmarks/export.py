"""Do exported models give the same answers as the trained one, and how large and fast are they?

Two small ConvNets are trained for a few epochs, calibrated and combined as a search does it, and
exported in every format that is installed. Each export is loaded into its own runtime and compared
with the Keras model on 1,000 images that neither was trained on (all 359 of the digits). Then the
ensemble is pruned with fine-tuning and exported again. Accuracy is on those images; time is for one
image, the median of 50 calls.

`--folder` holds images, e.g. CIFAR-10; without it they are scikit-learn's digits. `--quick` trains
on fewer images, for one epoch, and prunes in two rounds.

It fails if a label of a float32 format differs, or more than 1% of those in int8. The last line is
one JSON object.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import keras_tuner
import numpy as np

import kt_tuning as ktt
from hypermodels import ConvNet
from kt_tuning.cli.run import write_digits
from kt_tuning.core.errors import ExportError
from kt_tuning.ensembling import Ensemble
from kt_tuning.export import FORMATS, export_model, prune
from kt_tuning.export.measurement import Measurement
from kt_tuning.finalize.export import EXAMPLES, fine_tuning, format_table, measure_export

COMPARED = 1000
SPARSITY = 0.8
MISSING = "not installed"
MEMBERS = ({"blocks": 1, "filters": 16}, {"blocks": 1, "filters": 24, "residual": False})


def train(data: ktt.ImageData, epochs: int) -> keras.Model:
    """Two small networks, calibrated and combined; one Keras model."""
    models = []
    for fixed in MEMBERS:
        keras.utils.set_random_seed(len(models))
        model = ConvNet(data.input_shape, data.classes, **fixed).build(
            keras_tuner.HyperParameters()
        )
        fit = fine_tuning(model, data, epochs=1, learning_rate=2e-3)
        for epoch in range(epochs):
            fit(model, epoch)
        models.append(model)
    validation = data.validation
    predictions = [model.predict(validation.images, verbose=0) for model in models]
    return Ensemble.fit(models, predictions, validation.labels, solver="mean").to_keras()


def export_all(
    model: keras.Model, data: ktt.ImageData, folder: Path, sparsity: float | None = None
) -> tuple[list[Measurement], dict[str, str]]:
    """Export in every format; what failed, and why."""
    rng = np.random.default_rng(0)
    chosen = rng.permutation(len(data.validation))[:COMPARED]
    images, labels = data.validation.take(chosen), data.validation.labels[chosen]
    examples = data.train.take(rng.permutation(len(data.train))[:EXAMPLES])
    found, failed = [], {}
    for name, row in FORMATS.items():
        if any(importlib.util.find_spec(package) is None for package in row.packages):
            failed[name] = f"{MISSING}: kt-tuning[{row.extra}]"
            continue
        try:
            exported = export_model(
                model,
                folder / name,
                format=name,
                card=data.card,
                check_images=images,
                examples=examples,
            )
        except ExportError as error:
            failed[name] = str(error)
            continue
        found.append(measure_export(exported, images, labels, folder=name, sparsity=sparsity))
    return found, failed


def main() -> None:
    """Train, export, compare and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, help="images, e.g. CIFAR-10")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    images, epochs, rounds = (6000, 1, 2) if options.quick else (15000, 4, 4)
    with tempfile.TemporaryDirectory() as folder:
        source = options.folder or write_digits(Path(folder) / "digits")
        cache = None if options.folder else Path(folder) / "cache"
        data = ktt.load_images(source, cache=cache, progress=False).limit(images)
        began = time.perf_counter()
        model = train(data, epochs)
        seconds = time.perf_counter() - began
        print(f"{data}; {model.count_params():,} parameters, trained in {seconds:.0f} s")
        found, failed = export_all(model, data, Path(folder) / "whole")
        print(format_table(found))
        fit = fine_tuning(model, data)
        pruned = prune(model, fit, sparsity=SPARSITY, rounds=rounds)
        print(f"\npruned: {pruned.sparsity:.1%} of {pruned.weights:,} weights are zero")
        more, failed_pruned = export_all(
            model, data, Path(folder) / "pruned", sparsity=pruned.sparsity
        )
        print(format_table(more))
    failed |= {f"{name}, pruned": reason for name, reason in failed_pruned.items()}
    for name, reason in failed.items():
        print(f"{name}: {reason}")
    figures = {
        "quick": options.quick,
        "exports": [row.to_json() for row in (*found, *more)],
        "failed": failed,
        "python": sys.version.split()[0],
    }
    print(json.dumps(figures))
    if not all(reason.startswith(MISSING) for reason in failed.values()):
        sys.exit(1)


if __name__ == "__main__":
    main()
