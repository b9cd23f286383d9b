"""Training of a run's best configuration after the search, in a folder of the run directory."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

from kt_tuning.data import ImageData
from kt_tuning.ensembling import Candidates, Ensemble, EnsembleRecord
from kt_tuning.evaluation import EPOCH_CAVEAT
from kt_tuning.finalize.configuration import Configuration
from kt_tuning.finalize.evaluate import save_final_model
from kt_tuning.run.layout import ENSEMBLE
from kt_tuning.search import Tuner


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


Train = Callable[[Configuration, ImageData, Path], Candidates | Ensemble]
"""(configuration, data, folder) -> members or their ensemble: `bag`, `boost`, `snapshots`,
`distill`."""


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


def retrain(
    tuner: Tuner,
    name: str,
    train: Train,
    data: ImageData,
    *,
    configuration: Configuration | None = None,
    epochs: int | None = None,
) -> Retrained:
    """Train a configuration in a folder of the run directory.

    `kt-tuning evaluate`, `export` and `report` take the folder like a run directory, and the report
    of the run lists it.

    Args:
        tuner: Has searched and combined its trials.
        name: Name of the folder.
        train: How to train, e.g. `functools.partial(bag, members=3)`.
        data: The data that the search was run on.
        configuration: What is trained; that of the best trial if None.
        epochs: Epochs per training; those of a full trial if None.

    Raises:
        OptionError: if an option is wrong.
        SearchError: if no trial has completed, or every training fails.
        StorageError: if the run has no ensemble yet, or the folder holds something else.
    """
    run = tuner.run_directory
    before = EnsembleRecord.load(run / ENSEMBLE)
    configuration = configuration or Configuration.of(tuner)
    if epochs is not None:
        configuration = dataclasses.replace(configuration, epochs=epochs)
    made = train(configuration, data, run / name)
    ensemble = made if isinstance(made, Ensemble) else combine(made, data, run / name)
    save_final_model(ensemble, run / name)
    return Retrained(ensemble, run / name, before)


def _described(record: EnsembleRecord) -> str:
    count = len(record.trial_ids)
    size = f", {sum(record.costs):,.0f} parameters" if record.costs else ""
    value = record.cross_fitted.get(record.solver)
    score = "" if value is None else f", validation {record.metric} {value:.4f}"
    return f"{count} {'model' if count == 1 else 'models'}{size}{score}"
