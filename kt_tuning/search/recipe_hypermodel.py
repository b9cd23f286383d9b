"""A hypermodel with the recipe that trains its models."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import keras_tuner

from kt_tuning.core.errors import OptionError
from kt_tuning.recipe import Recipe
from kt_tuning.trials import member_of


class RecipeHyperModel(keras_tuner.HyperModel):
    """Adds the recipe's hyperparameters to those of any hypermodel.

    Args:
        hypermodel: A `keras_tuner.HyperModel`, or a function `build(hp)` -> compiled model.
        recipe: How models are trained.

    Raises:
        OptionError: if `hypermodel` is neither.
    """

    def __init__(self, hypermodel: Any, recipe: Recipe) -> None:
        if not isinstance(hypermodel, keras_tuner.HyperModel) and not callable(hypermodel):
            raise OptionError(
                "The `hypermodel` argument should be either a keras_tuner.HyperModel, such as "
                "hypermodels.ConvNet(...), or a "
                f"function build(hp) that returns a compiled model. Received: {hypermodel!r}"
            )
        if isinstance(hypermodel, type):
            raise OptionError(
                "`hypermodel` is an instance, not a class: write "
                f"{hypermodel.__name__}(data.input_shape, data.classes)."
            )
        super().__init__()
        self.title = _title(hypermodel)
        is_function = not isinstance(hypermodel, keras_tuner.HyperModel)
        self.wrapped = DefaultHyperModel(hypermodel) if is_function else hypermodel
        self.recipe = recipe

    def __repr__(self) -> str:
        return f"RecipeHyperModel({self.wrapped!r}, {self.recipe!r})"

    @property
    def asks_everything(self) -> bool:
        """Whether each build of the wrapped hypermodel asks for all hyperparameters."""
        return getattr(self.wrapped, "asks_everything", False)

    def member(self, values: Mapping[str, Any]) -> keras_tuner.HyperModel:
        """Return the hypermodel of a configuration: that of the chosen family of several."""
        return member_of(self.wrapped, values)

    def backbone_origin(self, hp: keras_tuner.HyperParameters) -> Any:
        """Return the origin of a configuration's pre-trained network; None if it has none."""
        origin_of = getattr(self.wrapped, "backbone_origin", None)
        return None if origin_of is None else origin_of(hp)

    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        """Build the wrapped hypermodel's model."""
        return self.wrapped.build(hp)

    def declare_hyperparameters(self, hp: keras_tuner.HyperParameters) -> None:
        """Register the hyperparameters that only `fit` uses."""
        self.recipe.declare(hp)
        self.wrapped.declare_hyperparameters(hp)

    def fit(
        self, hp: keras_tuner.HyperParameters, model: keras.Model, *args: Any, **kwargs: Any
    ) -> Any:
        """Train as the wrapped hypermodel does."""
        return self.wrapped.fit(hp, model, *args, **kwargs)


def _title(hypermodel: Any) -> str:
    """Return a title such as "ConvNet", "Families(convnet, resnet)" or "build"."""
    kind: str = getattr(hypermodel, "__name__", type(hypermodel).__name__)
    members = getattr(hypermodel, "members", ())
    return f"{kind}({', '.join(members)})" if members else kind


class DefaultHyperModel(keras_tuner.HyperModel):
    """A hypermodel of a function `build(hp)`, under the name that KerasTuner gives it."""

    def __init__(self, build: Callable[[keras_tuner.HyperParameters], keras.Model]) -> None:
        super().__init__()
        self._function = build

    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        """Call the function."""
        return self._function(hp)

    def __repr__(self) -> str:
        return str(getattr(self._function, "__name__", repr(self._function)))
