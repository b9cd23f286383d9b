"""Whether a run directory holds the search that a tuner asks for."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import Any

import keras
import keras_tuner
import numpy as np

from kt_tuning.data import ImageData
from kt_tuning.errors import StorageError
from kt_tuning.records import TrialRecord
from kt_tuning.search.definition import (
    DEFINITION,
    SearchDefinition,
    as_stored,
    describe_model,
    read_definition,
)
from kt_tuning.search.oracle import OptunaOracle
from kt_tuning.search.run_directory import RunDirectory
from kt_tuning.search.study import read_earlier
from kt_tuning.search.study.open_study import STUDY
from kt_tuning.search.study.urls import without_password

LARGEST = 60_000
"""Bytes of an attribute that every database takes."""


class Identity:
    """Compares a search with what its run directory and its study hold; writes only in `note`.

    Args:
        definition: Of the search.
        hypermodel: What is searched, with its recipe.
        oracle: Of the search.
        run: Its directory.
    """

    def __init__(
        self,
        definition: SearchDefinition,
        hypermodel: keras_tuner.HyperModel,
        oracle: keras_tuner.Oracle,
        run: RunDirectory,
    ) -> None:
        self._definition = SearchDefinition(**as_stored(definition.to_json()))
        self._hypermodel = hypermodel
        self._oracle = oracle
        self._run = run
        self._models: dict[str, list[dict[str, Any]]] = {}

    def trained_on(self, data: ImageData | None, arguments: Mapping[str, Any]) -> None:
        """Note what `search` was given, for what comes next.

        Args:
            data: The images, if it is images.
            arguments: What `fit` is given otherwise, by name.
        """
        told = {"kind": "ImageData"}
        if data is None:
            told = {"kind": "arguments of fit", **describe_arguments(arguments)}
        self._definition = dataclasses.replace(self._definition, data=as_stored(told))

    def check(self) -> None:
        """Refuse to go on in a directory whose trials mean something else.

        Raises:
            StorageError: if they do; it says what differs.
        """
        if self._run.trial_ids() or self._run.trials():
            self._compare(read_definition(self._run.path), trained=self._run.was_trained())
            self._check_study_is_there()

    def check_study(self) -> None:
        """Refuse a study of another search, where it is not in the directory.

        Raises:
            StorageError: if it cannot be opened, holds another search, or lacks the trials that
                are in the directory.
        """
        if not isinstance(self._oracle, OptunaOracle) or self._oracle.storage is None:
            return
        found = read_earlier(self._oracle.storage, self._run.path.name)
        if found is not None and DEFINITION in found.attributes:
            earlier = SearchDefinition.from_json(json.loads(found.attributes[DEFINITION]))
            self._compare(earlier, trained=found.trials > 0)
        known = 0 if found is None else found.trials
        if known < len(self._run.trial_ids()):
            storage = self._oracle.storage
            shown = without_password(storage) if isinstance(storage, str) else storage
            raise StorageError(
                f"{self._run.path} holds {len(self._run.trial_ids())} trials, of which {shown} "
                "does not know all. Pass the storage that they were searched with, or choose "
                "another project_name."
            )

    def note(self) -> None:
        """Keep the definition with the run, and with a study that is elsewhere."""
        self._definition.save(self._run.path / DEFINITION)
        if isinstance(self._oracle, OptunaOracle) and self._oracle.storage is not None:
            text = json.dumps(self._definition.to_json())
            if len(text) > LARGEST:
                text = json.dumps(dataclasses.replace(self._definition, model=None).to_json())
            self._oracle.note(DEFINITION, text)

    def _compare(self, earlier: SearchDefinition | None, *, trained: bool) -> None:
        if earlier is None:
            return
        trials: list[TrialRecord] = [trial for trial in self._run.trials() if trial.usable]
        model_of = self._model_of if trained else None
        if differences := earlier.differences(self._definition, trials, model_of):
            raise StorageError(
                f"{self._run.path} holds trials of another search. {'; '.join(differences)}. "
                "Choose another run directory (project_name=, --out), which may learn from this "
                "one (warm_start=), or have the earlier search deleted (overwrite=True, "
                "--overwrite)."
            )

    def _check_study_is_there(self) -> None:
        missing = isinstance(self._oracle, OptunaOracle) and self._oracle.storage is None
        if missing and not (self._run.path / STUDY).exists() and self._run.trial_ids():
            raise StorageError(
                f"{self._run.path} holds {len(self._run.trial_ids())} trials and no {STUDY}, "
                "which should know them. Pass the storage that they were searched with, put the "
                "file back, or choose another run directory."
            )

    def _model_of(self, values: dict[str, Any]) -> list[dict[str, Any]]:
        key = json.dumps(values, sort_keys=True)
        if key not in self._models:
            hp = keras_tuner.HyperParameters()
            hp.values = dict(values)
            self._models[key] = describe_model(self._hypermodel.build(hp))
        return self._models[key]


def describe_arguments(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Digests of arrays, and plain values, among the arguments of `fit`.

    Args:
        arguments: By name. What is neither, such as a data set, is left out.
    """
    found: dict[str, Any] = {}
    for name, value in arguments.items():
        leaves = [leaf for leaf in keras.tree.flatten(value) if leaf is not None]
        if leaves and all(
            isinstance(leaf, np.ndarray) and not leaf.dtype.hasobject for leaf in leaves
        ):
            digest = hashlib.blake2b(digest_size=8)
            for leaf in leaves:
                digest.update(f"{leaf.shape} {leaf.dtype}".encode())
                digest.update(np.ascontiguousarray(leaf).data)
            found[name] = digest.hexdigest()
        elif isinstance(value, (bool, int, float, str)):
            found[name] = value
    return found


def named(args: tuple[Any, ...], fit_kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of `fit` by name, but for those that do not decide what comes of it."""
    names = dict(zip(("x", "y"), args, strict=False))
    return {**names, **{k: v for k, v in fit_kwargs.items() if k not in ("callbacks", "verbose")}}
