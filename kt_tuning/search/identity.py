"""Checks that a run directory holds the search that a tuner defines."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import keras_tuner
import numpy as np
from numpy.typing import NDArray
from optuna.storages import BaseStorage

from kt_tuning.core.errors import OtherSearchError, StorageError
from kt_tuning.core.records import DataCard, TrialRecord
from kt_tuning.core.units import count
from kt_tuning.data import ImageData
from kt_tuning.run import Run
from kt_tuning.run.layout import DEFINITION, STUDY
from kt_tuning.search.definition import SearchDefinition, read_definition
from kt_tuning.search.descriptions import as_stored, describe_model
from kt_tuning.search.run_directory import RunDirectory
from kt_tuning.search.stock_oracle import SearchOracle
from kt_tuning.search.study.open_study import read_earlier
from kt_tuning.search.study.storage import without_password

logger = logging.getLogger("kt_tuning")

LARGEST = 60_000
"""Largest attribute of a study in bytes that every database takes."""
LONGEST = 200
"""Largest number of characters of a container of plain values that is kept as text."""
LONGEST_SHOWN = 300
"""Largest number of characters of a value in a message about other data."""
_PLAIN = (bool, int, float, str)


class Identity:
    """Compares a search with its run directory and its study; only `note` writes."""

    def __init__(
        self,
        definition: SearchDefinition,
        hypermodel: keras_tuner.HyperModel,
        oracle: SearchOracle,
        run: RunDirectory,
    ) -> None:
        self._definition = SearchDefinition(**as_stored(definition.to_json()))
        self._hypermodel = hypermodel
        self._oracle = oracle
        self._run = run
        self._warned = False

    def trained_on(
        self, data: ImageData | None, args: tuple[Any, ...], fit_kwargs: Mapping[str, Any]
    ) -> None:
        """Set the data of the search: the images, or arguments of `fit`."""
        told: dict[str, Any] = {"kind": "ImageData"}
        if data is None:
            arguments = {**dict(zip(("x", "y"), args, strict=False)), **fit_kwargs}
            for without_effect in ("callbacks", "verbose"):
                arguments.pop(without_effect, None)
            told = {"kind": "arguments of fit", **describe_arguments(arguments)}
        self._definition = dataclasses.replace(self._definition, data=as_stored(told))

    def check_run(self, data: ImageData | None) -> None:
        """Refuse a run directory or a study of another search, or on other images.

        Raises:
            StorageError: if something differs; the message says what.
        """
        self.check()
        if self._oracle.storage is not None:
            self._check_study(self._oracle.storage)
        if data is not None:
            check_same_data(self._run.path, data)

    def check(self) -> None:
        """Refuse a run directory whose trials belong to another search.

        Raises:
            StorageError: if something differs; the message says what.
        """
        if self._run.trial_ids() or self._run.trials():
            earlier = read_definition(self._run)
            if earlier is not None:
                self._compare(earlier, trained=self._run.was_trained())
            self.check_study_file()

    def check_study_file(self) -> None:
        """Refuse a run directory with trials that has lost its study.db, with a StorageError."""
        in_run = self._oracle.keeps_study and self._oracle.storage is None
        if in_run and not (self._run.path / STUDY).exists() and self._run.trial_ids():
            raise StorageError(
                f"{self._run.path} holds {len(self._run.trial_ids())} trials but no {STUDY}. "
                "Pass the storage that the search was begun with, restore the file, or choose "
                "another run directory; `results` and `kt-tuning finalize` do not need it."
            )

    def _check_study(self, storage: str | Path | BaseStorage) -> None:
        """Refuse a study elsewhere that belongs to another search or lacks trials of the run."""
        attributes, known = read_earlier(storage, self._run.path.name)
        if DEFINITION in attributes:
            earlier = SearchDefinition.from_json(json.loads(attributes[DEFINITION]))
            self._compare(earlier, trained=known > 0)
        if known < len(self._run.trial_ids()):
            raise StorageError(
                f"{self._run.path} holds {len(self._run.trial_ids())} trials, but "
                f"{without_password(storage)} only {known}. Pass the storage that the search was "
                "begun with, or choose another project_name."
            )

    def note(self, data: ImageData | None, parts: Sequence[ImageData]) -> None:
        """Write the definition to the run directory and to a study elsewhere; and the data."""
        self._definition.save(self._run.path / DEFINITION)
        if data is not None:
            self._run.claim(data, [part.indices["validation"] for part in parts])
        if self._oracle.storage is not None:
            text = json.dumps(self._definition.to_json())
            if len(text) > LARGEST:
                text = json.dumps(dataclasses.replace(self._definition, model=None).to_json())
            study = self._oracle.study
            if study.user_attrs.get(DEFINITION) != text:
                study.set_user_attr(DEFINITION, text)

    def _compare(self, earlier: SearchDefinition, *, trained: bool) -> None:
        trials: list[TrialRecord] = [trial for trial in self._run.trials() if trial.usable]
        now, model_of = self._definition, self._model_of if trained else None
        if differences := earlier.differences(now, trials, model_of):
            raise OtherSearchError(
                f"{self._run.path} holds trials of another search. {'; '.join(differences)}. "
                "On the command line choose another run directory (--out) or delete the earlier "
                "search (--overwrite). In Python choose another project_name, which may learn from "
                "this search (warm_start=), or pass `overwrite=True`."
            )
        changed = None not in (earlier.code, now.code) and earlier.code != now.code
        if trials and changed and not self._warned:
            self._warned = True
            logger.warning(
                "The code of the hypermodel has changed since the last search in %s. Its default "
                "model is the same, so the search goes on; but if the change affects other values "
                "or the training, the results of %s so far are those of the former code.",
                self._run.path,
                count(len(trials), "trial"),
            )

    def _model_of(self, values: dict[str, Any]) -> list[dict[str, Any]]:
        hp = keras_tuner.HyperParameters()
        hp.values = dict(values)
        return describe_model(self._hypermodel.build(hp))


def describe_arguments(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return digests of the arrays and the plain values among the arguments of `fit`.

    Args:
        arguments: By name. Tensors and tables count as arrays, containers of plain values, such as
            `class_weight`, as text, a `tf.data.Dataset` as its size and the type of its elements;
            others, such as generators, are left out.
    """
    found: dict[str, Any] = {}
    for name, value in arguments.items():
        leaves = [leaf for leaf in keras.tree.flatten(value) if leaf is not None]
        arrays = [np.asarray(leaf) for leaf in leaves if hasattr(leaf, "__array__")]
        if isinstance(value, _PLAIN):
            found[name] = value
        elif hasattr(value, "element_spec") and hasattr(value, "cardinality"):
            found[name] = f"{int(value.cardinality())} of {value.element_spec}"[:LONGEST]
        elif all(isinstance(leaf, _PLAIN) for leaf in leaves):
            text = repr(value)
            digest = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
            found[name] = text if len(text) <= LONGEST else digest
        elif len(arrays) == len(leaves) and not any(array.dtype.hasobject for array in arrays):
            found[name] = _digest(arrays)
    return found


def _digest(arrays: Sequence[NDArray[Any]]) -> str:
    digest = hashlib.blake2b(digest_size=8)
    for array in arrays:
        digest.update(f"{array.shape} {array.dtype}".encode())
        digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def check_same_data(run: Path, data: ImageData) -> None:
    """Refuse other images than a run directory holds a search on.

    Raises:
        StorageError: if they are others.
    """
    known = Run(run).data_card()
    if known is not None and known.fingerprint != data.fingerprint:
        raise StorageError(
            f"{run} holds a search on other data. {_data_difference(Run(run), known, data)}. "
            "Choose another run directory (project_name=, --out), or have the earlier search "
            "deleted (overwrite=True, --overwrite)."
        )


def _data_difference(run: Run, known: DataCard, data: ImageData) -> str:
    """Describe how images differ from those of a run, with another fingerprint."""
    now = data.card
    compared = {
        "height, width and channels": (known.pixels.shape, now.pixels.shape),
        "classes": (known.class_names, now.class_names),
        "images of each class": (known.counts, now.counts),
    }
    told = [
        f"{name}: was {_shortened(was)}, now {_shortened(here)}"
        for name, (was, here) in compared.items()
        if was != here
    ]
    split = run.split()
    if not told and split is not None and np.array_equal(split.labels, data.labels):
        moved = [part for part, at in split.indices.items() if set(at) != set(data.indices[part])]
        if moved:
            told = [f"other images in the splits {', '.join(moved)} (seed, groups)"]
    return "; ".join(told) or f"images: was {known.source}, now others in {now.source}"


def _shortened(value: object) -> str:
    return textwrap.shorten(str(value), LONGEST_SHOWN, placeholder=" …")
