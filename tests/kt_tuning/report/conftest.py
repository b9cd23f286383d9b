"""A run directory as the stages write it, with made-up but plausible content."""

from __future__ import annotations

import base64
import csv
import dataclasses
import io
import math
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from kt_tuning.core.json_record import write_json
from kt_tuning.core.records import DataCard, PixelFormat, SearchRecord, TrialRecord
from kt_tuning.ensembling import EnsembleRecord
from kt_tuning.evaluation import (
    Interval,
    Scores,
    class_curves,
    confusion_matrix,
    measure_reliability,
    worst_mistakes,
)
from kt_tuning.evaluation.cost import Cost, Throughput
from kt_tuning.evaluation.explanations import Gallery, Picture
from kt_tuning.evaluation.generalization import Generalization
from kt_tuning.evaluation.robustness import Robustness
from kt_tuning.export import Measurement
from kt_tuning.export.measurement import MEASUREMENT_FILE
from kt_tuning.report.run_summary import RunSummary

NASTY = "<script>alert(1)</script>"
CLASSES = ("airplane", "automobile", NASTY, "$\\frac{cat}$", 'deer & "dog"', "frog", "horse")
FAILED, PRUNED = 4, 5

MakeRun = Callable[..., Path]


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """A function that builds a run directory."""

    def make(trials: int = 12, classes: tuple[str, ...] = CLASSES, name: str = "photos") -> Path:
        return build_run(tmp_path / name, trials, classes)

    return make


@pytest.fixture
def run_directory(make_run: MakeRun) -> Path:
    """12 trials, one failed with a nasty message; evaluated, ensembled and exported."""
    return make_run()


@pytest.fixture(scope="session")
def shared_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, for tests that only read it."""
    return build_run(tmp_path_factory.mktemp("shared") / "photos", 12, CLASSES)


@pytest.fixture
def make_summary() -> Callable[..., RunSummary]:
    """A function that makes a summary with a trial an objective, failed where it is None."""

    def make(
        objectives: Sequence[float | None] = (),
        values: Sequence[dict[str, Any]] | None = None,
        histories: Sequence[dict[str, list[float]]] | None = None,
        direction: str = "max",
        **changes: Any,
    ) -> RunSummary:
        trials = [
            TrialRecord(
                trial_id=f"{number:04d}",
                number=number,
                status="FAILED" if score is None else "COMPLETED",
                values={} if values is None else values[number],
                metrics={} if score is None else {"val_accuracy": score},
                best_epoch=1,
                epochs=3,
                seconds=60.0,
                parameters=1000,
            )
            for number, score in enumerate(objectives)
        ]
        columns = histories or [{}] * len(trials)
        summary = RunSummary(
            name="photos",
            data=DataCard(
                fingerprint="00",
                class_names=("cat", "dog"),
                pixels=PixelFormat(8, 8, 3),
                counts={"train": [6, 6], "validation": [2, 2], "test": [2, 2]},
            ),
            search=SearchRecord(
                objective="val_accuracy",
                direction=direction,
                strategy="random",
                seed=1,
                epochs=3,
                max_trials=None,
                time_limit=None,
                hypermodel="ConvNet",
                versions={},
            ),
            trials=tuple(trials),
            histories={
                trial.trial_id: {name: np.array(values) for name, values in history.items()}
                for trial, history in zip(trials, columns, strict=True)
            },
        )
        return dataclasses.replace(summary, **changes)

    return make


def build_run(directory: Path, trials: int, classes: tuple[str, ...]) -> Path:
    rng = np.random.default_rng(0)
    directory.mkdir(parents=True)
    labels = np.repeat(np.arange(len(classes)), 40)
    order = rng.permutation(len(labels))
    train, validation, test = np.split(order, [len(order) * 6 // 10, len(order) * 8 // 10])
    splits = {"train": train, "validation": validation, "test": test, "predicted": validation}
    np.savez(directory / "split.npz", labels=labels, **splits)
    DataCard(
        fingerprint="5f2b" * 16,
        class_names=classes,
        pixels=PixelFormat(32, 32, 3),
        counts={
            name: np.bincount(labels[part], minlength=len(classes)).tolist()
            for name, part in (("train", train), ("validation", validation), ("test", test))
        },
        source="photos/",
    ).save(directory / "data.json")
    SearchRecord(
        objective="val_accuracy",
        direction="max",
        strategy="random",
        seed=1,
        epochs=15,
        max_trials=trials,
        time_limit=600.0,
        hypermodel="ConvNet",
        versions={"kt-tuning": "0.1.0", "keras": "3.15.0", "python": "3.11.7"},
    ).save(directory / "search.json")
    records = [
        _write_trial(directory, number, labels[validation], len(classes), rng)
        for number in range(trials)
    ]
    done = [record for record in records if record.status == "COMPLETED"]
    done.sort(key=lambda record: -record.metrics["val_accuracy"])
    members = done[:3]
    EnsembleRecord(
        trial_ids=tuple(record.trial_id for record in members),
        weights={1: (1.0,), 2: (0.6, 0.4), 3: (0.5, 0.2, 0.3)}[len(members)],
        solver="convex",
        cross_fitted={
            "single": 0.71,
            "mean": 0.64,
            "random": 0.63,
            "greedy": 0.625,
            "convex": 0.61,
        },
        member_scores=tuple(record.metrics["val_accuracy"] for record in members),
        costs=tuple(float(record.parameters) for record in members),
        single_cost=float(members[0].parameters),
    ).save(directory / "ensemble.json")
    write_scores(directory, labels[test], classes, rng)
    for version in ("1", "2", "10"):
        (directory / "export" / version).mkdir(parents=True)
    latency = {"p50": 1.5, "p95": 2.0, "p99": 2.5}
    Measurement(
        "saved_model", "export/10", 2_500_000, 1_200_000, latency, 0.71, 56, 1.0, 2.5e-7
    ).save(directory / "export" / "10" / MEASUREMENT_FILE)
    write_bag(directory / "bag", directory)
    return directory


def write_bag(folder: Path, run: Path) -> None:
    """Two trainings of one configuration: what trials 0 and 1 of the run predicted."""
    for number in range(2):
        name = Path(f"trial_{number:04d}") / "val_predictions.npy"
        if not (run / name).is_file():
            return
        (folder / name).parent.mkdir(parents=True)
        shutil.copyfile(run / name, folder / name)
    shutil.copyfile(run / "split.npz", folder / "split.npz")
    write_json(folder / "configuration.json", {"kind": "bag"})
    EnsembleRecord(
        ("0000", "0001"), (0.5, 0.5), "mean", {"mean": 0.625}, (0.5, 0.5), costs=(4000.0, 4000.0)
    ).save(folder / "ensemble.json")


def write_scores(
    directory: Path, labels: np.ndarray, classes: tuple[str, ...], rng: np.random.Generator
) -> None:
    probabilities = rng.dirichlet(np.ones(len(classes)), len(labels))
    helped = rng.random(len(labels)) < 0.7
    probabilities[np.arange(len(labels)), labels] += helped
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    accuracy = float(np.mean(labels == probabilities.argmax(axis=1)))
    losses = (0.9, 0.8, 0.7, 0.6, 0.5)
    interval = Interval(0.7, 0.65, 0.75)
    gap = Interval(0.25, 0.2, 0.3)
    mistakes = worst_mistakes(labels, probabilities)
    Scores(
        metrics={
            "accuracy": Interval(accuracy, accuracy - 0.04, accuracy + 0.04),
            "balanced_accuracy": Interval(0.7012, 0.66, 0.742),
            "f1": Interval(0.6987, 0.655, 0.74),
            "roc_auc": Interval(0.9431, 0.93, 0.955),
            "log_loss": Interval(0.8412, 0.79, 0.9),
            "undefined": Interval(math.nan, math.nan, math.nan),
        },
        confusion=confusion_matrix(labels, probabilities).tolist(),
        class_names=classes,
        images=len(labels),
        parameters=412_345,
        latency_ms={"p50": 4.217, "p95": 6.83},
        curves=class_curves(labels, probabilities),
        mistakes=mistakes,
        reliability=measure_reliability(labels, probabilities),
        cost=Cost(
            parameters=412_345,
            weight_bytes=1_649_380,
            multiply_adds=41_300_000,
            flops=83_100_000,
            latency_ms={"p50": 4.217, "p95": 6.83, "p99": 9.1},
            throughput=Throughput(32, 1234.5, {1: 237.0, 8: 900.0, 32: 1234.5}),
        ),
        robustness=Robustness(
            metric="accuracy",
            images=50,
            clean=0.8,
            severities=(1, 2, 3, 4, 5),
            corrupted={
                name: tuple(round(0.8 * loss - 0.02 * place, 4) for loss in losses)
                for place, name in enumerate(("gaussian_noise", "zoom_blur", "fog", "pixelate"))
            },
            adversarial={"fgsm": {1.0: 0.6, 8.0: 0.2}, "pgd": {1.0: 0.5, 8.0: 0.0}},
        ),
        generalization=Generalization(
            scores={split: {"accuracy": interval} for split in ("train", "validation", "test")},
            gaps={"train to validation": {"accuracy": gap}},
        ),
    ).save(directory / "scores.json")
    pictures = tuple(
        Picture(mistake.index, mistake.label, mistake.predicted, mistake.confidence, DOT, DOT)
        for mistake in mistakes[:3]
    )
    right = Picture(0, 2, 2, 0.9, DOT, DOT)
    Gallery("grad_cam", pictures, (right,)).save(directory / "gallery.json")
    Image.new("RGB", (12, 8), "orange").save(directory / "augmentation.jpg")


def _dot() -> str:
    file = io.BytesIO()
    Image.new("L", (2, 2), 128).save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


DOT = _dot()


def _write_trial(
    directory: Path, number: int, labels: np.ndarray, classes: int, rng: np.random.Generator
) -> TrialRecord:
    folder = directory / f"trial_{number:04d}"
    folder.mkdir()
    values = {
        "optimizer": str(rng.choice(["adam", "adamw", "sgd"])),
        "learning_rate": float(10 ** rng.uniform(-4, -1.5)),
        "filters": int(rng.choice([16, 32, 64])),
        "residual": bool(rng.random() < 0.5),
        "dropout": float(rng.uniform(0, 0.5)),
        "batch_size": int(rng.choice([32, 64, 128])),
        "depth": 2,
    }
    if number % 3 == 0:
        values[f"{NASTY}_rate"] = float(rng.uniform(0, 1))
    if number == FAILED:
        record = TrialRecord(
            trial_id=f"{number:04d}",
            number=number,
            status="FAILED",
            values=values,
            metrics={},
            best_epoch=0,
            epochs=0,
            seconds=1.2,
            parameters=0,
            message=f"OOM at <b>conv2d</b> & more: {NASTY}\nTraceback:\n\x1b[31mred\x00",
        )
        record.save(folder / "result.json")
        return record
    epochs = int(rng.integers(6, 16))
    ceiling = rng.uniform(0.45, 0.75)
    steps = np.arange(epochs)
    accuracy = ceiling * (1 - np.exp(-(steps + 1) / 3)) + rng.normal(0, 0.01, epochs)
    best = int(accuracy.argmax())
    history = {
        "epoch": steps,
        "seconds": np.full(epochs, 3.1),
        "loss": 2.0 * np.exp(-steps / 5) + 0.2,
        "accuracy": accuracy + 0.05,
        "learning_rate": np.full(epochs, 1e-3),
        "val_loss": 2.0 * np.exp(-steps / 5) + 0.5 + 0.01 * steps,
        "val_accuracy": accuracy,
    }
    with (folder / "history.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(history)
        writer.writerows(zip(*history.values(), strict=True))
    predictions = rng.dirichlet(np.ones(classes), len(labels))
    predictions[np.arange(len(labels)), labels] += accuracy[best]
    predictions /= predictions.sum(axis=1, keepdims=True)
    np.save(folder / "val_predictions.npy", predictions.astype(np.float32))
    record = TrialRecord(
        trial_id=f"{number:04d}",
        number=number,
        status="PRUNED" if number == PRUNED else "COMPLETED",
        values=values,
        metrics={
            "val_accuracy": float(accuracy[best]),
            "val_balanced_accuracy": float(accuracy[best] - 0.01),
            "val_f1": float(accuracy[best] - 0.012),
            "val_roc_auc": float(accuracy[best] ** 0.3),
            "val_brier": float(1.2 - accuracy[best]),
            "val_loss": float(history["val_loss"][best]),
            "accuracy": float(accuracy[best] + 0.05),
        },
        best_epoch=best,
        epochs=epochs,
        seconds=3.1 * epochs,
        parameters=int(rng.integers(40_000, 900_000)),
        message={
            7: "stopped early: no better for 4 epochs",
            PRUNED: "pruned after epoch 6: not among the best third",
        }.get(number),
    )
    record.save(folder / "result.json")
    return record
