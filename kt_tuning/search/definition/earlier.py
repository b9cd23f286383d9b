"""The definition of a search that is there, as far as files of older versions tell it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import keras_tuner

from kt_tuning.recipe import Recipe
from kt_tuning.records import SearchRecord, read_json
from kt_tuning.run import Run
from kt_tuning.run.layout import DEFINITION, OPTIONS, SEARCH, TRIAL_STATE
from kt_tuning.search.definition.record import FIXED, SearchDefinition
from kt_tuning.search.definition.state import NAME, STATE

PARTIAL = "partial"
"""What a `functools.partial` is called in search.json."""


def read_definition(run: Path) -> SearchDefinition | None:
    """What was searched in a run directory; None if nothing was.

    Raises:
        StorageError: if a file is damaged.
    """
    files = Run(run)
    if (found := files.read(SearchDefinition, DEFINITION)) is not None:
        return found
    if (search := files.read(SearchRecord, SEARCH)) is None:
        return None
    asked = read_json(run / OPTIONS) if (run / OPTIONS).is_file() else {}
    fields = {field.name for field in dataclasses.fields(Recipe)}
    name = search.hypermodel.partition("(")[0]
    state = {FIXED: asked["fixed"]} if len(asked.get("hypermodel", ())) == 1 else {}
    several = isinstance(asked.get("objective"), list) and len(asked["objective"]) > 1
    recipe = {key: value for key, value in asked.items() if key in fields}
    if recipe.get("augment", "") is None:
        # What suited the images.
        del recipe["augment"]
    return SearchDefinition(
        hypermodel=None if name == PARTIAL else {NAME: name, STATE: state},
        recipe=recipe or None,
        # A search.json tells the first one only.
        objectives=None if several else [[search.objective, search.direction]],
        seed=search.seed,
        folds=search.folds,
        executions=search.executions,
        space=_first_space(run),
    )


def _first_space(run: Path) -> list[dict[str, Any]] | None:
    """The space that trial 0 had: later builds may have asked for more."""
    for path in sorted(run.glob(f"trial_*/{TRIAL_STATE}"))[:1]:
        try:
            config = json.loads(path.read_text(encoding="utf-8"))["hyperparameters"]
            space = keras_tuner.HyperParameters.from_config(config)
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return space.get_config()["space"]
    return None
