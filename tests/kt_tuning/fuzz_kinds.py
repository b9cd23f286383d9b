"""All kinds of fuzzed input, for the tests and for `benchmarks/fuzz.py`.

TensorFlow is imported by the kinds that need it only: decoding images takes less memory without.
"""

from __future__ import annotations

import contextlib
import json
import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import printed_by, write_photos
from damaged_runs import REACHED, VERBS, ReachedError, files_of, made_quick, make_runs, summary
from fuzz_data import Arrays, Folders, Images, Tables
from fuzz_inputs import (
    LARGE,
    edited,
    edits,
    json_changed,
    json_changes,
    json_values,
    picture_bytes,
    pictures,
    texts,
)
from fuzz_kind import Kind
from hypothesis import strategies as st
from image_bytes import encode, photo

from kt_tuning.core.errors import KtTuningError
from kt_tuning.core.records import PixelFormat

MOST_PIXELS = 1 << 24


@contextlib.contextmanager
def reached_is_a_value() -> Iterator[None]:
    """Catch the error of a command that has read all that it reads."""
    try:
        yield
    except KtTuningError as error:
        if str(error) != REACHED:
            raise


class Options(Kind):
    """`kt-tuning run` reads options, and files of them, until the search would begin."""

    share = 2
    _VALUES = texts() | st.sampled_from(
        (
            *("convnet", "mlp", "linearprobe", "val_loss", "val_f1", "latency", "random", "grid"),
            *("tpe", "hyperband", "median", "none", "search", "weights", "float32", "5m", "1h30m"),
            *("csv", "filters=8", "filters=[8, 16]", "filters=x", "ray://x:1", "sqlite:///x.db"),
        )
    )
    _MAPPINGS = st.dictionaries(
        st.sampled_from(("units", "learning_rate", "batch_size", "mixup", "no")),
        json_values(),
        max_size=3,
    )
    cases = st.fixed_dictionaries(
        {
            "given": st.lists(st.tuples(st.integers(0, 63), _VALUES), max_size=3),
            "config": st.none()
            | st.lists(st.tuples(st.integers(0, 63), _VALUES | json_values()), max_size=3),
            "edits": st.just([]) | edits(2),
            "space": st.none() | st.none() | _MAPPINGS | json_values(),
        }
    )

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        import typer

        from kt_tuning.cli import app

        write_photos(folder / "photos")
        command = typer.main.get_command(app.app).commands["run"]
        self._options = [
            option
            for option in command.params
            if option.name not in ("folder", "out", "help", "config", "hyperparameters", "storage")
        ]

    @contextlib.contextmanager
    def prepared(self) -> Iterator[None]:
        from kt_tuning.pipeline.make_tuner import make_tuner

        def checked(data: Any, out: Path, options: Any, **_: Any) -> None:
            make_tuner(data, out, options)
            raise ReachedError(REACHED)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("kt_tuning.pipeline.run", checked)
            patch.setenv("KT_TUNING_CACHE", str(self.folder / "cache"))
            yield

    def feed(self, case: Any, folder: Path) -> None:
        import yaml

        arguments = ["run", self.folder / "photos", "--out", folder / "run", "--hypermodel", "mlp"]
        for number, value in case["given"]:
            option = self._options[number % len(self._options)]
            arguments += [option.opts[0], *([] if option.is_flag else [value.replace("\0", "")])]
        for name, flag in (("config", "--config"), ("space", "--hyperparameters")):
            if case[name] is None:
                continue
            content = case[name]
            if name == "config":
                named = [(self._options[at % len(self._options)].name, v) for at, v in content]
                content = {str(key): value for key, value in named}
            text = yaml.safe_dump(content, allow_unicode=True).encode("utf-8", "surrogateescape")
            (folder / f"{name}.yaml").write_bytes(edited(text, case["edits"]))
            arguments += [flag, folder / f"{name}.yaml"]
        with reached_is_a_value():
            printed_by(*arguments)


class Served(Kind):
    """Requests to an exported model: image files, and pixels of any shape and type."""

    share = 3
    heavy = tuple(("files", [(name, None, [], False)]) for name in LARGE)
    _FILES = st.lists(pictures(), min_size=0, max_size=3)
    _PIXELS = st.tuples(
        # A request as large as its limit would be the caller's memory.
        st.lists(st.sampled_from((0, 1, 2, 3, 8, 9, 200)), max_size=5).filter(
            lambda shape: math.prod(shape) <= MOST_PIXELS
        )
        | st.tuples(st.integers(0, 2), st.just(8), st.just(8), st.just(3)),
        st.sampled_from(("uint8", "uint8", "float32", "int64", "bool", "S2", "O", "complex64")),
    )
    cases = (
        st.tuples(st.just("files"), _FILES)
        | st.tuples(st.just("files"), _FILES)
        | st.tuples(st.sampled_from(("pixels", "signature")), _PIXELS)
        | st.tuples(st.sampled_from(("wrong bytes", "wrong pixels")), json_values())
    )

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        import keras

        from kt_tuning.core.records import DataCard
        from kt_tuning.export import export_model, load_saved_model

        pixels = PixelFormat(8, 8, 3)
        inputs = keras.Input(pixels.shape, dtype="uint8")
        features = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(inputs))
        model = keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(features))
        card = DataCard("abc", ("a", "b", "c"), pixels, {"train": [3, 4, 5]}, source="photos")
        self._model = load_saved_model(export_model(model, folder / "1", card=card).path)
        self._good = encode(photo(41, 29), "PNG")
        self._expected = self._model.predict_bytes([self._good])["probabilities"][0]

    def feed(self, case: Any, folder: Path) -> None:
        kind, value = case
        if kind == "files":
            contents = list(map(picture_bytes, value))
            found = self._model.predict_bytes([*contents, self._good])
            np.testing.assert_allclose(found["probabilities"][-1], self._expected, atol=1e-6)
            self._check(found, len(contents) + 1)
        elif kind == "wrong bytes":
            self._check(self._model.predict_bytes(value), len(value))
        elif kind == "wrong pixels":
            self._predict(value, direct=False)
        else:
            shape, name = value
            images = np.broadcast_to(np.zeros((), name), shape)
            self._predict(images, direct=kind == "signature")

    def _predict(self, images: Any, *, direct: bool) -> None:
        import tensorflow as tf

        if not direct:
            found = self._model.predict(images)
        else:
            try:
                tensor = tf.constant(images)
                found = self._model._loaded.signatures["serving_default"](images=tensor)
                found = found["probabilities"].numpy()
            except (tf.errors.OpError, TypeError, ValueError) as error:
                raise KtTuningError(str(error)) from error
        assert found.shape == (len(images), 3)
        np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)

    def _check(self, found: Any, count: int) -> None:
        readable = found["error"] == b""
        assert found["probabilities"].shape == (count, 3)
        np.testing.assert_allclose(found["probabilities"].sum(axis=1), readable, atol=1e-5)
        assert set(found["label"][readable]) <= {b"a", b"b", b"c"}
        assert not any(found["label"][~readable])


class Runs(Kind):
    """A file of a finished run has other bytes or other values, and a verb reads it.

    Outside the tests every verb is a process. Here `predict` is called many times in one, and
    TensorFlow never frees the 40 MB of a SavedModel that it has loaded.

    Args:
        folder: Where the run is made.
        run: One that is there already.
    """

    QUICK = ("summary", "results", "history", "study", "ensemble")
    SLOW = tuple(sorted(set(VERBS) - set(QUICK)))
    per_process = 250
    cases = st.tuples(
        st.one_of(*[st.sampled_from(QUICK)] * 4, st.sampled_from(SLOW)),
        st.integers(0, 2**10),
        st.tuples(st.sampled_from(("json", "json", "bytes")), json_changes(), edits(3)),
    )

    def __init__(self, folder: Path, run: Path | None = None) -> None:
        super().__init__(folder)
        with pytest.MonkeyPatch.context() as patch:
            self._run = run or make_runs(folder, patch)["finished"]
        self._files = files_of(self._run)

    @contextlib.contextmanager
    def prepared(self) -> Iterator[None]:
        with made_quick(self._run, render=True):
            yield

    def feed(self, case: Any, folder: Path) -> None:
        from kt_tuning.report.run_summary import load_run

        verb, number, (kind, values, changes) = case
        exported = verb == "predict"
        files = [file for file in self._files if (file.parts[0] == "export") == exported]
        file = files[number % len(files)]
        run = shutil.copytree(self._run, folder / "run")
        (folder / "photos").symlink_to(self._run.parent / "photos")
        path = run / file
        if kind == "json" and path.suffix == ".json":
            path.write_text(json.dumps(json_changed(json.loads(path.read_text()), values)))
        else:
            path.write_bytes(edited(path.read_bytes(), changes))
        if verb == "summary":
            summary(load_run(run))
        else:
            with reached_is_a_value():
                VERBS[verb](run)


KINDS: dict[str, type[Kind]] = {
    "images": Images,
    "folders": Folders,
    "tables": Tables,
    "arrays": Arrays,
    "options": Options,
    "served": Served,
    "runs": Runs,
}
