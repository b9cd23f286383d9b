"""The registry of trackers."""

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


def find_trackers(trackers: str | Tracker | Sequence[str | Tracker] | None) -> list[Tracker]:
    """Return trackers for names in `TRACKERS`.

    Args:
        trackers: Names or trackers; one, several or None.

    Raises:
        OptionError: if there is no such tracker, or one is passed twice.
        MissingExtraError: if one needs a package that is not installed.
    """
    if trackers is None:
        return []
    wanted = [trackers] if isinstance(trackers, (str, Tracker)) else list(trackers)
    found: list[Tracker] = []
    for one in wanted:
        if not isinstance(one, Tracker):
            one = TRACKERS[find_name(one, TRACKERS, "tracker", hint="or a Tracker")]()
        if one.name in {other.name for other in found}:
            raise OptionError(f"The tracker {one.name!r} is passed twice. Pass it once.")
        found.append(one)
    return found
