"""Records: frozen dataclasses that one stage writes as JSON and the next one reads.

`kt_tuning.run.layout` lists the files of a run directory.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Self

from kt_tuning.errors import StorageError

COMPLETED = "COMPLETED"
PRUNED = "PRUNED"
FAILED = "FAILED"
INFEASIBLE = "INFEASIBLE"
PAUSED = "PAUSED"
OUT_OF_MEMORY = "out of memory"
"""How the message of an infeasible trial begins that memory did not suffice for."""

WRITING = "writing."
"""How the names of files begin that are not whole yet."""


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Give a temporary path that replaces `path` at the end of the block, unless it raises.

    A kill in mid-write leaves the old file. An OSError that names no file is made to name `path`.
    """
    path = Path(path)
    temporary = path.with_name(f"{WRITING}{path.name}")
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        _name(error, path)
        raise
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_json(path: str | Path, content: dict[str, Any]) -> None:
    """Write `content` to `path` atomically: a kill in mid-write leaves the old file.

    Not-a-number and infinities are written as null, so that any JSON reader takes the file.
    """
    path = Path(path)
    text = json.dumps(_finite(content), indent=2, default=_plain) + "\n"
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".tmp")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException as error:
        if isinstance(error, OSError):
            _name(error, path)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def _name(error: OSError, path: Path) -> None:
    """Have an error of the operating system name the file that it is about."""
    if error.errno is not None and error.filename is None:
        error.filename = str(path)


def read_json(path: str | Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        StorageError: if the file is missing or is not a JSON object.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StorageError(f"No such file: {path}") from None
    except (OSError, ValueError) as error:
        raise StorageError(f"Cannot read {path}: {error}") from error
    if not isinstance(content, dict):
        raise StorageError(f"{path} should hold a JSON object. Received: {type(content).__name__}")
    return content


def _plain(value: Any) -> Any:
    """Turn NumPy scalars and arrays, sets and paths into what JSON knows."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, (set, frozenset, tuple)):
        return list(value)
    return str(value)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    if hasattr(value, "tolist"):
        return _finite(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


@dataclasses.dataclass(frozen=True)
class Record:
    """A dataclass that is one JSON file."""

    def save(self, path: str | Path) -> None:
        """Write this record to `path`, atomically."""
        write_json(path, self.to_json())

    def to_json(self) -> dict[str, Any]:
        """Return the record as JSON-able values."""
        return dataclasses.asdict(self)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a record; fields that this version does not know are ignored.

        Raises:
            StorageError: if the file is missing, is not JSON or lacks a field.
        """
        return cls.from_json(read_json(path), source=str(path))

    @classmethod
    def from_json(cls, content: dict[str, Any], source: str = "the record") -> Self:
        """Make the record from `to_json`'s output."""
        names = {field.name for field in dataclasses.fields(cls)}
        try:
            return cls(**{key: value for key, value in content.items() if key in names})
        except TypeError as error:
            raise StorageError(f"{source} is not a {cls.__name__}: {error}") from error


@dataclasses.dataclass(frozen=True)
class PixelFormat(Record):
    """How an image file becomes the model's input: uint8 pixels, (height, width, channels).

    Attributes:
        height: Rows of the model's input.
        width: Columns of the model's input.
        channels: 1 (grey) or 3 (RGB).
        bits: How many bits the grey levels of files with 16 bits a pixel have: 12 for the files of
            a camera with 12 bits, whose white is 4095.
    """

    height: int
    width: int
    channels: int
    bits: int = 16

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, channels)."""
        return (self.height, self.width, self.channels)


@dataclasses.dataclass(frozen=True)
class TableSource:
    """A table that says which image has which label.

    Attributes:
        path: Of the file; "" for a DataFrame.
        columns: Meaning ("file", "label", "split", "group") -> name of the column, where given.
        max_missing: Share of the rows that may be left out.
    """

    path: str
    columns: dict[str, str] = dataclasses.field(default_factory=dict)
    max_missing: float = 0.0


@dataclasses.dataclass(frozen=True)
class DataCard(Record):
    """What a search was run on.

    Attributes:
        fingerprint: Hex digest of pixels, labels and split: equal data, equal fingerprint.
        class_names: Names by label, 0 first.
        pixels: The model's input.
        counts: Images per split and class, `{"train": [n_class0, …], "validation": …, "test": …}`.
        source: The folder, or "arrays".
        table: What said which image in the folder has which label; None if sub-folders did.
    """

    fingerprint: str
    class_names: tuple[str, ...]
    pixels: PixelFormat
    counts: dict[str, list[int]]
    source: str = "arrays"
    table: TableSource | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "class_names", tuple(self.class_names))
        if isinstance(self.pixels, dict):
            object.__setattr__(self, "pixels", PixelFormat(**self.pixels))
        if isinstance(self.table, dict):
            object.__setattr__(self, "table", TableSource(**self.table))


@dataclasses.dataclass(frozen=True)
class SearchRecord(Record):
    """How a search was asked for.

    Attributes:
        objective: Name of the metric, e.g. "val_accuracy".
        direction: "max" or "min".
        strategy: Name in `STRATEGIES`, or the class of a KerasTuner oracle.
        seed: The seed of trials, initial weights and augmentation.
        epochs: Epochs of a trial, at most.
        max_trials: Trials, at most; None if only time limits them.
        time_limit: Seconds of training in all, or None.
        hypermodel: Name of the hypermodel's class or function; of several families all names:
            "Families(convnet, resnet)".
        versions: Versions of kt-tuning, Keras, its backend, KerasTuner, NumPy, Python.
        folds: Trainings of each configuration on different splits; 1 is no cross-validation.
        executions: Trainings of each configuration on each fold.
    """

    objective: str
    direction: str
    strategy: str
    seed: int
    epochs: int
    max_trials: int | None
    time_limit: float | None
    hypermodel: str
    versions: dict[str, str]
    folds: int = 1
    executions: int = 1


@dataclasses.dataclass(frozen=True)
class TrialRecord(Record):
    """What came of one trial.

    Attributes:
        trial_id: KerasTuner's id; the folder is `trial_<trial_id>`.
        number: Order of start, from 0.
        status: "COMPLETED", "PRUNED" (with the best epoch until then), "FAILED", "INFEASIBLE":
            over a limit, never trained; or "PAUSED", as long as the search may go on with it.
        values: Hyperparameter values, active ones only.
        metrics: Every metric at the best epoch; with several folds or executions their means.
            Those that begin with "val_" are of the float32 model that is returned, in whatever
            precision it was trained; the others are of the epoch's training.
        best_epoch: Index of that epoch, from 0; of the first fold and execution.
        epochs: Epochs trained, over all folds and executions.
        seconds: Wall-clock of the trial, building included.
        parameters: Scalars in the model's weights.
        message: Why it failed or was cut short, or None.
        began: When it began, in seconds since 1970; for one that was interrupted, when it would
            have begun.
        scores: The objective of each fold and execution.
        backbone: Where its pre-trained network comes from, if it has one: name, licence, data,
            source and digest, None where that is not known.
    """

    trial_id: str
    number: int
    status: str
    values: dict[str, Any]
    metrics: dict[str, float]
    best_epoch: int
    epochs: int
    seconds: float
    parameters: int
    message: str | None = None
    began: float = 0.0
    scores: tuple[float, ...] = ()
    backbone: dict[str, str | None] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "scores", tuple(self.scores))

    @property
    def usable(self) -> bool:
        """Whether it has a model and a score."""
        return self.status in (COMPLETED, PRUNED, PAUSED)

    def provenance(self) -> dict[str, Any]:
        """What is recorded of it beside an exported model."""
        found = {"values": self.values, "metrics": self.metrics, "best_epoch": self.best_epoch}
        return found if self.backbone is None else {**found, "backbone": self.backbone}


def backbones_of(
    trials: Iterable[TrialRecord],
) -> list[tuple[dict[str, str | None], list[TrialRecord]]]:
    """Each pre-trained network in some trials' models, with the trials that have it."""
    found: list[tuple[dict[str, str | None], list[TrialRecord]]] = []
    for trial in trials:
        if trial.backbone is None:
            continue
        same = next((users for origin, users in found if origin == trial.backbone), None)
        if same is None:
            found.append((trial.backbone, [trial]))
        else:
            same.append(trial)
    return found


def defaults_failure(trials: Iterable[TrialRecord]) -> str | None:
    """Say that trial 0 has failed, if it has: what a search reports then lacks that comparison.

    A default configuration that is over a limit which the user set has not failed.

    Args:
        trials: Of a search.
    """
    first = next((record for record in trials if record.number == 0), None)
    if first is None or first.usable:
        return None
    message = first.message or "no reason is known."
    if first.status == INFEASIBLE and not message.startswith(OUT_OF_MEMORY):
        return None
    return (
        f"Trial 0, the default configuration, failed: {message}\n"
        "What the search found was not compared with the defaults."
    )
