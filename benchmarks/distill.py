"""What an ensemble gains over its best member, and how much of that one distilled model keeps.

`--run` is a finished run of `kt-tuning run`. Its best configuration is trained again in two ways,
for the same number of epochs: as a student of the run's ensemble, and without a teacher, from the
labels alone. If the latter is as good, the longer training helped and not the teacher. Each is
repeated with `--runs` seeds; the table has medians, and the range of the accuracies. All are
calibrated on the validation images and measured on the test images. The share of the gain that is
kept is (model - best single) / (ensemble - best single); it is not shown where the ensemble gains
nothing.

    python benchmarks/distill.py --folder cifar10/ --run runs/cifar10 --student-epochs 60

Started again, it continues where it stopped. `--quick` searches scikit-learn's handwritten digits
in a temporary directory first. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import statistics
import tempfile
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

import kt_tuning as ktt
from kt_tuning import open_run
from kt_tuning.cli.run import write_digits
from kt_tuning.ensembling import EnsembleRecord, read_candidates
from kt_tuning.evaluation import measure_complexity, measure_latency, score
from kt_tuning.finalize import Configuration, bag, distill, load_final_model, load_run_data
from kt_tuning.pipeline import RunOptions, run

QUICK = RunOptions(
    hypermodel=("convnet",),
    fixed={"stages": 2, "filters": 16},
    epochs=10,
    max_trials=5,
    augment="none",
    verbose=False,
)
LONGER = 2
"""Epochs of a student over those of a trial: it overfits a teacher's answers later than labels."""
METRICS = ("accuracy", "log_loss")
RUNS = 3
BEST, ENSEMBLE, STUDENT = "best single", "ensemble", "student"
AGAIN = "trained again without a teacher"
COLUMNS = ("accuracy", "range", "kept", "log-loss", "kept", "parameters", "multiply-adds", "ms")


def best_single(directory: Path, tuner: ktt.Tuner) -> keras.Model:
    """The best trial's model, calibrated."""
    values = tuner.get_best_hyperparameters(1)[0].values
    candidates = read_candidates(directory)
    (member, *_) = [one for one in candidates.members if one.configuration == values]
    member = dataclasses.replace(member, load=tuner.best_model)
    return ktt.Ensemble.from_members([member], candidates.labels, solver="single").to_keras()


def measure(model: keras.Model, data: ktt.ImageData) -> dict[str, float]:
    """Metrics on the test images, and what a prediction costs."""
    found = score(data.test.labels, model.predict(data.test.images, verbose=0), METRICS)
    latency = measure_latency(model.predict_on_batch, data.test.take(np.array([0])), repeats=50)
    return {
        **found,
        "parameters": float(model.count_params()),
        "multiply_adds": float(measure_complexity(model).multiply_adds),
        "latency_ms": latency["p50"],
    }


def medians(rows: list[dict[str, float]]) -> dict[str, float]:
    """Return the median of each figure over the runs, and the range of the accuracies."""
    accuracies = [row["accuracy"] for row in rows]
    found = {name: statistics.median(row[name] for row in rows) for name in rows[0]}
    return {**found, "least": min(accuracies), "most": max(accuracies)}


def kept(rows: dict[str, dict[str, float]], name: str, metric: str) -> float | None:
    """Return the share of the ensemble's gain over the best single model that a model has."""
    best = rows[BEST][metric]
    gain, own = rows[ENSEMBLE][metric] - best, rows[name][metric] - best
    improves = gain > 0 if metric == "accuracy" else gain < 0
    return own / gain if improves else None


def compare(directory: Path, data: ktt.ImageData, options: argparse.Namespace) -> dict[str, Any]:
    """Train students, and the same models without a teacher; measure all of them."""
    tuner = open_run(directory)
    teacher, winner = load_final_model(directory), Configuration.of(tuner)
    epochs = options.student_epochs or LONGER * winner.epochs
    temperature, soft_weight = options.temperature, options.soft_weight
    measured = {
        BEST: [measure(best_single(directory, tuner), data)],
        ENSEMBLE: [measure(teacher, data)],
        STUDENT: [],
        AGAIN: [],
    }
    for run_number in range(options.runs):
        seed = winner.seed + run_number
        student = dataclasses.replace(winner, epochs=epochs, seed=seed)
        taught = distill(
            teacher,
            student,
            data,
            directory / f"student-{epochs}-{temperature:g}-{soft_weight:g}-{seed}",
            temperature=temperature,
            soft_weight=soft_weight,
        )
        again = bag(student, data, directory / f"again-{epochs}-{seed}", members=1, bootstrap=False)
        alone = ktt.Ensemble.from_members(again.members, again.labels, solver="single")
        measured[STUDENT].append(measure(taught.to_keras(), data))
        measured[AGAIN].append(measure(alone.to_keras(), data))
    rows = {name: medians(found) for name, found in measured.items()}
    return {
        "members": len(EnsembleRecord.load(directory / "ensemble.json").trial_ids),
        "epochs": epochs,
        "temperature": temperature,
        "soft_weight": soft_weight,
        "models": rows,
        "runs": measured,
        "kept": {
            name: {metric: kept(rows, name, metric) for metric in METRICS}
            for name in (STUDENT, AGAIN)
        },
    }


def show(found: dict[str, Any], data: ktt.ImageData) -> None:
    """Print a table."""
    print(f"{data}: an ensemble of {found['members']}; trained for {found['epochs']} epochs")
    print(f"{'':32}" + "".join(f"{title:>18}" for title in COLUMNS))
    for name, row in found["models"].items():
        shares = found["kept"].get(name, {})
        accuracy, log_loss = (
            "" if shares.get(metric) is None else f"{shares[metric]:.0%}" for metric in METRICS
        )
        span = f"{row['least']:.4f} to {row['most']:.4f}"
        cells = [f"{row['accuracy']:.4f}", span, accuracy, f"{row['log_loss']:.4f}", log_loss]
        cells += [f"{row['parameters']:,.0f}", f"{row['multiply_adds']:,.0f}"]
        cells.append(f"{row['latency_ms']:.2f}")
        print(f"{name:32}" + "".join(f"{cell:>18}" for cell in cells))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, help="the images of the run, wherever they are now")
    parser.add_argument("--run", type=Path, help="the run directory")
    parser.add_argument("--runs", type=int, default=RUNS, help="of each way, by other seeds")
    parser.add_argument("--student-epochs", type=int, help="by default twice those of a trial")
    parser.add_argument("--temperature", type=float, default=2.0)
    parser.add_argument("--soft-weight", type=float, default=0.9)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    if not options.quick and options.run is None:
        parser.error("give --run, or --quick")
    with tempfile.TemporaryDirectory() as temporary:
        directory = options.run
        if options.quick:
            options.runs = 1
            directory = Path(temporary) / "run"
            run(ktt.load_images(write_digits(Path(temporary) / "digits")), directory, QUICK)
        data = load_run_data(directory, options.folder)
        found = compare(directory, data, options)
    show(found, data)
    print(json.dumps({"quick": options.quick, "images": repr(data), **found}))


if __name__ == "__main__":
    main()
