"""The trackers by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from kt_tuning.core.errors import OptionError
from kt_tuning.core.names import find_name
from kt_tuning.tracking.csv import CsvTracker
from kt_tuning.tracking.mlflow import MlflowTracker
from kt_tuning.tracking.tensorboard import TensorBoardTracker
from kt_tuning.tracking.tracker import Tracker
from kt_tuning.tracking.wandb import WandbTracker

TRACKERS: dict[str, Callable[[], Tracker]] = {
    "tensorboard": TensorBoardTracker,
    "csv": CsvTracker,
    "mlflow": MlflowTracker,
    "wandb": WandbTracker,
}


def find_trackers(asked: str | Tracker | Sequence[str | Tracker] | None) -> list[Tracker]:
    """Make trackers.

    Args:
        asked: Names in `TRACKERS`, or trackers; one, several or None.

    Raises:
        OptionError: if there is no such tracker, or one is named twice.
        MissingExtraError: if one needs a package that is not installed.
    """
    if asked is None:
        return []
    wanted = [asked] if isinstance(asked, (str, Tracker)) else list(asked)
    found: list[Tracker] = []
    for one in wanted:
        if not isinstance(one, Tracker):
            one = TRACKERS[find_name(one, TRACKERS, "tracker", hint="or a Tracker")]()
        if one.name in {other.name for other in found}:
            raise OptionError(f"The tracker {one.name!r} is given twice.")
        found.append(one)
    return found
