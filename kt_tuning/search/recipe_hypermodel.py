"""A hypermodel with the recipe that trains its models, its hyperparameters and search space."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any, Self

import keras
import keras_tuner
from keras_tuner.src.engine.hypermodel import get_hypermodel

from kt_tuning.core.errors import OptionError
from kt_tuning.recipe import Recipe
from kt_tuning.trials import unwrapped
from kt_tuning.trials.building import sharing

KERAS_METRICS = ("loss", "compile_metric", "compile_metrics")
"""Names of what Keras puts into `Model.metrics` besides the metrics that were compiled."""

Scope = list[Any]
"""The conditions of nested `hp.conditional_scope`s."""


class HyperParameters(keras_tuner.HyperParameters):
    """The search space and the values of one configuration, as in KerasTuner.

    It is passed to hypermodels and to `run_trial`. Unlike in KerasTuner, `Choice` of booleans
    returns a boolean instead of 0 or 1.
    """

    @classmethod
    def sharing(cls, hp: keras_tuner.HyperParameters) -> Self:
        """Return an object of this class that shares space and values with another one."""
        if isinstance(hp, cls):
            return hp
        made = cls.__new__(cls)
        made.__dict__ = hp.__dict__
        return made

    def copy(self) -> Self:
        """Return an independent copy."""
        return self.from_config(self.get_config())

    def Choice(  # noqa: N802 (KerasTuner's name)
        self,
        name: str,
        values: Sequence[Any],
        ordered: bool | None = None,
        default: Any = None,
        parent_name: str | None = None,
        parent_values: Any = None,
    ) -> Any:
        """Return one of several values of the same type.

        Two booleans are searched as `Boolean`, a single one is `Fixed`.

        Args:
            name: Name of the hyperparameter, unique in the space.
            values: Values of type int, float, str or bool.
            ordered: Whether the values have an order; by default those of numbers do.
            default: One of `values`; the first one if None.
            parent_name: Name of a hyperparameter that this one depends on.
            parent_values: Its values for which this one is active.

        Returns:
            The value; None if the hyperparameter is not active.

        Raises:
            TypeError: if the values have several types, or another one.
            ValueError: if there are no values, or the default is none of them.
        """
        given = list(values)
        parent = {"parent_name": parent_name, "parent_values": parent_values}
        if not given or not all(isinstance(value, bool) for value in given):
            return super().Choice(name, given, ordered, default, **parent)
        default = given[0] if default is None else default
        if default not in given:
            raise ValueError(
                f"The default value should be one of the choices. Received for {name!r}: "
                f"values={given}, default={default!r}"
            )
        if len(set(given)) == 1:
            value = self.Fixed(name, given[0], **parent)
        else:
            value = self.Boolean(name, bool(default), **parent)
        # A search of KerasTuner has stored 0 or 1.
        return None if value is None else bool(value)


class RecipeHyperModel(keras_tuner.HyperModel):
    """Adds the recipe's hyperparameters to those of any hypermodel.

    Args:
        hypermodel: A `keras_tuner.HyperModel`, or a function `build(hp)` -> compiled model.
        recipe: How models are trained.
        strategy: A `tf.distribute.Strategy` whose scope models are built in, or None.
        **compiling: Arguments of `Model.compile` that models are compiled anew with: `optimizer`,
            which is copied for each model, `loss` and `metrics`. None keeps the model's.

    Attributes:
        adds_recipe: True, by which `unwrapped` knows it.
        wrapped: The hypermodel.
        recipe: As above.
        title: Name of the hypermodel, and of its families.
        strategy: As above.
        compiling: The arguments of `Model.compile` that are not None.

    Raises:
        OptionError: if `hypermodel` is neither.
    """

    adds_recipe = True

    def __init__(
        self, hypermodel: Any, recipe: Recipe, *, strategy: Any = None, **compiling: Any
    ) -> None:
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
        kind: str = getattr(hypermodel, "__name__", type(hypermodel).__name__)
        members = getattr(hypermodel, "members", ())
        self.title = f"{kind}({', '.join(members)})" if members else kind
        self.wrapped = get_hypermodel(hypermodel)
        self._given = hypermodel
        self.recipe = recipe
        self.strategy = strategy
        self.compiling = {name: value for name, value in compiling.items() if value}

    @property
    def shown(self) -> str:
        """Representation of the hypermodel; of a function its name."""
        return str(getattr(self._given, "__name__", None) or repr(self._given))

    def __repr__(self) -> str:
        return f"RecipeHyperModel({self.shown}, {self.recipe!r})"

    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        """Build the wrapped hypermodel's model, and compile it anew if that is asked for."""
        with contextlib.nullcontext() if self.strategy is None else self.strategy.scope():
            model = self.wrapped.build(HyperParameters.sharing(hp))
            if self.compiling:
                model.compile(**self._compile_arguments(model))
        return model

    def _compile_arguments(self, model: keras.Model) -> dict[str, Any]:
        compiled = {
            "optimizer": model.optimizer,
            "loss": model.loss,
            "metrics": [each for each in model.metrics if each.name not in KERAS_METRICS],
        }
        arguments = {**compiled, **self.compiling}
        if isinstance(arguments["optimizer"], keras.optimizers.Optimizer):
            # An optimizer belongs to the variables of one model.
            config = keras.optimizers.serialize(arguments["optimizer"])
            arguments["optimizer"] = keras.optimizers.deserialize(config)
        return arguments

    def declare_hyperparameters(self, hp: keras_tuner.HyperParameters) -> None:
        """Register the hyperparameters that only `fit` uses."""
        self.recipe.declare(hp)
        self.wrapped.declare_hyperparameters(HyperParameters.sharing(hp))

    def fit(
        self, hp: keras_tuner.HyperParameters, model: keras.Model, *args: Any, **kwargs: Any
    ) -> Any:
        """Train as the wrapped hypermodel does."""
        return self.wrapped.fit(HyperParameters.sharing(hp), model, *args, **kwargs)


def discover_space(
    hypermodel: keras_tuner.HyperModel, oracle: keras_tuner.Oracle
) -> tuple[keras.Model, dict[str, Any]]:
    """Add all hyperparameters that KerasTuner would find to the space of an oracle.

    Conditional hyperparameters may appear only in a build in which their condition holds.
    KerasTuner builds once for each condition; here one build satisfies as many as possible.

    Args:
        hypermodel: If its attribute `asks_everything` is true, each build asks for all
            hyperparameters, active or not, and one build is enough.
        oracle: Its space may hold hyperparameters that are fixed or narrowed.

    Returns:
        The model of the default configuration, and its values.
    """
    hp = oracle.get_space()
    with sharing(hypermodel):
        hypermodel.declare_hyperparameters(hp)
    oracle.update_space(hp)
    hp, model = _build(hypermodel, oracle, [])
    defaults = dict(hp.values)
    done: list[Scope] = []
    waiting: list[Scope] = []
    while not getattr(unwrapped(hypermodel), "asks_everything", False):
        done += hp.active_scopes
        met = [*waiting, *hp.inactive_scopes]
        waiting = [s for i, s in enumerate(met) if s not in done and s not in met[:i]]
        if not waiting:
            break
        # Contradictory conditions are tried once only.
        done.append(waiting[0])
        try:
            hp, _ = _build(hypermodel, oracle, waiting)
        except Exception:  # conditions of different branches need not be compatible
            hp, _ = _build(hypermodel, oracle, waiting[:1])
    return model, defaults


def _build(
    hypermodel: keras_tuner.HyperModel, oracle: keras_tuner.Oracle, scopes: Sequence[Scope]
) -> tuple[keras_tuner.HyperParameters, keras.Model]:
    """Build once with as many scopes active as possible, the first one in any case."""
    values: dict[str, Any] = {}
    for scope in scopes:
        if all(values.get(parent.name, parent.values[0]) in parent.values for parent in scope):
            values = {**{parent.name: parent.values[0] for parent in scope}, **values}
    hp = oracle.get_space()
    hp.values.update(values)
    # Parents come before their children.
    for entry in hp.space:
        if not hp.is_active(entry):
            hp.values.pop(entry.name, None)
        elif entry.name not in hp.values:
            hp.values[entry.name] = entry.default
    with sharing(hypermodel):
        model = hypermodel.build(hp)
    oracle.update_space(hp)
    return hp, model
