"""What pre-trained networks there are: at hand, to download, or to install."""

from __future__ import annotations

import dataclasses

from hypermodels.backbone_files import SavedBackbone
from hypermodels.backbones import own_backbones, problem_of
from hypermodels.named_backbone import IMAGENET, NamedBackbone
from hypermodels.pretrained import PRETRAINED

AT_HAND = "at hand"


@dataclasses.dataclass(frozen=True)
class BackboneRow:
    """A pre-trained network; None where something is not known.

    Attributes:
        name: As it is passed as `backbone`.
        at_hand: Whether it is used unasked.
        status: The same in words, with what would bring it here or why it cannot be used.
        parameters: Scalars in its weights, without the classifier.
        size: Bytes of the file of weights, about.
        multiply_adds: Of one image of `image_size`, in millions.
        accuracy: Top-1 on ImageNet, as published.
        image_size: Side in pixels.
        values: What its pixels look like.
        licence: Of its weights.
        data: What it was trained on.
        source: Where its weights come from.
        digest: Of its weights.
    """

    name: str
    at_hand: bool
    status: str
    parameters: int | None = None
    size: int | None = None
    multiply_adds: int | None = None
    accuracy: float | None = None
    image_size: int | None = None
    values: str | None = None
    licence: str | None = None
    data: str | None = None
    source: str | None = None
    digest: str | None = None


def catalogue() -> list[BackboneRow]:
    """Every network in the table, from cheap to dear, then those in the folder of backbones."""
    rows = []
    for name, network in PRETRAINED.items():
        status = network.how_to_get
        if network.path() is not None:
            status = problem_of(NamedBackbone(name, IMAGENET)) or AT_HAND
        facts = ("parameters", "size", "multiply_adds", "accuracy", "image_size", "values")
        known = {fact: getattr(network, fact) for fact in facts}
        rows.append(
            BackboneRow(
                at_hand=status == AT_HAND,
                status=status,
                **known,
                **dataclasses.asdict(network.origin),
            )
        )
    for name, backbone in own_backbones():
        problem = problem_of(backbone)
        path = backbone.path if isinstance(backbone, SavedBackbone) else None
        rows.append(
            BackboneRow(
                at_hand=problem is None,
                status=AT_HAND if problem is None else problem,
                size=None if path is None else path.stat().st_size,
                values=backbone.values or None,
                **{**dataclasses.asdict(backbone.origin), "name": name},
            )
        )
    return rows
