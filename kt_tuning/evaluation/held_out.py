"""The test set is opened once: a note in the run directory of every time that it was used."""

from __future__ import annotations

import dataclasses
import datetime
import time
from collections.abc import Iterable
from pathlib import Path

from kt_tuning.records import Record, TrialRecord

HELD_OUT_USES = "test_uses.json"


@dataclasses.dataclass(frozen=True)
class HeldOutUse(Record):
    """One time that somebody looked at the test split.

    Attributes:
        time: When, in seconds since 1970.
        by: What looked, e.g. "evaluate".
        fingerprint: Of the data, as in `DataCard`.
        images: Number of images.
        judged: What was judged, e.g. a digest: judging the same model again tells nothing new.
            None if it is not known: then it counts as another model.
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

    uses: tuple[HeldOutUse, ...] = ()

    def __post_init__(self) -> None:
        uses = [HeldOutUse(**use) if isinstance(use, dict) else use for use in self.uses]
        object.__setattr__(self, "uses", tuple(uses))

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
            "The test split is no longer unseen: " + "; ".join(parts) + ". Choices that were made "
            "knowing its scores make them optimistic."
        )


def note_held_out_use(
    directory: str | Path,
    *,
    by: str,
    fingerprint: str,
    images: int,
    judged: str | None = None,
) -> HeldOutUses:
    """Write down that the test split is being used, before it is.

    Args:
        directory: The run directory.
        by: What looks, e.g. "evaluate".
        fingerprint: Of the data.
        images: Number of images.
        judged: See `HeldOutUse`.

    Returns:
        All uses, this one included.

    Raises:
        StorageError: if the note cannot be read.
    """
    known = held_out_uses(directory)
    use = HeldOutUse(time.time(), by, fingerprint, images, judged)
    noted = HeldOutUses((*known.uses, use))
    noted.save(Path(directory) / HELD_OUT_USES)
    return noted


def held_out_uses(directory: str | Path) -> HeldOutUses:
    """Read how often the test split has been used; no use if there is no note.

    Raises:
        StorageError: if the note cannot be read.
    """
    path = Path(directory) / HELD_OUT_USES
    return HeldOutUses.load(path) if path.is_file() else HeldOutUses()
