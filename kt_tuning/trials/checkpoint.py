"""Checkpoints, with which an interrupted training continues after its last finished epoch.

`last.npz` is written after every epoch: all variables of the model (random states included) and of
its optimizer, and the state of the training. `best.npz` is written when the objective improves.
Each is complete and replaced atomically. A kill between the two leaves a best epoch that is ahead;
training reaches the same epoch again.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import time
from pathlib import Path
from typing import Any, TypeVar

import keras
import numpy as np
from numpy.typing import NDArray

from kt_tuning.core.atomic import atomic_write
from kt_tuning.core.json_record import READ_ERRORS, typed

logger = logging.getLogger("kt_tuning")

LAST = "last.npz"
BEST = "best.npz"
STATE = "state"
PREDICTIONS = "predictions"
SYNC_SECONDS = 5.0
"""Seconds between two checkpoints that are flushed to the disk. After a power loss others may be
damaged, in which case the training begins anew; ext4 flushes them by itself, as they are replaced.
"""

UNREADABLE = (*READ_ERRORS, TypeError, AttributeError)
"""Errors of the readers of JSON (StorageError is an OSError), NumPy and HDF5 for damaged files."""

Arrays = list[NDArray[Any]]


@dataclasses.dataclass
class TrainingState:
    """The state of one training.

    Attributes:
        index: Index of the training in the trial.
        epochs: Epochs of the training, which a deadline may shorten.
        done: Epochs done, those of an origin trial included.
        trained: Epochs trained here.
        seconds: Wall-clock so far.
        message: Why it was shortened, or None.
        pruned: Whether the pruner stopped it.
        over: Whether it has ended.
        resumable: Whether it can continue from a checkpoint: not if the hypermodel's `fit` trains
            in several fits, compiles the model again, or trains another one.
        memory: State of the task, in JSON types.
    """

    index: int
    epochs: int
    done: int
    trained: int = 0
    seconds: float = 0.0
    message: str | None = None
    pruned: bool = False
    over: bool = False
    resumable: bool = True
    memory: dict[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class Best:
    """The best epoch so far.

    Attributes:
        epoch: Its index, from 0.
        value: Objective after it.
        logs: All metrics.
        weights: As `keras.Model.get_weights` returns them.
        predictions: (N, classes) on the validation split, or None.
    """

    epoch: int
    value: float
    logs: dict[str, float]
    weights: Arrays = dataclasses.field(default_factory=list)
    predictions: NDArray[np.float32] | None = None


S = TypeVar("S", TrainingState, Best)


class Checkpoint:
    """The checkpoint of one training.

    Args:
        folder: Folder of its files; made when they are first written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._synced = dict.fromkeys((LAST, BEST), time.monotonic())

    def save(self, model: keras.Model, state: TrainingState) -> None:
        """Write the state of the training."""
        arrays = {f"v{i}": value for i, value in enumerate(_values(model))}
        self._write(LAST, dataclasses.asdict(state), arrays)

    def restore(
        self, model: keras.Model, index: int, *, epochs: int
    ) -> tuple[TrainingState, Best] | None:
        """Restore the variables of a model like the one that was saved.

        Args:
            model: A built and compiled model.
            index: Index of the training; checkpoints of other trainings are ignored.
            epochs: Epochs of the training in the curve. A power loss may have left fewer than were
                trained: then there is nothing to continue from.

        Returns:
            The state and the best epoch, without which a training cannot go on; None if there is
            no checkpoint to continue from.
        """
        last, best = self._read(LAST, TrainingState), self._read(BEST, Best)
        if last is None or best is None:
            return None
        (state, arrays), (found, weights) = last, best
        if not state.resumable or state.index != index or state.trained > epochs:
            return None
        variables, values = _variables(model), list(arrays.values())
        if [v.shape for v in variables] != [value.shape for value in values]:
            return None
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        found.predictions = weights.pop(PREDICTIONS, None)
        found.weights = list(weights.values())
        return state, found

    def save_best(self, best: Best) -> None:
        """Write the best epoch."""
        arrays = {f"v{i}": value for i, value in enumerate(best.weights)}
        if best.predictions is not None:
            arrays[PREDICTIONS] = best.predictions
        self._write(BEST, {"epoch": best.epoch, "value": best.value, "logs": best.logs}, arrays)

    def clear(self) -> None:
        """Remove the files: the training has ended and its results are written."""
        for name in (LAST, BEST):
            (self._folder / name).unlink(missing_ok=True)

    def _write(self, name: str, content: dict[str, Any], arrays: dict[str, Any]) -> None:
        self._folder.mkdir(exist_ok=True)
        text = np.frombuffer(json.dumps(content).encode(), np.uint8)
        path, now = self._folder / name, time.monotonic()
        durable = now - self._synced[name] >= SYNC_SECONDS
        if durable:
            self._synced[name] = now
        with (
            atomic_write(path, durable=durable, sync_name=False) as temporary,
            temporary.open("wb") as file,
        ):
            np.savez(file, **{STATE: text, **arrays})

    def _read(self, name: str, kind: type[S]) -> tuple[S, dict[str, NDArray[Any]]] | None:
        path = self._folder / name
        if not path.exists():
            return None
        try:
            with path.open("rb") as opened, np.load(opened) as file:
                # In the order in which they were written.
                arrays = dict(file)
                content = json.loads(arrays.pop(STATE).tobytes())
            return typed(content, kind, source=name), arrays
        except UNREADABLE as error:
            logger.warning("%s is damaged (%s): the training begins anew.", path, error)
            self.clear()
            return None


def _variables(model: keras.Model) -> list[keras.Variable]:
    # A model may be compiled only when it is fitted.
    optimizer = getattr(model, "optimizer", None)
    return [*model.variables, *getattr(optimizer, "variables", [])]


def _values(model: keras.Model) -> Arrays:
    return [keras.ops.convert_to_numpy(variable) for variable in _variables(model)]


def copy_state(source: keras.Model, target: keras.Model) -> None:
    """Copy all variables to a model of the same structure, which is then not traced again."""
    for variable, value in zip(_variables(target), _values(source), strict=True):
        variable.assign(value)
