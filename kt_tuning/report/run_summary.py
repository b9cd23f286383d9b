"""A run in memory: everything that the report shows, read from the run directory."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from kt_tuning.core.errors import StorageError
from kt_tuning.core.json_record import read_json
from kt_tuning.core.records import FAILED, INFEASIBLE, DataCard, SearchRecord, TrialRecord
from kt_tuning.data.image_data import uses_without_run
from kt_tuning.ensembling import EnsembleRecord, Validated, is_refitted, read_scores, read_validated
from kt_tuning.evaluation import (
    CorrectedBest,
    Decomposition,
    Gallery,
    Scores,
    bias_variance,
    corrected_best_of_run,
    held_out_uses,
    stored_bytes,
)
from kt_tuning.export import Measurement, measurements
from kt_tuning.run import Run
from kt_tuning.run.layout import AUGMENTATION, CONFIGURATION, ENSEMBLE, GALLERY, SPLIT

FloatArray = npt.NDArray[np.float64]
CountArray = npt.NDArray[np.int64]


@dataclasses.dataclass(frozen=True, eq=False)
class TrialRun:
    """One trial: its record, and its learning curves.

    Attributes:
        record: Its values, metrics and status.
        score: The objective at the best epoch; not-a-number where the trial failed.
        history: Column name -> (epochs,) values, not-a-number where a cell is empty. No columns
            if the trial left no `history.csv`.
    """

    record: TrialRecord
    score: float
    history: dict[str, FloatArray]

    @property
    def failed(self) -> bool:
        """Whether the trial has no score: it ended in an error, or was never trained."""
        return self.record.status in (FAILED, INFEASIBLE)


@dataclasses.dataclass(frozen=True)
class RunSummary:
    """The content of one run directory.

    Attributes:
        name: Name of the run directory.
        data: The images that were searched on; None for a search on other data.
        search: Settings of the search.
        trials: Every trial that has a result, in order of start.
        unfinished: Number of trial folders without a result: running, or killed.
        ensemble: Members and weights; None before that stage.
        scores: Scores on the test split; None before that stage.
        validation_confusion: (classes, classes) validation image counts of the final model, true
            class by row; None without its predictions.
        validation_kind: "validation"; or with folds "out-of-fold", of the training and validation
            images, each predicted by models that were not trained on it.
        refitted: Whether the models were trained again, on training and validation images.
        export: Name of the newest folder under `export/`, or None.
        export_bytes: Total size of the files in it, or None.
        correction: The best validation score, corrected for the choice of the trial; None if it
            is not known.
        caveat: A warning about repeated use of the test split, or None.
        gallery: Mistakes of the final model and explanations; None before that stage.
        augmentation: A JPEG of augmented training images, or None.
        again: Models that were trained from the best configuration after the search.
        repeats: Bias and variance of repeated trainings of one configuration.
        exports: Measurements of each export, in the order of their folders.
    """

    name: str
    data: DataCard | None
    search: SearchRecord
    trials: tuple[TrialRun, ...]
    unfinished: int
    ensemble: EnsembleRecord | None
    scores: Scores | None
    validation_confusion: CountArray | None
    export: str | None
    export_bytes: int | None = None
    correction: CorrectedBest | None = None
    caveat: str | None = None
    gallery: Gallery | None = None
    augmentation: bytes | None = None
    again: tuple[TrainedAgain, ...] = ()
    repeats: tuple[Repeats, ...] = ()
    exports: tuple[Measurement, ...] = ()
    validation_kind: str = "validation"
    refitted: bool = False

    @property
    def best(self) -> TrialRun | None:
        """The trial with the best objective, the earliest of equals; None if none has a score."""
        choose = max if self.search.direction == "max" else min
        scored = [trial for trial in self.trials if not math.isnan(trial.score)]
        return choose(scored, key=lambda trial: trial.score, default=None)

    @property
    def members(self) -> tuple[tuple[TrialRun, float], ...]:
        """The final model as (trial, weight) pairs, the heaviest first; empty without a score.

        Without an ensemble it is the best trial.
        """
        if self.ensemble is None:
            return () if self.best is None else ((self.best, 1.0),)
        by_id = {trial.record.trial_id: trial for trial in self.trials}
        pairs = zip(self.ensemble.trial_ids, self.ensemble.weights, strict=True)
        heaviest_first = sorted(pairs, key=lambda pair: -pair[1])
        return tuple((by_id[trial_id], weight) for trial_id, weight in heaviest_first)

    @property
    def model_trials(self) -> tuple[TrialRecord, ...]:
        """Records of the trials in the final model, the heaviest first."""
        return tuple(trial.record for trial, weight in self.members if weight > 0)

    def class_name(self, label: int) -> str:
        """Return the name of a class, or "class <label>" if it is not known."""
        names = () if self.data is None else self.data.class_names
        if self.scores is not None:
            names = self.scores.class_names
        return names[label] if 0 <= label < len(names) else f"class {label}"


BAG = "bag"
"""The kind whose members are independent trainings of one configuration."""


@dataclasses.dataclass(frozen=True)
class TrainedAgain:
    """A folder of a run directory with a student, a bag, a boosting or snapshots."""

    folder: str
    ensemble: EnsembleRecord
    scores: Scores | None


@dataclasses.dataclass(frozen=True)
class Repeats:
    """Bias and variance of trainings of one configuration, on the validation images."""

    name: str
    trainings: int
    losses: dict[str, Decomposition]


def _load_repeats(run: Run, best: str | None) -> tuple[Repeats, ...]:
    """Measure bias and variance of every configuration that was trained several times."""
    executions = None if best is None else run.executions(best)
    found = [] if executions is None else [_repeats(run, "the best trial", executions)]
    for folder in run.trained_later():
        trials = map(folder.predictions, folder.trial_folders())
        members = [predictions for predictions in trials if predictions is not None]
        kind = read_json(folder.path / CONFIGURATION).get("kind")
        if kind == BAG and len(members) > 1:
            found.append(_repeats(folder, folder.path.name, np.stack(members)))
    return tuple(found)


def _repeats(run: Run, name: str, predictions: npt.NDArray[np.floating]) -> Repeats:
    labels = run.read_split().predicted_labels
    try:
        return Repeats(name, len(predictions), bias_variance(predictions, labels))
    except (ValueError, IndexError) as error:
        raise StorageError(
            f"The predictions of {name} in {run.path} should be of the validation images in "
            f"{SPLIT}. Received: {error}"
        ) from error


def load_run(directory: str | Path) -> RunSummary:
    """Read a run directory; files of stages that have not run yet may be missing.

    Args:
        directory: The folder that a search wrote.

    Returns:
        Its content, checked.

    Raises:
        StorageError: if the folder is missing, is no run directory, or a file of it is damaged.
    """
    run = Run(directory)
    search, data, scores = run.read_search(), run.data_card(), read_scores(directory)
    trials = tuple(_load_trial(run, record, search.objective) for record in run.trials())
    ensemble = _load_ensemble(run, trials)
    best = next((record.trial_id for record in run.best_trials(1)), None)
    newest, picture = run.newest_export(), run.path / AUGMENTATION
    validated, caveat = None, None
    if data is not None:
        validated = read_validated(directory, best)
        uses = held_out_uses(directory, uses_without_run(data.fingerprint))
        caveat = uses.of(data.fingerprint).caveat(run.trials())
    return RunSummary(
        name=run.path.resolve().name,
        data=data,
        search=search,
        trials=trials,
        unfinished=len(run.trial_folders()) - len(trials),
        ensemble=ensemble,
        scores=scores,
        validation_confusion=_confusion(validated, data),
        validation_kind="validation" if validated is None else validated.kind,
        refitted=is_refitted(directory),
        export=None if newest is None else newest.name,
        export_bytes=None if newest is None else stored_bytes(newest),
        correction=corrected_best_of_run(directory),
        caveat=caveat,
        gallery=None if scores is None else run.read(Gallery, GALLERY),
        augmentation=picture.read_bytes() if picture.is_file() else None,
        again=tuple(
            TrainedAgain(folder.path.name, record, read_scores(folder.path))
            for folder in run.trained_later()
            if (record := folder.read(EnsembleRecord, ENSEMBLE)) is not None
        ),
        repeats=_load_repeats(run, best),
        exports=tuple(measurements(directory)),
    )


def _load_trial(run: Run, record: TrialRecord, objective: str) -> TrialRun:
    value = record.metrics.get(objective)
    return TrialRun(
        record=record,
        score=float(value) if record.usable and value is not None else math.nan,
        history=run.history(record.trial_id),
    )


def _load_ensemble(run: Run, trials: Sequence[TrialRun]) -> EnsembleRecord | None:
    ensemble, path = run.read(EnsembleRecord, ENSEMBLE), run.path / ENSEMBLE
    if ensemble is None:
        return None
    if missing := set(ensemble.trial_ids) - {trial.record.trial_id for trial in trials}:
        raise StorageError(
            f"{path} should name trials of its own run. "
            f"Received: {sorted(missing)}, which have no result.json or paused.json."
        )
    return ensemble


def _confusion(validated: Validated | None, data: DataCard | None) -> CountArray | None:
    """Count validation predictions by true class and predicted class."""
    if validated is None or data is None:
        return None
    confusion = np.zeros((len(data.class_names),) * 2, dtype=np.int64)
    np.add.at(confusion, (validated.labels, validated.probabilities.argmax(axis=1)), 1)
    return confusion
