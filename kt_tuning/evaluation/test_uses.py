"""The log of test uses: when a model was measured on the test split, and which one."""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import json
import logging
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

from kt_tuning.core.errors import StorageError
from kt_tuning.core.json_record import Record
from kt_tuning.core.records import DataCard, TrialRecord
from kt_tuning.run.layout import DATA, RESULT, TEST_USES

logger = logging.getLogger("kt_tuning")

_BYTES = 8
_NOT_KEPT = ("build_config", "compile_config", "registered_name", "shared_object_id")
"""Keys of a Keras configuration whose values saving and loading may lose or change."""


@dataclasses.dataclass(frozen=True)
class HeldOutUse(Record):
    """One use of the test split.

    Attributes:
        time: When, in seconds since 1970.
        by: The function that used it, e.g. "evaluate".
        fingerprint: Fingerprint of the data, as in `DataCard`.
        images: Number of images.
        judged: Digest of the measured model, see `model_digest`: measuring the same model again
            tells nothing new. None if it is not known: then it counts as another model.
    """

    time: float
    by: str
    fingerprint: str
    images: int
    judged: str | None = None

    @property
    def date(self) -> str:
        """When, as "2026-11-22 06:05 UTC"."""
        moment = datetime.datetime.fromtimestamp(self.time, datetime.UTC)
        return f"{moment:%Y-%m-%d %H:%M} UTC"


@dataclasses.dataclass(frozen=True)
class HeldOutUses(Record):
    """The content of `test_uses.json`: every use, the first one first."""

    way_on: ClassVar[str] = (
        "Restore it from a copy; or move it away: then earlier uses of the test images are unknown."
    )

    uses: tuple[HeldOutUse, ...] = ()

    def of(self, fingerprint: str) -> HeldOutUses:
        """Return the uses of the data with this fingerprint: other data were not looked at."""
        return HeldOutUses(tuple(use for use in self.uses if use.fingerprint == fingerprint))

    def caveat(self, trials: Iterable[TrialRecord] = ()) -> str | None:
        """Return what a reader of the test scores should know, or None if there is nothing.

        That is: the split was opened for more than one model, or trials began after it had been
        opened, so that its scores may have guided the choice of the model.

        Args:
            trials: The trials of the search, in any order.
        """
        if not self.uses:
            return None
        first = self.uses[0]
        later = sum(trial.began > first.time for trial in trials)
        parts = []
        if len({use.judged or use.time for use in self.uses}) > 1:
            parts.append(f"it has been opened {len(self.uses)} times, first on {first.date}")
        if later:
            noun = "trial" if later == 1 else "trials"
            parts.append(f"{later} {noun} began after it was first opened, on {first.date}")
        if not parts:
            return None
        return (
            "The test split is no longer unseen: " + "; ".join(parts) + ". Its scores are "
            "optimistic if they influenced any choice."
        )


def add_uses(directory: str | Path, uses: Iterable[HeldOutUse]) -> None:
    """Add uses to the note in a directory, but for those that it has already.

    Raises:
        StorageError: if the note cannot be read or written.
    """
    path = Path(directory) / TEST_USES
    known = _read(path)
    if new := [use for use in uses if use not in known]:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            HeldOutUses(tuple(sorted([*known, *new], key=lambda use: use.time))).save(path)
        except OSError as error:
            raise StorageError(
                f"Cannot write {path}, which records each use of the test split: "
                f"{error.strerror or error}."
            ) from error


def held_out_uses(directory: str | Path, *without_run: Path) -> HeldOutUses:
    """Read how often the test split has been used; no use if there is no note.

    Args:
        directory: The run directory; if it is in another one of the same data, the uses noted there
            count as well.
        *without_run: The folder for uses by processes that did not know of the run; see
            `kt_tuning.data.pixel_cache.uses_without_run`.

    Raises:
        StorageError: if the note cannot be read.
    """
    folders = [*_with_outer(directory), *without_run]
    uses = {use for folder in folders for use in _read(folder / TEST_USES)}
    return HeldOutUses(tuple(sorted(uses, key=lambda use: use.time)))


def note_use_of(split: Any, model: Any, *, by: str) -> None:
    """Note that a model is measured on a split, if it is a test split, before it is.

    A warning says so if the test split is no longer unseen.

    Args:
        split: The split. An `ImageSplit` knows whether it is a test split, and where its uses are
            noted; any other object is taken for a split of the user's own.
        model: The measured model; its digest is noted.
        by: The function that measures it.

    Raises:
        StorageError: if a note in a run directory cannot be read or written.
    """
    held_out = getattr(split, "held_out", None)
    if held_out is None or len(split) == 0:
        return
    use = HeldOutUse(time.time(), by, held_out.fingerprint, len(split), judged=model_digest(model))
    folders = held_out.folders()
    for place in dict.fromkeys(place for folder in folders for place in _with_outer(folder)):
        try:
            add_uses(place, (use,))
        except StorageError as error:
            if folders != [held_out.without_run]:
                raise
            logger.warning("%s", error)
    caveats = []
    for folder in folders:
        trials = [TrialRecord.load(path) for path in folder.glob(f"trial_*/{RESULT}")]
        caveats.append(held_out_uses(folder).of(held_out.fingerprint).caveat(trials))
    for caveat in dict.fromkeys(filter(None, caveats)):
        logger.warning("%s", caveat)


def _read(path: Path) -> tuple[HeldOutUse, ...]:
    return HeldOutUses.load(path).uses if path.is_file() else ()


def _with_outer(directory: str | Path) -> list[Path]:
    """Return a directory and the run directories of the same data that it is in."""
    directory = Path(directory).resolve()
    if not (directory / DATA).is_file():
        return [directory]
    fingerprint = DataCard.load(directory / DATA).fingerprint
    outer = [
        parent
        for parent in directory.parents
        if (parent / DATA).is_file() and DataCard.load(parent / DATA).fingerprint == fingerprint
    ]
    return [directory, *outer]


def model_digest(model: Any) -> str | None:
    """Return a digest that two models share exactly if they are the same one.

    Names of layers and an optimizer's state do not count: a model that was saved and loaded again
    keeps its digest.

    Args:
        model: A Keras model; or an object with `to_keras`, such as an `Ensemble`.

    Returns:
        16 hexadecimal digits; None for what is no Keras model, as there is nothing to compute a
        digest of.
    """
    if hasattr(model, "to_keras"):
        model = model.to_keras()
    if not (hasattr(model, "get_weights") and hasattr(model, "to_json")):
        return None
    digest = hashlib.blake2b(digest_size=_BYTES)
    digest.update(_architecture(model).encode())
    for array in model.get_weights():
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _architecture(model: Any) -> str:
    """Return a model's configuration, with its layers numbered instead of named."""
    try:
        content = json.loads(model.to_json())
    except (NotImplementedError, TypeError, ValueError):
        # A subclassed model that does not say how it is made.
        return type(model).__qualname__
    names: dict[str, str] = {}
    _number(content, names)
    return json.dumps(_canonical(content, names), sort_keys=True)


def _number(content: Any, names: dict[str, str]) -> None:
    """Number the layers in the order in which a configuration has their names."""
    if isinstance(content, dict):
        if isinstance(name := content.get("name"), str):
            names.setdefault(name, f"#{len(names)}")
        content = list(content.values())
    for value in content if isinstance(content, list) else []:
        _number(value, names)


def _canonical(content: Any, names: dict[str, str]) -> Any:
    if isinstance(content, dict):
        kept = {key: value for key, value in content.items() if key not in _NOT_KEPT}
        return {key: _canonical(value, names) for key, value in kept.items()}
    if isinstance(content, list):
        return [_canonical(value, names) for value in content]
    return names.get(content, content) if isinstance(content, str) else content
