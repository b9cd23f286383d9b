"""Options of a run that some of the searched families do not use."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from kt_tuning.run_options import RunOptions

UNUSED: dict[str, tuple[str, ...]] = {
    "linearprobe": (
        "batch_size",
        "max_batch_size",
        "augment",
        "mixup",
        "cutmix",
        "patience",
        "normalize",
    ),
    "finetune": ("normalize",),
}
"""Family -> fields of `RunOptions` that its trainings do not use.

A linear probe is fitted by a solver, on features of the images as they are; pre-trained networks
bring their own preprocessing.
"""
UNUSED_FROZEN = ("max_batch_size", "mixup", "cutmix")
"""Fields that fine-tuning does not use where it trains the head alone, on features."""


def unused_options(options: RunOptions, families: Sequence[str]) -> str | None:
    """Return a line that names the given options which some families do not use, or None.

    Args:
        options: Of the run.
        families: Names in `HYPERMODELS` that are searched.
    """
    defaults = RunOptions()
    given = {
        field.name
        for field in dataclasses.fields(options)
        if getattr(options, field.name) != getattr(defaults, field.name)
    }
    parts = [
        f"{family} does not use {_flags(names)}"
        for family in families
        if (names := [name for name in UNUSED.get(family, ()) if name in given])
    ]
    frozen = [name for name in UNUSED_FROZEN if name in given]
    if frozen and "finetune" in families:
        parts.append(f"finetune uses {_flags(frozen)} only where it trains more than its head")
    return f"{'; '.join(parts)}." if parts else None


def _flags(names: Sequence[str]) -> str:
    return ", ".join(f"--{name.replace('_', '-')}" for name in names)
