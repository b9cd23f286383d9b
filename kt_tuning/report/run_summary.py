"""What the report knows of a run, in memory."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import numpy.typing as npt

from kt_tuning.ensembling import EnsembleRecord
from kt_tuning.evaluation import CorrectedBest, Gallery, Scores
from kt_tuning.export import Measurement
from kt_tuning.records import FAILED, INFEASIBLE, DataCard, SearchRecord, TrialRecord
from kt_tuning.report.repeated_trainings import Repeats, TrainedAgain

FloatArray = npt.NDArray[np.float64]
CountArray = npt.NDArray[np.int64]


@dataclasses.dataclass(frozen=True, eq=False)
class TrialRun:
    """One trial: its record, and its learning curves.

    Attributes:
        record: What came of it.
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
    """Everything the report shows, from the files of one run directory.

    Attributes:
        name: Name of the run directory.
        data: What the search was run on; None for a search over whatever `keras.Model.fit` takes.
        search: How it was asked for.
        trials: Every trial that has a result, in order of start.
        unfinished: Trial folders without a result: running, or killed.
        ensemble: Which models were combined; None before that stage.
        scores: Scores on the test split; None before that stage.
        validation_confusion: (classes, classes) validation image counts of the winner, true class
            by row; None if its predictions are not there.
        validation_kind: "validation"; or with folds "out-of-fold", of the training and validation
            images, each predicted by models that were not trained on it.
        refitted: Whether the models were trained again, on training and validation images.
        export: Name of the newest folder under `export/`, or None.
        export_bytes: Of the files in it, or None.
        correction: The best validation score and what it is worth, but for the choice of each
            trial's epoch, which is not corrected; None if it is not known.
        caveat: What a reader of the test scores should know, or None.
        gallery: The winner's mistakes and where it looks; None before that stage.
        augmentation: A JPEG of what the winner's augmentation does, or None.
        again: What was made of the best configuration after the search.
        repeats: How trainings of one configuration differ.
        exports: What was measured of each export, in the order of their folders.
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
