"""Finding the whole search space before the first trial, in few builds.

Hyperparameters that are asked for under a condition may come to light only in a build in which that
condition holds. KerasTuner makes such a build for each condition that it has met, one after the
other. Most conditions can hold together, and a hypermodel may promise that none of that is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import keras_tuner

Scope = list[Any]
"""The conditions of the `hp.conditional_scope`s that are open within each other."""


def discover_space(
    hypermodel: keras_tuner.HyperModel, oracle: keras_tuner.Oracle
) -> tuple[keras.Model, dict[str, Any]]:
    """Tell an oracle of all hyperparameters: those that KerasTuner would find.

    Args:
        hypermodel: If it has an attribute `asks_everything` that is true, each of its builds asks
            for all hyperparameters, active or not, and one build is enough.
        oracle: Its space may hold hyperparameters that were fixed or narrowed in advance.

    Returns:
        What was built first, and of which values: the defaults.
    """
    hp = oracle.get_space()
    hypermodel.declare_hyperparameters(hp)
    oracle.update_space(hp)
    hp, model = _build(hypermodel, oracle, [])
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
        # Whatever comes of it: conditions that contradict each other are never met.
        done.append(waiting[0])
        try:
            hp, _ = _build(hypermodel, oracle, waiting)
        except Exception:  # what nobody asked for together need not go together
            hp, _ = _build(hypermodel, oracle, waiting[:1])


def _build(
    hypermodel: keras_tuner.HyperModel, oracle: keras_tuner.Oracle, scopes: Sequence[Scope]
) -> tuple[keras_tuner.HyperParameters, keras.Model]:
    """Build once with as many of the scopes active as go together, the first one above all."""
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
    """Values of parents, by name, for which the first scope and many others are active."""
    values: dict[str, Any] = {}
    for scope in scopes:
        if all(values.get(parent.name, parent.values[0]) in parent.values for parent in scope):
            values = {**{parent.name: parent.values[0] for parent in scope}, **values}
    return values
