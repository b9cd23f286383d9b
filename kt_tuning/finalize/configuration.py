"""A configuration to train after a search, and the combination of its models."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import keras_tuner

from hypermodels import ConvNet
from kt_tuning.core.errors import SearchError
from kt_tuning.core.units import check_count
from kt_tuning.data import ImageData
from kt_tuning.ensembling import Candidates, Ensemble, EnsembleRecord
from kt_tuning.evaluation.selection_bias import EPOCH_CAVEAT
from kt_tuning.recipe import Recipe
from kt_tuning.run import Run
from kt_tuning.run.layout import ENSEMBLE
from kt_tuning.search import Tuner
from kt_tuning.search.auto import Plan
from kt_tuning.search.budget import family_of
from kt_tuning.search.objectives import find_objectives
from kt_tuning.search.recipe_hypermodel import RecipeHyperModel
from kt_tuning.trials import member_of

logger = logging.getLogger("kt_tuning")


@dataclasses.dataclass(frozen=True, eq=False)
class Configuration:
    """A hypermodel with values of its hyperparameters, and how it is trained.

    Attributes:
        hypermodel: A `keras_tuner.HyperModel`, or a function `build(hp)` that returns a compiled
            model.
        values: Values of the hyperparameters, including those of the recipe; missing ones have
            their defaults.
        recipe: How it is trained.
        epochs: Epochs of a full training, at least 1.
        objective: Metric by which the best epoch is chosen: "val_loss", or `val_` and a name in
            `METRICS`.
        seed: The same seed gives the same models.

    Raises:
        OptionError: if a value is out of range.
    """

    hypermodel: Any
    values: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    recipe: Recipe = dataclasses.field(default_factory=Recipe)
    epochs: int = 30
    objective: str | keras_tuner.Objective = "val_accuracy"
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "epochs", check_count("epochs", self.epochs))
        object.__setattr__(self, "seed", check_count("seed", self.seed, least=0))
        (found,) = find_objectives(self.objective)
        object.__setattr__(self, "objective", found)
        hypermodel = self.hypermodel
        if isinstance(hypermodel, RecipeHyperModel) and hypermodel.recipe != self.recipe:
            hypermodel = hypermodel.wrapped
        if not isinstance(hypermodel, RecipeHyperModel):
            object.__setattr__(self, "hypermodel", RecipeHyperModel(hypermodel, self.recipe))

    @classmethod
    def of(cls, tuner: Tuner, rank: int = 0) -> Self:
        """Return the configuration of a trial, with the number of epochs of a full training.

        Args:
            tuner: The tuner of a search.
            rank: 0 for the best trial, 1 for the second best, and so on.

        Raises:
            SearchError: if fewer trials have completed.
        """
        best = tuner.get_best_hyperparameters(rank + 1)
        if len(best) <= rank:
            raise SearchError(
                f"Expected at least {rank + 1} completed trials. Received: a search with "
                f"{len(best)}. Call `search` first."
            )
        values = dict(best[rank].values)
        most = Run(tuner.run_directory).read_search().epochs
        epochs = Plan(choice=tuner.choice).epochs(most).get(family_of(values), most)
        return cls(tuner.hypermodel, values, tuner.recipe, epochs, tuner.objectives[0], tuner.seed)

    @classmethod
    def student_of(cls, tuner: Tuner, data: ImageData) -> Self:
        """Return the configuration of the best trial that can learn from a teacher.

        Linear probes cannot, since their weights are not trained with a loss. If all trials are
        linear probes, it is a `ConvNet` with its default values.

        Args:
            tuner: The tuner of a search.
            data: The data of the search.

        Raises:
            SearchError: if no trial has completed.
        """
        best = cls.of(tuner)
        if best.by_epochs:
            return best
        count = len(tuner.get_best_hyperparameters(len(tuner.results())))
        others = (cls.of(tuner, rank) for rank in range(1, count))
        found = next((other for other in others if other.by_epochs), None)
        if found is None:
            logger.info(
                "All trials are linear probes, which cannot learn from a teacher: the student is a "
                "ConvNet with its default values."
            )
            network = ConvNet(data.input_shape, data.classes)
            return dataclasses.replace(best, hypermodel=network, values={})
        logger.info(
            "The best trial is a linear probe, which cannot learn from a teacher: the student has "
            "the configuration of the best %s.",
            family_of(found.values),
        )
        return found

    @property
    def by_epochs(self) -> bool:
        """Whether it is trained with a loss for several epochs; a linear probe is not."""
        return bool(getattr(member_of(self.hypermodel, self.values), "by_epochs", True))

    def hyperparameters(self, **metadata: Any) -> keras_tuner.HyperParameters:
        """Return the values as hyperparameters for `build`.

        Args:
            **metadata: Further values, which no hypermodel reads.
        """
        hp = keras_tuner.HyperParameters()
        hp.values = {**self.values, **metadata}
        return hp


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
