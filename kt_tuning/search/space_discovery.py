"""Finding the whole search space before the first trial with few builds.

Conditional hyperparameters may appear only in a build in which their condition holds. KerasTuner
builds once for each condition. Here one build satisfies as many conditions as possible, and a
hypermodel can declare that the first build asks for all hyperparameters.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import keras
import keras_tuner

from kt_tuning.export import export_obstacle

logger = logging.getLogger("kt_tuning")

Scope = list[Any]
"""The conditions of nested `hp.conditional_scope`s."""


def discover_space(
    hypermodel: keras_tuner.HyperModel, oracle: keras_tuner.Oracle
) -> tuple[keras.Model, dict[str, Any]]:
    """Add all hyperparameters that KerasTuner would find to the space of an oracle.

    A warning is logged if the model of the defaults cannot be exported.

    Args:
        hypermodel: If its attribute `asks_everything` is true, each build asks for all
            hyperparameters, active or not, and one build is enough.
        oracle: Its space may hold hyperparameters that are fixed or narrowed.

    Returns:
        The model of the default configuration, and its values.
    """
    hp = oracle.get_space()
    hypermodel.declare_hyperparameters(hp)
    oracle.update_space(hp)
    hp, model = _build(hypermodel, oracle, [])
    if isinstance(model, keras.Model) and (obstacle := export_obstacle(model)) is not None:
        logger.warning("%s", obstacle)
    defaults = dict(hp.values)
    if getattr(hypermodel, "asks_everything", False):
        return model, defaults
    done: list[Scope] = []
    waiting: list[Scope] = []
    while True:
        done += hp.active_scopes
        met = [*waiting, *hp.inactive_scopes]
        waiting = [s for i, s in enumerate(met) if s not in done and s not in met[:i]]
        if not waiting:
            return model, defaults
        # Contradictory conditions are tried once only.
        done.append(waiting[0])
        try:
            hp, _ = _build(hypermodel, oracle, waiting)
        except Exception:  # conditions of different branches need not be compatible
            hp, _ = _build(hypermodel, oracle, waiting[:1])


def _build(
    hypermodel: keras_tuner.HyperModel, oracle: keras_tuner.Oracle, scopes: Sequence[Scope]
) -> tuple[keras_tuner.HyperParameters, keras.Model]:
    """Build once with as many scopes active as possible, the first one in any case."""
    hp = oracle.get_space()
    hp.values.update(_together(scopes))
    # Parents come before their children.
    for entry in hp.space:
        if not hp.is_active(entry):
            hp.values.pop(entry.name, None)
        elif entry.name not in hp.values:
            hp.values[entry.name] = entry.default
    model = hypermodel.build(hp)
    oracle.update_space(hp)
    return hp, model


def _together(scopes: Sequence[Scope]) -> dict[str, Any]:
    """Return values of parents by name for which the first scope and many others are active."""
    values: dict[str, Any] = {}
    for scope in scopes:
        if all(values.get(parent.name, parent.values[0]) in parent.values for parent in scope):
            values = {**{parent.name: parent.values[0] for parent in scope}, **values}
    return values
