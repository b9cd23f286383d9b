"""What a backbone that was trained on other classes gains, and how many layers to unfreeze.

The default `ConvNet` learns some classes (of CIFAR-10 the six animals, of scikit-learn's digits 0
to 5) from all of their images. Then `FineTune`, with that model as its backbone, learns the other
classes from few images: with its defaults, and with other shares of unfrozen layers and other
learning rates. It is compared with the default `ConvNet` from random weights, and with a beginner's
network and a KerasTuner search around it (see `_beginner.py`), each with the seconds that
`FineTune` took with the same seed. All choose their epoch by the validation images. The table has
means over the seeds, on the validation images, by which defaults are chosen, and on all test images
of the new classes.

    python benchmarks/fine_tuning.py --folder cifar10/
    python benchmarks/fine_tuning.py --quick

`--folder` holds train/<class>/*.jpg and test/<class>/*.jpg, such as CIFAR-10; without it, digits.
The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import _beginner
import _image_sets
import numpy as np
from keras_tuner import HyperModel

import kt_tuning as ktt
from hypermodels import ConvNet, FineTune

ANIMALS = {"bird", "cat", "deer", "dog", "frog", "horse"}
LOW_DIGITS = {"0", "1", "2", "3", "4", "5"}
SCRATCH, DEFAULTS = "ConvNet from random weights", "FineTune"
CHANGES: dict[str, dict[str, Any]] = {
    DEFAULTS: {},
    "unfreeze=0": {"unfreeze": 0.0},
    "unfreeze=0.1": {"unfreeze": 0.1},
    "unfreeze=0.5": {"unfreeze": 0.5},
    "unfreeze=1": {"unfreeze": 1.0},
    "rate 0.0001": {"adaptive_learning_rate": 0.0001},
    "rate 0.001": {"adaptive_learning_rate": 0.001},
    "unfreeze=1, rate 0.001": {"unfreeze": 1.0, "adaptive_learning_rate": 0.001},
}
QUICK_CHANGES = (DEFAULTS, "unfreeze=1")


def restrict(
    data: ktt.ImageData, names: Collection[str], most: int | None = None, seed: int = 0
) -> ktt.ImageData:
    """The images of some classes; of the training and validation images `most` at most."""
    labels = [data.class_names.index(name) for name in names]
    pairs = []
    for split in (data.train, data.validation, data.test):
        chosen = np.flatnonzero(np.isin(split.labels, labels))
        named = np.array(data.class_names)[split.labels[chosen]]
        pairs.append((np.asarray(split.images[chosen]), named))
    (x, y), validation, test = pairs
    found = ktt.ImageData.from_arrays(x, y, validation=validation, test=test, seed=seed)
    return found if most is None else found.limit(most, seed=seed)


def train(
    hypermodel: HyperModel, data: ktt.ImageData, options: argparse.Namespace, epochs: int, seed: int
) -> tuple[Any, dict[str, float]]:
    """Train a default configuration; the model and how good it is on the test images."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        tuner = ktt.Tuner(
            hypermodel,
            recipe=ktt.Recipe(augment=options.augment),
            max_trials=1,
            epochs=epochs,
            seed=seed,
            directory=directory,
        )
        tuner.search(data, verbose=False)
        model, validation = tuner.best_model(), tuner.results()["val_accuracy"].iloc[0]
    seconds = time.monotonic() - began
    accuracy = float(ktt.evaluate(model, data.test)["accuracy"])
    return model, {
        "val_accuracy": round(float(validation), 4),
        "test_accuracy": round(accuracy, 4),
        "seconds": round(seconds, 1),
    }


def parse() -> argparse.Namespace:
    """The options, completed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, help="images with animals, e.g. CIFAR-10")
    parser.add_argument("--images", type=int, default=1000, help="of the new classes")
    parser.add_argument("--backbone-epochs", type=int, default=12)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--backbone", type=Path, help="kept there, and used if it is there")
    _beginner.add_option(parser)
    parser.add_argument("--quick", action="store_true", help="digits, two ways, one seed")
    options = parser.parse_args()
    options.changes = list(CHANGES)
    if options.quick:
        options.folder, options.backbone, options.images, options.seeds = None, None, 100, [0]
        options.backbone_epochs = options.epochs = 5
        options.changes = list(QUICK_CHANGES)
        options.beginner = options.beginner[:1]
    return options


def main() -> None:
    """Train, and print a table and the JSON object."""
    options = parse()
    if options.folder is None:
        data = _image_sets.digits()
        known, options.augment = LOW_DIGITS, "text"
    else:
        data = ktt.load_images(options.folder, image_size=32, progress=False)
        known, options.augment = ANIMALS, "light"
    new = [name for name in data.class_names if name not in known]
    source, target = restrict(data, known), restrict(data, new, options.images)
    shape = data.input_shape
    with tempfile.TemporaryDirectory() as directory:
        path = options.backbone or Path(directory) / "backbone.keras"
        if not path.exists():
            hypermodel = ConvNet(shape, source.classes)
            model, row = train(hypermodel, source, options, options.backbone_epochs, seed=0)
            model.save(path)
            print(f"backbone: {row['test_accuracy']:.1%} of {', '.join(sorted(known))}", flush=True)
        ways = {
            SCRATCH: ConvNet(shape, target.classes),
            **{
                name: FineTune(shape, target.classes, backbone=path, **CHANGES[name])
                for name in options.changes
            },
        }
        print(f"{len(target.train):,} images of {', '.join(new)}; {options.epochs} epochs")
        print(f"{'':40}{'validation':>15}{'test accuracy':>15}{'seconds':>9}")
        results: dict[str, Any] = {}
        seconds: dict[int, float] = {}
        for name, hypermodel in ways.items():
            rows = []
            for seed in options.seeds:
                rows.append(train(hypermodel, target, options, options.epochs, seed)[1])
                if name == DEFAULTS:
                    seconds[seed] = rows[-1]["seconds"]
            results[name] = show(name, rows)
        for name in options.beginner:
            rows = [
                row
                for seed in options.seeds
                for row in _beginner.measure([name], target, seconds[seed], seed)
            ]
            results[name] = show(name, rows)
    print(json.dumps({"images": len(target.train), "epochs": options.epochs, "ways": results}))


def show(name: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Print the means of a row of the table, and return them."""
    validation, mean, seconds = (
        statistics.mean(row[column] for row in rows)
        for column in ("val_accuracy", "test_accuracy", "seconds")
    )
    print(f"{name:40}{validation:>15.1%}{mean:>15.1%}{seconds:>9.1f}", flush=True)
    runs = [row["test_accuracy"] for row in rows]
    return {
        "validation": round(validation, 4),
        "mean": round(mean, 4),
        "runs": runs,
        "seconds": seconds,
    }


if __name__ == "__main__":
    main()
