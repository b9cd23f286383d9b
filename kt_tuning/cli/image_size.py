"""What the size that `run` brings images to depends on, besides the images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from kt_tuning.run import Run

AUTO = "auto"
BACKBONE_FAMILIES = ("linearprobe", "finetune")
"""Families of `hypermodels.HYPERMODELS` that have a pre-trained network."""


def recorded_size(out: Path) -> tuple[int, int] | None:
    """(height, width) of the images that a run directory was searched on; None if it is new.

    A run goes on with them, whatever its time limit is now.

    Raises:
        StorageError: if its record is damaged.
    """
    card = Run(out).data_card()
    return None if card is None else (card.pixels.height, card.pixels.width)


def chooses_families(families: Sequence[str] | None) -> bool:
    """Whether the families are chosen for the images: by "auto", however it is spelled, or None."""
    return AUTO in _spelled(families)


def searches_backbone(families: Sequence[str] | None, backbone: str | None) -> bool:
    """Whether one of the families has a pre-trained network, however it is spelled.

    Args:
        families: As they were given; None is "auto", which uses a network that is at hand.
        backbone: The network that was named and is here, or None.
    """
    spelled = _spelled(families)
    if AUTO in spelled:
        if backbone is not None:
            return True
        from hypermodels.backbones import at_hand

        return bool(at_hand())
    return not spelled.isdisjoint(BACKBONE_FAMILIES)


def _spelled(families: Sequence[str] | None) -> set[str]:
    return {family.casefold().replace("_", "").replace("-", "") for family in families or (AUTO,)}
