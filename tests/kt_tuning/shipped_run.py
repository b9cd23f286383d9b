"""A run directory with made-up records, for models of the striped images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np

from kt_tuning.core.records import SearchRecord, TrialRecord
from kt_tuning.data import ImageData
from kt_tuning.ensembling import EnsembleRecord
from kt_tuning.ensembling.run_files import combination_digest
from kt_tuning.evaluation import Interval, Scores, measure_reliability
from kt_tuning.recipe import Recipe
from kt_tuning.search.definition import SearchDefinition
from kt_tuning.search.descriptions import as_stored, describe_hypermodel, describe_recipe


def small_model() -> keras.Model:
    keras.utils.set_random_seed(3)
    inputs = keras.Input((8, 8, 1), dtype="uint8")
    x = keras.layers.Rescaling(1 / 255)(inputs)
    x = keras.layers.Conv2D(4, 3, strides=2, activation="relu")(x)
    outputs = keras.layers.Dense(2, activation="softmax")(keras.layers.Flatten()(x))
    return keras.Model(inputs, outputs)


def trial(number: int, status: str = "COMPLETED") -> TrialRecord:
    return TrialRecord(
        trial_id=f"{number:02d}",
        number=number,
        status=status,
        values={"filters": 16 * (number + 1), "activation": "relu"},
        metrics={"val_accuracy": 0.5 + number / 10},
        best_epoch=4,
        epochs=6,
        seconds=1.0,
        parameters=1234,
        began=100.0 + number,
    )


def write_search(
    directory: Path, data: ImageData, hypermodel: str = "ConvNet", seed: int = 7
) -> None:
    """What there is after a search that has not been combined or judged."""
    directory.mkdir()
    data.card.save(directory / "data.json")
    data.save_split(directory / "split.npz", predicted=data.indices["validation"])
    SearchRecord("val_accuracy", "max", "tpe", seed, 15, 3, None, hypermodel, {"keras": "3"}).save(
        directory / "search.json"
    )
    for number in range(3):
        folder = directory / f"trial_{number:02d}"
        folder.mkdir()
        trial(number, "FAILED" if number == 2 else "COMPLETED").save(folder / "result.json")


def write_definition(
    directory: Path, hypermodel: Any, recipe: Recipe | None = None, oracle: str = "optuna"
) -> None:
    """What decides what the trials of that search mean."""
    SearchDefinition(
        hypermodel=as_stored(describe_hypermodel(hypermodel)),
        recipe=as_stored(describe_recipe(recipe or Recipe())),
        oracle=oracle,
    ).save(directory / "definition.json")


def write_winner(directory: Path) -> None:
    """The record of an ensemble of trials 0 and 1."""
    reliability = measure_reliability([0, 1], np.array([[0.9, 0.1], [0.3, 0.7]]))
    EnsembleRecord(
        trial_ids=("00", "01"),
        weights=(0.25, 0.75),
        solver="convex",
        cross_fitted={"convex": 0.4, "single": 0.5},
        member_scores=(0.5, 0.6),
        temperatures=(1.5, 0.8),
        reliability=reliability,
    ).save(directory / "ensemble.json")


def write_scores(directory: Path) -> Scores:
    """Scores of that ensemble."""
    scores = Scores(
        metrics={"accuracy": Interval(0.75, 0.6, 0.9), "log_loss": Interval(0.5, 0.4, 0.6)},
        confusion=[[6, 0], [3, 3]],
        class_names=("lying", "standing"),
        images=12,
        parameters=100,
        latency_ms={"p50": 1.0},
        model=combination_digest(directory),
    )
    scores.save(directory / "scores.json")
    return scores
