"""The best configuration of a run that the command line made, trained again in another way."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

from kt_tuning.data import ImageData
from kt_tuning.ensembling import Candidates, Ensemble, EnsembleRecord
from kt_tuning.evaluation import EPOCH_CAVEAT
from kt_tuning.finalize import Configuration, combine
from kt_tuning.finalize.evaluate import save_winner
from kt_tuning.pipeline import tuner_of

Train = Callable[[Configuration, ImageData, Path], Candidates | Ensemble]
"""(what, on what, where) -> members or their ensemble: `bag`, `boost`, `snapshots`, `distill`."""


@dataclasses.dataclass(frozen=True, eq=False)
class Retrained:
    """What came of it.

    Attributes:
        ensemble: The members combined, or the student.
        directory: Where it is, laid out like a run directory.
        before: What won the run.
    """

    ensemble: Ensemble
    directory: Path
    before: EnsembleRecord

    def __repr__(self) -> str:
        return f"Retrained({str(self.directory)!r}: {self.ensemble!r})"

    def __str__(self) -> str:
        """What there is, how good it is beside what won the run, and what can be done with it."""
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
    run: str | Path, name: str, train: Train, data: ImageData, *, epochs: int | None = None
) -> Retrained:
    """Train the best configuration of a run again, in a folder of the run directory.

    The folder is one for `kt-tuning evaluate`, `export` and `report`, and the report of the run
    lists it.

    Args:
        run: The run directory.
        name: Of the folder in it.
        train: How, e.g. `functools.partial(bag, members=3)`.
        data: What was searched on.
        epochs: Of a training; those of a full trial if None.

    Raises:
        OptionError: if an option is wrong.
        SearchError: if no trial has completed, or nothing can be trained.
        StorageError: if the run was not made by `kt-tuning run`, has no ensemble yet, or the folder
            holds what was made otherwise.
    """
    run = Path(run)
    folder = run / name
    before = EnsembleRecord.load(run / "ensemble.json")
    configuration = Configuration.of(tuner_of(run, data))
    if epochs is not None:
        configuration = dataclasses.replace(configuration, epochs=epochs)
    made = train(configuration, data, folder)
    ensemble = made if isinstance(made, Ensemble) else combine(made, data, folder)
    save_winner(ensemble, folder)
    return Retrained(ensemble, folder, before)


def _described(record: EnsembleRecord) -> str:
    count = len(record.trial_ids)
    size = f", {sum(record.costs):,.0f} parameters" if record.costs else ""
    value = record.cross_fitted.get(record.solver)
    score = "" if value is None else f", validation {record.metric} {value:.4f}"
    return f"{count} {'model' if count == 1 else 'models'}{size}{score}"
