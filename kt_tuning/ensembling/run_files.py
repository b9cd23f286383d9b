"""Records of a run; files of its ensemble: model, validation predictions, test scores."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kt_tuning.core.atomic import atomic_write
from kt_tuning.core.errors import StorageError
from kt_tuning.core.json_record import content_checked, read_json, to_json_text
from kt_tuning.core.records import DataCard, SearchRecord, TrialRecord
from kt_tuning.data.pixel_cache import uses_without_run
from kt_tuning.ensembling.combination import Combination
from kt_tuning.ensembling.record import EnsembleRecord
from kt_tuning.evaluation import Scores, corrected_best_of_run, held_out_uses
from kt_tuning.evaluation.predict import Predicted
from kt_tuning.evaluation.selection_bias import CorrectedBest
from kt_tuning.evaluation.test_uses import HeldOutUses
from kt_tuning.run import Run
from kt_tuning.run.layout import (
    DATA,
    ENSEMBLE,
    PREDICTIONS,
    SCORES,
    SPLIT,
    final_model_file,
    is_run_directory,
)

if TYPE_CHECKING:
    import keras

VALIDATION, OUT_OF_FOLD = "validation", "out-of-fold"
FACTS = "kt_tuning.json"
"""File in the archive, which Keras ignores: record, data card and provenance of an `Ensemble`."""


@dataclasses.dataclass(frozen=True)
class RunRecords:
    """The records of a run.

    Attributes:
        name: Name of the directory.
        data: The images that were searched on; None for a search on other data.
        search: Settings of the search.
        trials: Every trial that has a result, in order of start.
        ensemble: Members and weights; None before that stage.
        scores: Scores of that ensemble on the test split; None before that stage.
        correction: The best validation score, corrected for selection; None if it is not known.
        uses: Uses of the test split of these data.
        refitted: Whether the models were trained again, on training and validation images.
    """

    name: str
    data: DataCard | None
    search: SearchRecord
    trials: tuple[TrialRecord, ...]
    ensemble: EnsembleRecord | None = None
    scores: Scores | None = None
    correction: CorrectedBest | None = None
    uses: HeldOutUses = dataclasses.field(default_factory=HeldOutUses)
    refitted: bool = False

    @classmethod
    def load(cls, directory: str | Path) -> RunRecords:
        """Read a run directory.

        Raises:
            StorageError: if it holds no search, or a file of it is damaged.
        """
        run = Run(directory)
        search, data = run.read_search(), run.data_card()
        uses = HeldOutUses()
        if data is not None:
            found = held_out_uses(directory, uses_without_run(data.fingerprint))
            uses = found.of(data.fingerprint)
        return RunRecords(
            name=run.path.resolve().name,
            data=data,
            search=search,
            trials=tuple(run.trials()),
            ensemble=run.read(EnsembleRecord, ENSEMBLE),
            scores=read_scores(directory),
            correction=corrected_best_of_run(directory),
            uses=uses,
            refitted=is_refitted(directory),
        )

    @property
    def card(self) -> DataCard:
        """The card of the images.

        Raises:
            StorageError: if the search was not on an `ImageData`.
        """
        if self.data is None:
            raise StorageError(f"The run {self.name} has no {DATA}: it was not on an ImageData.")
        return self.data

    @property
    def caveat(self) -> str | None:
        """A warning about repeated use of the test split, or None."""
        return self.uses.caveat(self.trials)

    @property
    def members(self) -> list[tuple[TrialRecord, float, float]]:
        """Trials that were combined, with their weights and temperatures."""
        if self.ensemble is None:
            return []
        records = {trial.trial_id: trial for trial in self.trials}
        made = self.ensemble.combination
        rows = zip(self.ensemble.trial_ids, made.weights, made.temperatures, strict=True)
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


@dataclasses.dataclass(frozen=True, eq=False)
class Validated(Predicted):
    """Predictions of images by models that were not trained on them.

    Members are combined and calibrated as the ensemble is, whose weights and calibration were
    fitted on these rows.

    Attributes:
        kind: "validation"; or "out-of-fold", where the N rows are those of the training and the
            validation split and each is predicted by models of the fold that left it out, one a
            member.
    """

    kind: str

    @property
    def accuracy(self) -> float:
        """Share of the rows that are predicted right."""
        return float((self.probabilities.argmax(axis=1) == self.labels).mean())


def trained_on_validation(directory: str | Path) -> bool:
    """Whether the models of a run were trained on its validation images: with folds, or again.

    Raises:
        StorageError: if the directory holds no search.
    """
    return Run(directory).read_search().folds > 1 or is_refitted(directory)


def is_refitted(directory: str | Path) -> bool:
    """Whether a run's models were trained again, on training and validation images.

    Raises:
        StorageError: if `ensemble.json` cannot be read.
    """
    run = Run(directory)
    record = run.read(EnsembleRecord, ENSEMBLE)
    return run.is_refit() or (record is not None and record.refitted)


def read_validated(directory: str | Path, best: str | None = None) -> Validated | None:
    """Read what the run's ensemble, or its best trial, says of validation images.

    Args:
        directory: The run directory.
        best: Id of the trial to read if there is no ensemble.

    Returns:
        The predictions; None if the run's models kept none: those that were trained again have
        none that are theirs.

    Raises:
        StorageError: if a file is damaged.
    """
    run = Run(directory)
    record, split = run.read(EnsembleRecord, ENSEMBLE), run.split()
    names = [name for name in (best,) if name is not None] if record is None else record.trial_ids
    combination = Combination((1.0,)) if record is None else record.combination
    members = []
    for place, name in enumerate(names):
        mirrors = record is not None and record.mirrors(place)
        found = run.mirrored_predictions(name) if mirrors else run.predictions(name)
        if found is not None:
            members.append(found)
    if split is None or not members or len(members) < len(names):
        return None
    labels = split.predicted_labels
    if len({member.shape for member in members}) > 1 or len(members[0]) != len(labels):
        raise StorageError(
            f"{PREDICTIONS} of each member in {directory} should have one row per validation image "
            f"of {SPLIT} and one column per class. Received: {[len(member) for member in members]} "
            f"rows for {len(labels)} labels"
        )
    probabilities = combination.predict(members)
    folds = run.read_search().folds
    return Validated(labels, probabilities, OUT_OF_FOLD if folds > 1 else VALIDATION)


def read_scores(directory: str | Path) -> Scores | None:
    """Read the test scores of a run's ensemble; None if it was not measured, or only another model.

    Raises:
        StorageError: if a file is damaged.
    """
    run = Run(directory)
    ensemble = run.read(EnsembleRecord, ENSEMBLE)
    if ensemble is None:
        return None
    scores = run.read(Scores, SCORES)
    if scores is None:
        return None
    if ensemble.model is None:
        # Earlier versions only knew which trials had been combined, and how.
        known = scores.model in (None, combination_digest(directory))
    else:
        known = scores.model == ensemble.model
    return scores if known else None


def combination_digest(directory: str | Path) -> str:
    """Return a digest of which models a run has combined, and how.

    Raises:
        StorageError: if the run has no `ensemble.json`.
    """
    path = Path(directory) / ENSEMBLE
    read = read_json(path, way_on=EnsembleRecord.way_on)
    EnsembleRecord.from_json(read, source=str(path))
    content = json.dumps(read, sort_keys=True)
    return hashlib.blake2b(content.encode(), digest_size=6).hexdigest()


def write_ensemble_file(path: Path, model: keras.Model, facts: Mapping[str, Any]) -> None:
    """Write a combined model and its facts; the file appears whole or not at all.

    Args:
        path: The file, with the suffix ".keras".
        model: The combined model.
        facts: JSON-able.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path, durable=True) as temporary:
        model.save(temporary)
        with zipfile.ZipFile(temporary, "a") as archive:
            archive.writestr(FACTS, to_json_text(facts))


def read_ensemble_file(path: Path) -> tuple[keras.Model, dict[str, Any]]:
    """Read what `write_ensemble_file` wrote: the combined model, and its facts.

    Raises:
        StorageError: if the file is missing, or something else.
    """
    if not path.is_file():
        raise StorageError(
            f"No such file: {path}. Expected a file of `ensemble.save`, or a run directory."
        )
    try:
        with zipfile.ZipFile(path) as archive:
            facts = json.loads(archive.read(FACTS))
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise StorageError(
            f"{path} was not written by `ensemble.save`, or is damaged. Any other Keras model is "
            f"read by `keras.models.load_model`. ({error})"
        ) from error
    return load_keras_model(path), facts


def load_keras_model(path: Path) -> keras.Model:
    """Read a Keras model that may have layers of `hypermodels`.

    Raises:
        StorageError: if the file is damaged.
    """
    import keras

    import hypermodels  # noqa: F401  its layers are registered by being imported

    way_on = (
        f"`kt-tuning finalize {path.parent}`, or in Python `tuner.ensemble()`, writes it again."
    )
    if not zipfile.is_zipfile(path):
        raise StorageError(f"{path} is damaged: it is no archive of a Keras model. {way_on}")
    with content_checked(path, way_on=way_on):
        model: keras.Model = keras.models.load_model(path, compile=False)
    return model


def find_ensemble_file(run: Path) -> Path:
    """Return the file of a run's present ensemble: of the one in its `ensemble.json`.

    Raises:
        StorageError: if there is none.
    """
    advice = f"Run `kt-tuning finalize {run}`, or in Python `tuner.ensemble()`, which write it."
    if not (run / ENSEMBLE).is_file():
        if not is_run_directory(run):
            raise StorageError(f"{run} is no run directory: no search has written into it.")
        raise StorageError(f"The trials of {run} have not been combined into a model yet. {advice}")
    path = final_model_file(run, combination_digest(run))
    if not path.is_file():
        raise StorageError(
            f"{run} has no Keras model of its ensemble: expected {path.name}. {advice}"
        )
    return path
