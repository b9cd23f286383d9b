"""How good trial 0 is: each family's default configuration, trained with the default recipe.

    python benchmarks/defaults.py --folder cifar10/                      # 4,000 images, 12 epochs
    python benchmarks/defaults.py --folder cifar10/ --families convnet --epochs 30
    python benchmarks/defaults.py --folder cifar10/ --families convnet --full --minutes 60
    python benchmarks/defaults.py --families convnet --epochs 60                # only the digits
    python benchmarks/defaults.py --quick

`--folder` contains train/<class>/*.jpg and test/<class>/*.jpg, such as CIFAR-10. Its images are
used at each of `--sizes`: 4,000 for training and 1,000 to choose the best epoch. `--full` uses all
of them at one size, a twentieth to choose the epoch, and ends within `--minutes`: the first epoch
shows how many epochs fit, and the schedule is as long as those. scikit-learn's digits, 8×8, are
always measured, and alone without `--folder`. The accuracy on all test images is printed, of the
model and of the ensemble of this one member, which may also predict mirror images if the validation
loss is then lower.
`finetune` is left out unless it is named: it downloads its backbone's weights. The families are
compared with a beginner's network and a KerasTuner search around it (see `_beginner.py`), each with
the seconds that the first family took on the same images with the same seed. All choose their epoch
by the validation images. Their accuracy has a column, since it is what defaults are chosen by.

The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import _beginner
import _image_sets

import kt_tuning as ktt
from hypermodels import HYPERMODELS

IMAGES = 5000
FAMILIES = [family for family in HYPERMODELS if family not in ("finetune", "linearprobe")]
QUICK_FAMILIES = ["convnet", "mlp", "recurrent", "vit"]
DIGITS = "digits 8×8"
MOST_EPOCHS = 60
"""Epochs of a full training, where the machine is fast enough for so many."""
RESERVE = 60.0
"""Seconds of `--minutes` that are for reading images before the search and testing after it."""
TARGETS = {
    ("convnet", "32×32", 12): 0.72,
    ("convnet", "32×32", 30): 0.70,
    ("convnet", "full 32×32", None): 0.88,
    ("convnet", DIGITS, 60): 0.99,
}
"""What the project asks of the default ConvNet, by data and epochs."""


@dataclasses.dataclass(frozen=True)
class Case:
    """Images to train on.

    Attributes:
        name: What they are called in the table.
        data: The images.
        augment: Policy that goes with them, unless another one is asked for.
    """

    name: str
    data: ktt.ImageData
    augment: str


def cases(options: argparse.Namespace) -> list[Case]:
    """All images that are asked for."""
    found = [Case(DIGITS, _image_sets.digits(), "text")]
    if options.full:
        size = options.sizes[0]
        data = ktt.load_images(
            options.folder, image_size=size, split=(0.85, 0.05, 0.1), progress=False
        )
        return [Case(f"full {size}×{size}", data, ktt.Recipe().augment)]
    for size in options.sizes if options.folder else ():
        data = ktt.load_images(options.folder, image_size=size, progress=False)
        found.append(Case(f"{size}×{size}", data.limit(IMAGES, seed=0), str(ktt.Recipe().augment)))
    return found


def train(case: Case, family: str, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """Train a family's default configuration as a search's only trial, and test it."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        tuner = ktt.Tuner(
            HYPERMODELS[family](case.data.input_shape, case.data.classes),
            recipe=ktt.Recipe(
                batch_size=options.batch_size, augment=options.augment or case.augment
            ),
            max_trials=1,
            epochs=options.epochs,
            seed=seed,
            directory=directory,
        )
        limit = None if options.minutes is None else 60 * options.minutes - RESERVE
        tuner.search(case.data, time_limit=limit, verbose=False)
        trial, history = tuner.results().iloc[0], tuner.history()
        scores = ktt.evaluate(tuner.best_model(), case.data.test)
        ensemble = tuner.ensemble()
        combined = ktt.evaluate(ensemble, case.data.test)
    # The first epoch traces the training step.
    epoch = statistics.median(history["seconds"].iloc[1:]) if len(history) > 1 else None
    row = {
        "data": case.name,
        "family": family,
        "seed": seed,
        "test_accuracy": round(float(scores["accuracy"]), 4),
        "ensemble_accuracy": round(float(combined["accuracy"]), 4),
        "mirrored": bool(ensemble.record and ensemble.record.mirrored),
        "val_accuracy": round(float(trial["val_accuracy"]), 4),
        "epochs": len(history),
        "parameters": int(trial["parameters"]),
        "images_per_second": None if epoch is None else round(len(case.data.train) / epoch),
        "seconds": round(time.monotonic() - began, 1),
    }
    print(json.dumps(row), flush=True)
    return row


def beginners(
    case: Case, rows: list[dict[str, Any]], options: argparse.Namespace
) -> list[dict[str, Any]]:
    """Give a beginner's network and searches around it the time of the first family."""
    found = []
    for row in rows:
        if (row["data"], row["family"]) == (case.name, options.families[0]):
            measured = _beginner.measure(options.beginner, case.data, row["seconds"], row["seed"])
            found += [{**one, "data": case.name, "family": one["name"]} for one in measured]
    for row in found:
        print(json.dumps(row), flush=True)
    return found


def summary(rows: list[dict[str, Any]], options: argparse.Namespace) -> list[dict[str, Any]]:
    """The mean over the seeds of each family on each data."""
    found = []
    for data, family in dict.fromkeys((row["data"], row["family"]) for row in rows):
        own = [row for row in rows if (row["data"], row["family"]) == (data, family)]
        epochs = None if options.full else options.epochs
        # A beginner's network has none.
        combined = [row["ensemble_accuracy"] for row in own if "ensemble_accuracy" in row]
        found.append(
            {
                "data": data,
                "family": family,
                "validation": round(statistics.mean(row["val_accuracy"] for row in own), 4),
                "mean": round(statistics.mean(row["test_accuracy"] for row in own), 4),
                "ensemble": round(statistics.mean(combined), 4) if combined else None,
                "runs": [row["test_accuracy"] for row in own],
                "target": TARGETS.get((family, data, epochs)),
                "parameters": own[0]["parameters"],
                "seconds": round(statistics.mean(row["seconds"] for row in own), 1),
            }
        )
    return found


def parse() -> argparse.Namespace:
    """The options, completed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, help="images, e.g. CIFAR-10")
    parser.add_argument("--sizes", nargs="+", type=int, default=[32, 48], help="sides in pixels")
    _beginner.add_option(parser)
    parser.add_argument("--families", nargs="+", choices=list(HYPERMODELS), default=FAMILIES)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, help=f"12; with --full {MOST_EPOCHS}, at most")
    parser.add_argument("--batch-size", type=int, default=ktt.Recipe().batch_size)
    parser.add_argument("--augment", help="policy; by default the recipe's, for digits text")
    parser.add_argument("--full", action="store_true", help="the whole training set, one seed")
    parser.add_argument("--minutes", type=float, help="of each training; with --full 60")
    parser.add_argument("--quick", action="store_true", help="digits only, within two minutes")
    options = parser.parse_args()
    if options.full and options.folder is None:
        parser.error("--full needs --folder")
    if options.quick:
        options.folder, options.families = None, QUICK_FAMILIES
        options.seeds, options.epochs = [0], 5
        options.beginner = options.beginner[:1]
    if options.full:
        options.seeds = options.seeds[:1]
        options.minutes = options.minutes or 60.0
    options.epochs = options.epochs or (MOST_EPOCHS if options.full else 12)
    return options


def main() -> None:
    """Train, and print a table and the JSON object."""
    options = parse()
    rows: list[dict[str, Any]] = []
    for case in cases(options):
        rows += [
            train(case, family, seed, options)
            for family in options.families
            for seed in options.seeds
        ]
        rows += beginners(case, rows, options)
    table = summary(rows, options)
    print(
        f"{'data':12}{'family':40}{'parameters':>12}{'validation':>12}"
        f"{'test accuracy':>15}{'ensemble':>10}{'target':>9}{'s':>8}"
    )
    for line in table:
        combined = "–" if line["ensemble"] is None else f"{line['ensemble']:.1%}"
        target = "" if line["target"] is None else f"≥ {line['target']:.0%}"
        print(
            f"{line['data']:12}{line['family']:40}{line['parameters']:>12,}"
            f"{line['validation']:>12.1%}{line['mean']:>15.1%}{combined:>10}"
            f"{target:>9}{line['seconds']:>8.0f}"
        )
    print(
        json.dumps({"epochs": options.epochs, "full": options.full, "means": table, "runs": rows})
    )


if __name__ == "__main__":
    main()
