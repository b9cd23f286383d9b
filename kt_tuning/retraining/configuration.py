"""What is trained again: one configuration, a search's winner or any other."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Self

import keras_tuner

from kt_tuning.errors import SearchError
from kt_tuning.recipe import Recipe
from kt_tuning.records import SearchRecord
from kt_tuning.search import Tuner
from kt_tuning.search.options import check_count, find_objectives
from kt_tuning.search.recipe_hypermodel import RecipeHyperModel


@dataclasses.dataclass(frozen=True, eq=False)
class Configuration:
    """A hypermodel with values for its hyperparameters, and how it is trained.

    Attributes:
        hypermodel: A `keras_tuner.HyperModel`, or a function `build(hp)` -> compiled model.
        values: Of the hyperparameters, the recipe's included; what is missing has its default.
        recipe: How it is trained.
        epochs: Of a full training.
        objective: Decides which epoch is kept: "val_loss" or "val_" and a name in `METRICS`.
        seed: Same seed, same models.

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
        check_count("epochs", self.epochs)
        check_count("seed", self.seed, least=0)
        (found,) = find_objectives(self.objective)
        object.__setattr__(self, "objective", found)
        hypermodel = self.hypermodel
        if isinstance(hypermodel, RecipeHyperModel) and hypermodel.recipe != self.recipe:
            hypermodel = hypermodel.wrapped
        if not isinstance(hypermodel, RecipeHyperModel):
            object.__setattr__(self, "hypermodel", RecipeHyperModel(hypermodel, self.recipe))

    @classmethod
    def of(cls, tuner: Tuner, rank: int = 0) -> Self:
        """Take a trial of a search, to be trained for as many epochs as a full trial had.

        Args:
            tuner: Has searched.
            rank: 0 is the best trial, 1 the second best, and so on.

        Raises:
            SearchError: if so many trials have not completed.
        """
        best = tuner.get_best_hyperparameters(rank + 1)
        if len(best) <= rank:
            raise SearchError(
                f"Expected at least {rank + 1} completed trials. Received: a search with "
                f"{len(best)}. Call `search` first."
            )
        return cls(
            tuner.hypermodel,
            dict(best[rank].values),
            tuner.recipe,
            SearchRecord.load(tuner.run_directory / "search.json").epochs,
            tuner.objectives[0],
            tuner.seed,
        )

    def hyperparameters(self, **marks: Any) -> keras_tuner.HyperParameters:
        """Return the values for a build.

        Args:
            **marks: More values, which no hypermodel asks for.
        """
        hp = keras_tuner.HyperParameters()
        hp.values = {**self.values, **marks}
        return hp
