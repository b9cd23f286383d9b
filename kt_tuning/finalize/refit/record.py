"""The record of a refit, `refit.json` in its folder.

The folder is a run directory itself: the data and search records are copied from the run,
`test_uses.json` counts together with that of the run, each `trial_<id>/` holds a model, and
`ensemble.json` the weights that the models had in the run.
"""

from __future__ import annotations

import dataclasses

from kt_tuning.core.json_record import Record
from kt_tuning.core.units import count


@dataclasses.dataclass(frozen=True)
class RefitRecord(Record):
    """How models were trained again.

    Attributes:
        trial_ids: The trials whose configurations they have, K of them.
        epochs: (K,) of each training.
        batch_sizes: (K,) images a step, of all devices together.
        rate_ratios: (K,) those over the images a step of the trial; what the learning rate was
            multiplied by follows from it and the optimizer, see `kt_tuning.devices.rate_factor`.
        seeds: (K,) of initial weights, order and augmentation: those of the trials.
        images: How many they were trained on: those of the training and the validation split.
        fingerprint: Of the data.
        devices: What they were trained on, in words.
        test_uses: When the test split had been looked at before, e.g. "2026-11-22 06:05 UTC".
    """

    trial_ids: tuple[str, ...]
    epochs: tuple[int, ...]
    batch_sizes: tuple[int, ...]
    rate_ratios: tuple[float, ...]
    seeds: tuple[int, ...]
    images: int
    fingerprint: str
    devices: str = ""
    test_uses: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("trial_ids", "epochs", "batch_sizes", "rate_ratios", "seeds", "test_uses"):
            object.__setattr__(self, name, tuple(getattr(self, name)))

    def differs_from(self, other: RefitRecord) -> list[str]:
        """Names of what decides the models and is not the same in `other`."""
        decisive = ("trial_ids", "epochs", "batch_sizes", "seeds", "fingerprint")
        return [name for name in decisive if getattr(self, name) != getattr(other, name)]

    @property
    def caveat(self) -> str | None:
        """What a reader of test scores should know, or None if there is nothing."""
        if not self.test_uses:
            return None
        times = "once" if len(self.test_uses) == 1 else f"{len(self.test_uses)} times"
        return (
            f"The test split was opened {times} before this refit, first on {self.test_uses[0]}: "
            "scores there are of the models as they were then. Those of the refitted models are "
            "not known; should they be measured on it, it is no longer unseen."
        )

    def __str__(self) -> str:
        """One line: what, on what and for how long."""
        models = "1 model" if len(self.trial_ids) == 1 else f"{len(self.trial_ids)} models"
        rows = zip(self.epochs, self.batch_sizes, strict=True)
        how = ", ".join(
            f"{count(epochs, 'epoch')} of {size} images a step" for epochs, size in rows
        )
        return f"{models} on {self.images:,} images, on {self.devices}: {how}."
