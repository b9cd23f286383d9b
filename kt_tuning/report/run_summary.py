"""A run in memory: everything that the report shows."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import numpy.typing as npt

from kt_tuning.core.records import FAILED, INFEASIBLE, DataCard, SearchRecord, TrialRecord
from kt_tuning.ensembling import EnsembleRecord
from kt_tuning.evaluation import CorrectedBest, Gallery, Scores
from kt_tuning.export import Measurement
from kt_tuning.report.repeated_trainings import Repeats, TrainedAgain

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
