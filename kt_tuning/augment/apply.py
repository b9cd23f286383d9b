"""Application of a policy to a batch by an engine, which carries out the operations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from kt_tuning.augment.augmix import AugMix
from kt_tuning.augment.op_kinds import Floats, Pixels
from kt_tuning.augment.policy import Policy
from kt_tuning.augment.steps import Draw
from kt_tuning.core.errors import OptionError

Size = tuple[int, int]


class Engine(Protocol):
    """Carries out operations on a batch, in the order in which they are applied."""

    def apply(self, draw: Draw) -> None:
        """Apply one operation to some of the images, at once or later."""

    def pixels(self) -> Pixels:
        """Return the images after all operations, in the size of the output."""


# (images, policy, (height, width) of the output)
MakeEngine = Callable[[Pixels, Policy, Size], Engine]


def carry_out(
    policy: Policy, images: Pixels, uniforms: Floats, size: Size | None, make_engine: MakeEngine
) -> Pixels:
    """Apply `policy` to a batch by an engine of `make_engine`; see `augment`."""
    _check(policy, images, uniforms, size)
    uniforms = uniforms.astype(np.float64, copy=False)
    height, width = images.shape[1:3] if size is None else size
    rows = np.arange(len(images))
    engine = make_engine(images, policy, (height, width))
    column = 0
    for step in policy.steps:
        numbers = uniforms[:, column : column + step.draws]
        column += step.draws
        if isinstance(step, AugMix):
            mixed = _mix(step, numbers, policy, engine.pixels(), make_engine)
            engine = make_engine(mixed, policy, (height, width))
        else:
            for draw in step.draw(rows, numbers):
                engine.apply(draw)
    return engine.pixels()


def _mix(
    step: AugMix, numbers: Floats, policy: Policy, images: Pixels, make_engine: MakeEngine
) -> Pixels:
    height, width = images.shape[1:3]
    weights = step.weights(numbers).astype(np.float32)[:, :, None, None, None]
    total = weights[:, 0] * images
    for number, chain in enumerate(step.chains(np.arange(len(images)), numbers), start=1):
        engine = make_engine(images, policy, (height, width))
        for draw in chain:
            engine.apply(draw)
        total += weights[:, number] * engine.pixels()
    return (total + np.float32(0.5)).astype(np.uint8)


def _check(policy: Policy, images: Pixels, uniforms: Floats, size: Size | None) -> None:
    if images.dtype != np.uint8 or images.ndim != 4:
        raise OptionError(
            "Augmentation takes uint8 images (n, height, width, channels). "
            f"Received: {images.dtype} {images.shape}"
        )
    policy.check(images.shape[1:])
    if uniforms.shape != (len(images), policy.draws):
        raise OptionError(
            f"This policy needs uniforms of shape {(len(images), policy.draws)}. "
            f"Received: {uniforms.shape}"
        )
    if size is not None and (len(size) != 2 or min(size) < 1):
        raise OptionError(f"`size` is (height, width) in pixels. Received: size={size!r}")
