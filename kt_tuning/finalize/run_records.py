"""The records of a run that its model card needs."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from kt_tuning.core.records import DataCard, SearchRecord, TrialRecord
from kt_tuning.ensembling import EnsembleRecord, is_refitted, read_scores
from kt_tuning.evaluation import (
    CorrectedBest,
    HeldOutUses,
    Scores,
    corrected_best_of_run,
    held_out_uses,
)
from kt_tuning.run import Run
from kt_tuning.run.layout import ENSEMBLE


@dataclasses.dataclass(frozen=True)
class RunRecords:
    """The records of a run.

    Attributes:
        name: Of the directory.
        data: The data that were searched on.
        search: Options of the search.
        trials: All finished trials, in the order of their start.
        ensemble: The ensemble, or None.
        scores: Test scores of that ensemble, or None.
        correction: The best validation score, corrected for selection; or None.
        uses: Uses of the test split of these data.
        refitted: Whether the models were trained again, on training and validation images.
    """

    name: str
    data: DataCard
    search: SearchRecord
    trials: tuple[TrialRecord, ...]
    ensemble: EnsembleRecord | None
    scores: Scores | None
    correction: CorrectedBest | None
    uses: HeldOutUses
    refitted: bool = False

    @classmethod
    def load(cls, directory: str | Path) -> RunRecords:
        """Read a run directory.

        Raises:
            StorageError: if it holds no search on images, or a file of it is damaged.
        """
        run = Run(directory)
        search, data = run.read_search(), run.read_data()
        return cls(
            name=run.path.resolve().name,
            data=data,
            search=search,
            trials=tuple(run.trials()),
            ensemble=run.read(EnsembleRecord, ENSEMBLE),
            scores=read_scores(directory),
            correction=corrected_best_of_run(directory),
            uses=held_out_uses(directory).of(data.fingerprint),
            refitted=is_refitted(directory),
        )

    @property
    def members(self) -> list[tuple[TrialRecord, float, float]]:
        """Trials that were combined, with their weights and temperatures."""
        if self.ensemble is None:
            return []
        records = {trial.trial_id: trial for trial in self.trials}
        combination = self.ensemble.combination
        rows = zip(
            self.ensemble.trial_ids, combination.weights, combination.temperatures, strict=True
        )
        return [
            (records[name], weight, temperature)
            for name, weight, temperature in rows
            if name in records
        ]

    def provenance(self) -> dict[str, Any]:
        """Return what is recorded beside an exported model."""
        return {
            "search": self.search.to_json(),
            "trials": {trial.trial_id: trial.provenance() for trial, _, _ in self.members},
            "ensemble": None if self.ensemble is None else self.ensemble.to_json(),
            "scores": None if self.scores is None else self.scores.to_json(),
            "correction": None if self.correction is None else self.correction.to_json(),
        }
