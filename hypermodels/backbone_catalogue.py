"""The list of pre-trained networks: available, to download, or to install."""

from __future__ import annotations

import dataclasses

from hypermodels.backbone_files import SavedBackbone
from hypermodels.backbones import own_backbones, problem_of
from hypermodels.named_backbone import IMAGENET, NamedBackbone
from hypermodels.pretrained import PRETRAINED

AT_HAND = "available"


@dataclasses.dataclass(frozen=True)
class BackboneRow:
    """A pre-trained network; None where something is not known.

    Attributes:
        name: Name, the value of `backbone`.
        at_hand: Whether it is available, and therefore used by default.
        status: The same in words, with the way to get it or the reason why it cannot be used.
        parameters: Number of scalars in its weights, without the classifier.
        size: Approximate size of the file of weights in bytes.
        multiply_adds: Multiply-adds for one image of `image_size`, in millions.
        accuracy: Published top-1 accuracy on ImageNet, 0 to 1.
        image_size: Side of the images in pixels.
        values: Scale of its pixels, see `hypermodels.preprocessing.VALUES`.
        licence: Licence of its weights.
        data: Data that it was trained on.
        source: Source of its weights.
        digest: Digest of its weights.
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
    """Return the networks of the table, cheapest first, then those in the folder of backbones."""
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
