"""A whole job in milliseconds: search, ensemble, evaluation and export with a stub trainer.

All files are written by the code that users run. Replaced is what takes long and writes nothing:
training and prediction are a few lines of NumPy, models are made once, and what is known about them
is not measured.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import h5py
import keras
import keras_tuner
import numpy as np
import pytest
from scipy.special import softmax
from striped import striped_images

import kt_tuning as kt
from kt_tuning.evaluation import Scores, score
from kt_tuning.evaluation.explanations import Gallery
from kt_tuning.evaluation.test_uses import model_digest, note_use_of
from kt_tuning.export.export_model import Exported, NumericalCheck, write_provenance
from kt_tuning.trials.checkpoint import TrainingState
from kt_tuning.trials.task import Task

TRIALS, EPOCHS = 3, 2
CLASSES = 2
_models: dict[bool, list[keras.Model]] = {}
"""Whether it is the main thread -> the models that are made once."""


def build(hp: keras_tuner.HyperParameters) -> keras.Model:
    """Return one of a few models with new weights, of 8×8×1 pixels and two classes."""
    hp.Float("rate", 0.01, 1.0, sampling="log")
    models = _models.setdefault(threading.main_thread() is threading.current_thread(), [])
    if len(models) < 2 * TRIALS:
        pixels = keras.Input((8, 8, 1), dtype="uint8")
        features = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(pixels))
        output = keras.layers.Dense(CLASSES, activation="softmax")(features)
        models.append(keras.Model(pixels, output))
    else:
        models.append(models.pop(0))
    model = models[-1]
    model.stop_training = False
    model.set_weights([np.random.normal(size=(64, CLASSES)), np.zeros(CLASSES)])
    return model


class StubTask(Task):
    """Trains softmax regression by gradient descent; notes each epoch in a list."""

    measures_itself = True
    precision = "float32"

    def __init__(self, hypermodel: Any, data: kt.ImageData, epochs: list[tuple[str, int]]) -> None:
        self.hypermodel = hypermodel
        self._labels = data.validation.labels
        self._truth = np.eye(CLASSES)[data.train.labels]
        self._train, self._validation = (
            part.take(np.arange(len(part))).reshape(len(part), -1) / 255
            for part in (data.train, data.validation)
        )
        self._epochs = epochs

    def fit(
        self,
        hp: keras_tuner.HyperParameters,
        model: keras.Model,
        state: TrainingState,
        *,
        seed: int,
        callbacks: Sequence[keras.callbacks.Callback],
        folder: str = "",
    ) -> None:
        for callback in callbacks:
            callback.set_model(model)
            callback.on_train_begin()
        for epoch in range(state.done, state.epochs):
            self._epochs.append((folder.partition("/")[0], epoch))
            for callback in callbacks:
                callback.on_epoch_begin(epoch)
            kernel, bias = model.get_weights()
            error = softmax(self._train @ kernel + bias, axis=1) - self._truth
            step = hp.get("rate") / len(error)
            model.set_weights(
                [kernel - step * self._train.T @ error, bias - step * error.sum(axis=0)]
            )
            for callback in callbacks:
                callback.on_epoch_end(epoch, {"loss": 0.0})
            if model.stop_training:
                break

    def predict(self, model: keras.Model) -> Any:
        kernel, bias = model.get_weights()
        return softmax(self._validation @ kernel + bias, axis=1).astype(np.float32)

    def measure(self, predictions: Any) -> dict[str, float]:
        measured = score(self._labels, predictions, ("accuracy", "log_loss"))
        return {"val_accuracy": measured["accuracy"], "val_loss": measured["log_loss"]}

    describe = measure


class StubTuner(kt.Tuner):
    """A tuner with the stub trainer."""

    epochs_begun: list[tuple[str, int]]

    def _tasks(self, parts: Any, *arguments: Any, **options: Any) -> list[Task]:
        return [StubTask(self._searched, parts[0], self.epochs_begun)]


@dataclasses.dataclass
class Job:
    """The job of one process.

    Attributes:
        folder: Parent of the run directory "run".
        epochs: (id of the trial, index) of each epoch that was begun.
        searched: Whether the search has ended.
    """

    folder: Path
    epochs: list[tuple[str, int]] = dataclasses.field(default_factory=list)
    searched: bool = False

    def __call__(self) -> dict[str, str]:
        """Do the job; return its results as JSON, without times."""
        images, labels = striped_images(60)
        data = kt.ImageData.from_arrays(images, labels, class_names=("lying", "standing"))
        tuner = StubTuner(
            build,
            objective="val_loss",
            strategy="random",
            max_trials=TRIALS,
            epochs=EPOCHS,
            directory=self.folder,
            project_name="run",
        )
        tuner.epochs_begun = self.epochs
        tuner.search(data, verbose=False)
        self.searched = True
        ensemble = tuner.ensemble(2, solver="mean")
        scores = tuner.evaluate(ensemble)
        exported = tuner.export(format="keras")
        table = tuner.results().drop(columns=["seconds", "began"])
        curve = tuner.history().drop(columns=["seconds", "data_wait"], errors="ignore")
        found = {
            "trials": table.to_dict("index"),
            "study": [(trial.state.name, trial.value) for trial in tuner.study.trials],
            "history": curve.to_dict("records"),
            "ensemble": ensemble.record.to_json(),
            "scores": scores.to_json(),
            "export": exported.name,
        }
        return {name: json.dumps(value, default=str) for name, value in found.items()}


@contextlib.contextmanager
def stubbed() -> Iterator[None]:
    """Replace in the block what takes long and writes nothing."""

    def evaluated(model: Any, data: kt.ImageData, **options: Any) -> Scores:
        note_use_of(data.test, model, by="evaluate")
        confusion, digest = [[6, 0], [0, 6]], model_digest(model)
        return Scores({}, confusion, data.class_names, len(data.test), None, {}, model=digest)

    def exported(model: Any, path: Path, *, format: str, card: Any, **options: Any) -> Exported:
        (path / "model.keras").write_bytes(model_digest(model).encode())
        write_provenance(path, card, ())
        answers = np.full((1, CLASSES), 1 / CLASSES, np.float32)
        return Exported(path, format, NumericalCheck(1, 0.0, 1.0), lambda _: answers, answers)

    def save(model: keras.Model, path: Path) -> None:
        Path(path).write_bytes(b"PK\5\6" + bytes(18))  # an empty archive

    def save_weights(model: keras.Model, path: Path) -> None:
        with h5py.File(path, "w") as file:
            for number, weights in enumerate(model.get_weights()):
                file[str(number)] = weights

    def load_weights(model: keras.Model, path: Path) -> None:
        with h5py.File(path) as file:
            model.set_weights([file[name][()] for name in sorted(file)])

    finalize = "kt_tuning.finalize"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keras.backend, "clear_session", lambda: None)
        patch.setattr(keras.Model, "save", save)
        patch.setattr(keras.Model, "save_weights", save_weights)
        patch.setattr(keras.Model, "load_weights", load_weights)
        patch.setattr("kt_tuning.evaluation.test_uses._architecture", lambda model: "")
        patch.setattr("kt_tuning.search.session.light_collections", contextlib.nullcontext)
        patch.setattr(f"{finalize}.evaluate.evaluate", evaluated)
        patch.setattr(f"{finalize}.evaluate.make_gallery", lambda *_: Gallery("occlusion", (), ()))
        patch.setattr(f"{finalize}.export.export_model", exported)
        patch.setattr(f"{finalize}.export.measure_latency", lambda *_, **__: {"p50": 1.0})
        # A trial whose process dies twice has failed; here it is not the trial that ends it.
        for module in ("trials.spec", "search.loop", "search.session"):
            patch.setattr(f"kt_tuning.{module}.MAX_CRASHES", 99)
        yield
