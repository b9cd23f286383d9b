"""A folder of members belongs to what its members are trained by."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import keras_tuner

from kt_tuning.data import ImageData
from kt_tuning.errors import StorageError
from kt_tuning.finalize.configuration import Configuration
from kt_tuning.records import CONFIGURATION, read_json, write_json
from kt_tuning.search.run_directory import RunDirectory


def definition(configuration: Configuration, kind: str, marks: Mapping[str, Any]) -> dict[str, Any]:
    """What decides what a member becomes, as JSON has it.

    Args:
        configuration: What is trained.
        kind: What is done, e.g. "bag".
        marks: What else counts, by name.
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
        **marks,
    }
    plain: dict[str, Any] = json.loads(json.dumps(asked))
    return plain


def check_claim(files: RunDirectory, asked: Mapping[str, Any], data: ImageData, kind: str) -> None:
    """Refuse a folder of something else; nothing is written.

    Args:
        files: The folder.
        asked: See `definition`.
        data: What is trained on.
        kind: What is done.

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
    elif (files.path / "search.json").exists():
        raise StorageError(
            f"{files.path} holds a search: members go into a folder of their own, such as "
            f"{files.path / kind}."
        )
    files.check_data(data)


def claim(files: RunDirectory, asked: dict[str, Any], data: ImageData) -> None:
    """Note what is trained in a folder."""
    files.claim(data, [data.indices["validation"]])
    write_json(files.path / CONFIGURATION, asked)
