"""Models that were trained after a search, in a folder of the run directory, combined."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from kt_tuning.data import ImageData
from kt_tuning.ensembling import Candidates, Ensemble, EnsembleRecord
from kt_tuning.evaluation import EPOCH_CAVEAT
from kt_tuning.run.layout import ENSEMBLE


def combine(
    candidates: Candidates, data: ImageData, directory: str | Path, *, solver: str = "auto"
) -> Ensemble:
    """Combine the members that were trained in a folder, and write its `ensemble.json`.

    Args:
        candidates: Result of `bag`, `boost` or `snapshots`.
        data: The data that they were trained on.
        directory: The folder.
        solver: "auto" or a name in `SOLVERS`.

    Raises:
        OptionError: on an unknown solver.
    """
    ensemble = Ensemble.from_members(candidates.members, candidates.labels, solver=solver)
    assert ensemble.record is not None
    # In their own folder members are called as their trials are.
    names = tuple(name.rpartition("/")[2] for name in ensemble.record.trial_ids)
    ensemble.record = dataclasses.replace(ensemble.record, trial_ids=names)
    ensemble.card = data.card
    ensemble.provenance = {
        "trials": {
            member.name.rpartition("/")[2]: dict(member.configuration or {})
            for member in candidates.members
        }
    }
    ensemble.record_model().save(Path(directory) / ENSEMBLE)
    return ensemble


@dataclasses.dataclass(frozen=True, eq=False)
class Retrained:
    """Models that were trained after a search, combined.

    Attributes:
        ensemble: The members combined, or the student.
        directory: Their folder, which is a run directory itself.
        before: The record of the run's ensemble.
    """

    ensemble: Ensemble
    directory: Path
    before: EnsembleRecord

    def __repr__(self) -> str:
        return f"Retrained({str(self.directory)!r}: {self.ensemble!r})"

    def __str__(self) -> str:
        """The result beside the run's ensemble, and commands that use it."""
        assert self.ensemble.record is not None
        rows = (("run", self.before), (self.directory.name, self.ensemble.record))
        lines = [f"{name:<11}{_described(record)}" for name, record in rows]
        return "\n".join(
            [
                *lines,
                f"           (cross-fitted; {EPOCH_CAVEAT})",
                f"evaluate   kt-tuning evaluate {self.directory}",
                f"export     kt-tuning export {self.directory}",
            ]
        )


def _described(record: EnsembleRecord) -> str:
    count = len(record.trial_ids)
    size = f", {sum(record.costs):,.0f} parameters" if record.costs else ""
    value = record.cross_fitted.get(record.solver)
    score = "" if value is None else f", validation {record.metric} {value:.4f}"
    return f"{count} {'model' if count == 1 else 'models'}{size}{score}"
