"""A folder of members belongs to what its members are trained by."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import keras_tuner

from kt_tuning.data import ImageData
from kt_tuning.errors import StorageError
from kt_tuning.records import CONFIGURATION, read_json, write_json
from kt_tuning.retraining.configuration import Configuration
from kt_tuning.search.run_directory import RunDirectory


def claim(
    files: RunDirectory,
    configuration: Configuration,
    data: ImageData,
    kind: str,
    marks: Mapping[str, Any],
) -> None:
    """Note what is trained in a folder, unless that is something else.

    Args:
        files: The folder.
        configuration: What is trained.
        data: What it is trained on.
        kind: What is done, e.g. "bag".
        marks: What else decides what a member becomes, by name.

    Raises:
        StorageError: if the folder holds members of something else, or a search.
    """
    path = files.path / CONFIGURATION
    assert isinstance(configuration.objective, keras_tuner.Objective)
    asked = {
        "kind": kind,
        "hypermodel": configuration.hypermodel.title,
        "objective": configuration.objective.name,
        "epochs": configuration.epochs,
        "seed": configuration.seed,
        "recipe": repr(configuration.recipe),
        **configuration.values,
        **marks,
    }
    if path.exists():
        known = read_json(path)
        for name, value in json.loads(json.dumps(asked)).items():
            if known.get(name) != value:
                raise StorageError(
                    f"{files.path} holds members of something else: {name}={known.get(name)!r}, "
                    f"now {value!r}. Choose another directory, or pass overwrite=True."
                )
    elif (files.path / "search.json").exists():
        raise StorageError(
            f"{files.path} holds a search: members go into a folder of their own, such as "
            f"{files.path / kind}."
        )
    files.claim(data, [data.indices["validation"]])
    write_json(path, asked)
