"""A run in memory: everything that the report shows, read from the run directory."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import numpy.typing as npt

from kt_tuning.core.errors import StorageError
from kt_tuning.core.json_record import read_json
from kt_tuning.core.records import TrialRecord, best_first
from kt_tuning.ensembling import EnsembleRecord
from kt_tuning.ensembling.run_files import RunRecords, read_scores, read_validated
from kt_tuning.evaluation import Scores, bias_variance, confusion_matrix
from kt_tuning.evaluation.cost import stored_bytes
from kt_tuning.evaluation.explanations import Gallery
from kt_tuning.evaluation.generalization import Decomposition
from kt_tuning.export import Measurement, measurements
from kt_tuning.run import Run
from kt_tuning.run.layout import AUGMENTATION, CONFIGURATION, ENSEMBLE, GALLERY, SPLIT

FloatArray = npt.NDArray[np.float64]
CountArray = npt.NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class RunSummary(RunRecords):
    """The content of one run directory.

    Attributes:
        histories: Trial id -> column name -> (epochs,) values, not-a-number where a cell is empty;
            no columns if the trial left no `history.csv`.
        unfinished: Number of trial folders without a result: running, or killed.
        validation_confusion: (classes, classes) validation image counts of the final model, true
            class by row; None without its predictions.
        validation_kind: "validation"; or with folds "out-of-fold", of the training and validation
            images, each predicted by models that were not trained on it.
        export: Name of the newest folder under `export/`, or None.
        export_bytes: Total size of the files in it, or None.
        gallery: Mistakes of the final model and explanations; None before that stage.
        augmentation: A JPEG of augmented training images, or None.
        again: Models that were trained from the best configuration after the search.
        repeats: Bias and variance of repeated trainings of one configuration.
        exports: Measurements of each export, in the order of their folders.
    """

    histories: dict[str, dict[str, FloatArray]] = dataclasses.field(default_factory=dict)
    unfinished: int = 0
    validation_confusion: CountArray | None = None
    validation_kind: str = "validation"
    export: str | None = None
    export_bytes: int | None = None
    gallery: Gallery | None = None
    augmentation: bytes | None = None
    again: tuple[TrainedAgain, ...] = ()
    repeats: tuple[Repeats, ...] = ()
    exports: tuple[Measurement, ...] = ()

    def score(self, trial: TrialRecord) -> float:
        """Return the objective at the best epoch; not-a-number where the trial has none."""
        value = trial.metrics.get(self.search.objective) if trial.usable else None
        return math.nan if value is None else float(value)

    @property
    def ranked(self) -> list[TrialRecord]:
        """The trials by score, the earliest of equals first, those without one last."""
        scored = best_first(self.trials, self.search.objective, self.search.direction)
        return scored + [trial for trial in self.trials if math.isnan(self.score(trial))]

    @property
    def best(self) -> TrialRecord | None:
        """The trial with the best objective, the earliest of equals; None if none has a score."""
        order = best_first(self.trials, self.search.objective, self.search.direction)
        return next(iter(order), None)

    @property
    def weighted_trials(self) -> tuple[tuple[TrialRecord, float], ...]:
        """The final model as (trial, weight) pairs, the heaviest first; empty without a score.

        Without an ensemble it is the best trial.
        """
        if self.ensemble is None:
            return () if self.best is None else ((self.best, 1.0),)
        pairs = [(trial, weight) for trial, weight, _ in self.members if weight > 0]
        return tuple(sorted(pairs, key=lambda pair: -pair[1]))

    @property
    def model_trials(self) -> tuple[TrialRecord, ...]:
        """The trials in the final model, the heaviest first."""
        return tuple(trial for trial, _ in self.weighted_trials)

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
    run, records = Run(directory), RunRecords.load(directory)
    known = {trial.trial_id for trial in records.trials}
    if records.ensemble is not None and (missing := set(records.ensemble.trial_ids) - known):
        raise StorageError(
            f"{run.path / ENSEMBLE} should name trials of its own run. "
            f"Received: {sorted(missing)}, which have no result.json or paused.json."
        )
    best = next((record.trial_id for record in run.best_trials(1)), None)
    newest, picture = run.newest_export(), run.path / AUGMENTATION
    validated = None if records.data is None else read_validated(directory, best)
    return RunSummary(
        **vars(records),
        histories={name: run.history(name) for name in known},
        unfinished=len(run.trial_folders()) - len(known),
        validation_confusion=None
        if validated is None
        else confusion_matrix(validated.labels, validated.probabilities),
        validation_kind="validation" if validated is None else validated.kind,
        export=None if newest is None else newest.name,
        export_bytes=None if newest is None else stored_bytes(newest),
        gallery=None if records.scores is None else run.read(Gallery, GALLERY),
        augmentation=picture.read_bytes() if picture.is_file() else None,
        again=tuple(
            TrainedAgain(folder.path.name, record, read_scores(folder.path))
            for folder in run.trained_later()
            if (record := folder.read(EnsembleRecord, ENSEMBLE)) is not None
        ),
        repeats=_load_repeats(run, best),
        exports=tuple(measurements(directory)),
    )
