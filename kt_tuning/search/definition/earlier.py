"""Reading the definition of a search from a run directory, also of older versions."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import keras_tuner

from kt_tuning.recipe import Recipe
from kt_tuning.records import SearchRecord, read_json
from kt_tuning.search.definition.record import DEFINITION, FIXED, SearchDefinition
from kt_tuning.search.definition.state import NAME, STATE

PARTIAL = "partial"
"""Name of a `functools.partial` in search.json."""


def read_definition(run: Path) -> SearchDefinition | None:
    """Return the definition of the search in a run directory; None if there is none.

    Raises:
        StorageError: if a file is damaged.
    """
    if (run / DEFINITION).is_file():
        return SearchDefinition.load(run / DEFINITION)
    if not (run / "search.json").is_file():
        return None
    search = SearchRecord.load(run / "search.json")
    asked = read_json(run / "options.json") if (run / "options.json").is_file() else {}
    fields = {field.name for field in dataclasses.fields(Recipe)}
    name = search.hypermodel.partition("(")[0]
    state = {FIXED: asked["fixed"]} if len(asked.get("hypermodel", ())) == 1 else {}
    several = isinstance(asked.get("objective"), list) and len(asked["objective"]) > 1
    recipe = {key: value for key, value in asked.items() if key in fields}
    if recipe.get("augment", "") is None:
        # Chosen for the images.
        del recipe["augment"]
    return SearchDefinition(
        hypermodel=None if name == PARTIAL else {NAME: name, STATE: state},
        recipe=recipe or None,
        # search.json has the first objective only.
        objectives=None if several else [[search.objective, search.direction]],
        seed=search.seed,
        folds=search.folds,
        executions=search.executions,
        space=_first_space(run),
    )


def _first_space(run: Path) -> list[dict[str, Any]] | None:
    """Return the space of trial 0, to which later builds may have added."""
    for path in sorted(run.glob("trial_*/trial.json"))[:1]:
        try:
            config = json.loads(path.read_text(encoding="utf-8"))["hyperparameters"]
            space = keras_tuner.HyperParameters.from_config(config)
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return space.get_config()["space"]
    return None
