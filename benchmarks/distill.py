"""What an ensemble gains over its best member, and which share of that one distilled model keeps.

A search is run, or gone on with if its directory is there. Then the winner's configuration is
trained again twice, each time for twice as many epochs as a trial: once as a student of the
ensemble, once from the labels alone. If the latter is as good, it was the training that helped, not
the teacher. All four are calibrated on the validation images and measured on the test images. The
share kept of a gain is (model - best member) / (ensemble - best member); it is not shown where the
ensemble gains nothing.

    python benchmarks/distill.py --folder cifar10/ --run runs/cifar10 --limit 5000 --time-limit 10m

`--quick` searches scikit-learn's handwritten digits in a temporary directory. The last line is one
JSON object.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import tempfile
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

import kt_tuning as ktt
from hypermodels import ConvNet
from kt_tuning.demo import write_digits
from kt_tuning.evaluation import measure_latency, score
from kt_tuning.retraining import Configuration, bag, distill

EPOCHS = 30
QUICK: dict[str, Any] = {"epochs": 10, "max_trials": 5}
LONGER = 2
"""Epochs of a student over those of a trial: what a teacher says is not soon learned by heart."""
METRICS = ("accuracy", "log_loss")


def search(data: ktt.ImageData, directory: Path, options: argparse.Namespace) -> ktt.Tuner:
    """Search, or find what was searched."""
    fixed = {"stages": 2, "filters": 16} if options.quick else {}
    limits = QUICK if options.quick else {"epochs": EPOCHS, "max_trials": None}
    tuner = ktt.Tuner(
        ConvNet(data.input_shape, data.classes, **fixed),
        directory=directory.parent,
        project_name=directory.name,
        **limits,
    )
    time_limit = None if options.quick else options.time_limit
    tuner.search(data, time_limit=time_limit, workers=options.workers)
    return tuner


def measure(model: ktt.Ensemble, data: ktt.ImageData) -> dict[str, float]:
    """Metrics on the test images, and what a prediction costs."""
    found = score(data.test.labels, model.predict(data.test.images), METRICS)
    latency = measure_latency(model.predict_on_batch, data.test.take(np.array([0])), repeats=50)
    return {**found, "parameters": float(model.count_params()), "latency_ms": latency["p50"]}


def kept(rows: dict[str, dict[str, float]], name: str, metric: str) -> float | None:
    """The share of the ensemble's gain over the best member that a model has."""
    best = rows["best member"][metric]
    gain, own = rows["ensemble"][metric] - best, rows[name][metric] - best
    improves = gain > 0 if metric == "accuracy" else gain < 0
    return own / gain if improves else None


def compare(data: ktt.ImageData, directory: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Search, combine, distil and measure."""
    tuner = search(data, directory, options)
    best, ensemble = tuner.ensemble(1), tuner.ensemble(options.members)
    winner = Configuration.of(tuner)
    epochs = options.student_epochs or LONGER * winner.epochs
    student = dataclasses.replace(winner, epochs=epochs)
    taught = distill(
        ensemble,
        student,
        data,
        directory / "student",
        temperature=options.temperature,
        soft_weight=options.soft_weight,
    )
    again = bag(student, data, directory / "again", members=1, bootstrap=False)
    alone = ktt.Ensemble.from_members(again.members, again.labels, solver="single")
    rows = {
        "best member": measure(best, data),
        "ensemble": measure(ensemble, data),
        "student": measure(taught, data),
        "trained again": measure(alone, data),
    }
    shares = {
        name: {metric: kept(rows, name, metric) for metric in METRICS}
        for name in ("student", "trained again")
    }
    return {"members": len(ensemble), "epochs": epochs, "models": rows, "kept": shares}


def show(found: dict[str, Any], data: ktt.ImageData) -> None:
    """Print a table."""
    print(
        f"{data}: an ensemble of {found['members']}; students trained for {found['epochs']} epochs"
    )
    print(
        f"{'':15}{'accuracy':>9}{'kept':>7}{'log-loss':>10}{'kept':>7}{'parameters':>13}{'ms':>7}"
    )
    for name, row in found["models"].items():
        shares = found["kept"].get(name, {})
        texts = [
            "" if shares.get(metric) is None else f"{shares[metric]:.0%}" for metric in METRICS
        ]
        print(
            f"{name:15}{row['accuracy']:9.4f}{texts[0]:>7}{row['log_loss']:10.4f}{texts[1]:>7}"
            f"{row['parameters']:13,.0f}{row['latency_ms']:7.2f}"
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, help="images, as for `kt-tuning run`")
    parser.add_argument("--run", type=Path, help="the run directory")
    parser.add_argument("--limit", type=int, help="images of train and validation together")
    parser.add_argument("--time-limit", default="10m", help="of the search")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--members", type=int, default=10, help="candidates for the ensemble")
    parser.add_argument("--student-epochs", type=int, help="by default twice those of a trial")
    parser.add_argument("--temperature", type=float, default=2.0)
    parser.add_argument("--soft-weight", type=float, default=0.9)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    if not options.quick and (options.folder is None or options.run is None):
        parser.error("give --folder and --run, or --quick")
    with tempfile.TemporaryDirectory() as temporary:
        folder = write_digits(Path(temporary) / "digits") if options.quick else options.folder
        data = ktt.load_images(folder)
        if options.limit is not None:
            data = data.limit(options.limit)
        found = compare(data, Path(temporary) / "run" if options.quick else options.run, options)
    show(found, data)
    print(json.dumps({"quick": options.quick, "images": repr(data), **found}))


if __name__ == "__main__":
    main()
