"""How a refit is asked for."""

from __future__ import annotations

import dataclasses
from typing import Any

from kt_tuning.core.errors import OptionError
from kt_tuning.core.names import find_name

AUTO, ENSEMBLE, BEST = "auto", "ensemble", "best"
MEMBERS = (AUTO, ENSEMBLE, BEST)


@dataclasses.dataclass(frozen=True)
class RefitOptions:
    """Options of a refit.

    Attributes:
        members: "ensemble": every member of the run's ensemble, which keep their weights;
            "best": the best trial alone; "auto": the ensemble if the run has one.
        epochs: Of every member; None for those that validation chose, each its own.
        batch_size: Images a step, of all devices together; None for the trial's times the number
            of devices, see `kt_tuning.devices.global_batch`.
        devices: How many devices share the training; None for all.
        tpu: Address of a TPU, see `kt_tuning.devices.find_devices`.
        overwrite: Whether an earlier refit of other models, or in another way, is deleted. The
            same one is kept, and gone on with, in any case.
        verbose: Whether to show a progress bar.

    Raises:
        OptionError: if a value is out of range.
    """

    members: str = AUTO
    epochs: int | None = None
    batch_size: int | None = None
    devices: int | None = None
    tpu: Any = None
    overwrite: bool = False
    verbose: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "members", find_name(self.members, MEMBERS, "choice of members"))
        for name in ("epochs", "batch_size", "devices"):
            value = getattr(self, name)
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise OptionError(
                    f"`{name}` is a whole number, at least 1, or None. Received: {name}={value!r}"
                )
