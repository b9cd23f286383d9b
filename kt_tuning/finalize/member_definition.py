"""The definition of members that are trained after a search: a folder holds those of one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import keras_tuner

from kt_tuning.core.errors import StorageError
from kt_tuning.core.json_record import read_json, write_json
from kt_tuning.data import ImageData
from kt_tuning.finalize.configuration import Configuration
from kt_tuning.run.layout import CONFIGURATION, SEARCH
from kt_tuning.search.run_directory import RunDirectory


def definition(
    configuration: Configuration, kind: str, metadata: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the options that decide what a member becomes, JSON-able.

    Args:
        configuration: What is trained.
        kind: Kind of training, e.g. "bag".
        metadata: Further options, by name.
    """
    assert isinstance(configuration.objective, keras_tuner.Objective)
    asked = {
        "kind": kind,
        "hypermodel": configuration.hypermodel.title,
        "objective": configuration.objective.name,
        "epochs": configuration.epochs,
        "seed": configuration.seed,
        "recipe": repr(configuration.recipe),
        **configuration.values,
        **metadata,
    }
    plain: dict[str, Any] = json.loads(json.dumps(asked))
    return plain


def check_compatible(
    files: RunDirectory, asked: Mapping[str, Any], data: ImageData, kind: str
) -> None:
    """Refuse a folder of other members; nothing is written.

    Args:
        files: The folder.
        asked: See `definition`.
        data: The data that members are trained on.
        kind: Kind of training.

    Raises:
        StorageError: if the folder holds members of something else, or a search.
    """
    path = files.path / CONFIGURATION
    if path.exists():
        known = read_json(path)
        for name, value in asked.items():
            if known.get(name) != value:
                raise StorageError(
                    f"{files.path} holds members of something else: {name}={known.get(name)!r}, "
                    f"now {value!r}. Choose another directory, or pass overwrite=True."
                )
    elif (files.path / SEARCH).exists():
        raise StorageError(
            f"{files.path} holds a search: members go into a folder of their own, such as "
            f"{files.path / kind}."
        )
    files.check_data(data)


def write_definition(files: RunDirectory, asked: dict[str, Any], data: ImageData) -> None:
    """Write the data and the definition of the members into their folder."""
    files.claim(data, [data.indices["validation"]])
    write_json(files.path / CONFIGURATION, asked)
