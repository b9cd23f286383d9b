"""A policy applied operation by operation, each by PIL on one image after the other.

This is what one writes by hand. The tests compare `augment` with it, and so do the benchmarks.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from kt_tuning.augment import OPS, AugMix, Policy
from kt_tuning.augment import pixel_ops as pixel
from kt_tuning.augment.arrays import Floats, Frame, Pixels, Rows
from kt_tuning.augment.resampling import (
    AUTO,
    coefficients,
    keeps_grid,
    sample,
    seen_corners,
    window,
)
from kt_tuning.augment.steps import Draw
from kt_tuning.core.pictures import to_array, to_pil


def by_matrix(function: Callable[..., Floats]) -> Callable[..., Image.Image]:
    """The linear part of a colour matrix, by `Image.convert`."""

    def convert(image: Image.Image, amount: float, parameters: Floats) -> Image.Image:
        matrix = function(np.array([amount]), parameters[None])[0, :, :3]
        twelve = np.concatenate([matrix, np.zeros((3, 1))], axis=1).ravel().tolist()
        return image.convert("RGB").convert("RGB", tuple(twelve)).convert(image.mode)

    return convert


def gamma(image: Image.Image, amount: float, parameters: Floats) -> Image.Image:
    table = [round(255 * (value / 255) ** 2**amount) for value in range(256)]
    return image.point(table * len(image.getbands()))


BY_PIL: dict[str, Callable[..., Image.Image]] = {
    "brightness": lambda image, amount, _: ImageEnhance.Brightness(image).enhance(1 + amount),
    "contrast": lambda image, amount, _: ImageEnhance.Contrast(image).enhance(1 + amount),
    "saturation": lambda image, amount, _: ImageEnhance.Color(image).enhance(1 + amount),
    "greyscale": lambda image, amount, _: ImageEnhance.Color(image).enhance(1 - amount),
    "hue": by_matrix(pixel.hue),
    "gains": by_matrix(pixel.gains),
    "posterise": lambda image, amount, _: ImageOps.posterize(image, 8 - round(amount)),
    "solarise": lambda image, amount, _: ImageOps.solarize(image, round(256 * (1 - amount))),
    "invert": lambda image, amount, _: ImageOps.invert(image),
    "gamma": gamma,
    **{name: op.function for name, op in OPS.items() if op.kind == "filter"},
}
FUNCTIONS = {id(OPS[name]): function for name, function in BY_PIL.items()}


def op_by_op(policy: Policy, images: Pixels, uniforms: Floats) -> Pixels:
    """Apply `policy` as `augment` does, but one PIL call an operation and image.

    Every operation rounds to uint8, and fills in what comes from beyond the border by itself.

    Args:
        policy: As for `augment`.
        images: As for `augment`.
        uniforms: As for `augment`.

    Returns:
        uint8 (n, height, width, channels), new.
    """
    rows = np.arange(len(images))
    batch = OneByOne(images, policy)
    column = 0
    for step in policy.steps:
        numbers = uniforms[:, column : column + step.draws]
        column += step.draws
        if not isinstance(step, AugMix):
            for draw in step.draw(rows, numbers):
                batch.apply(draw)
            continue
        images = batch.pixels()
        versions = [images]
        for chain in step.chains(rows, numbers):
            link = OneByOne(images, policy)
            for draw in chain:
                link.apply(draw)
            versions.append(link.pixels())
        mixed = np.einsum("nv,vnhwc->nhwc", step.weights(numbers), np.stack(versions))
        batch = OneByOne(np.round(mixed).astype(np.uint8), policy)
    return batch.pixels()


class OneByOne:
    """Applies operations at once.

    Args:
        images: The batch.
        policy: Gives the border and the interpolation.
    """

    def __init__(self, images: Pixels, policy: Policy) -> None:
        self._images = [to_pil(image) for image in images]
        self._policy = policy
        auto = policy.interpolation == AUTO
        self._interpolation = "bilinear" if auto else policy.interpolation
        self._shape = images.shape
        self._frame = Frame(images.shape[2], images.shape[1])

    def apply(self, draw: Draw) -> None:
        """Apply one operation to its images."""
        if draw.op.kind == "geometric":
            self._move(draw.op.function(draw.amounts, draw.parameters, self._frame), draw.rows)
            return
        function = FUNCTIONS[id(draw.op)]
        rows, amounts = draw.rows.tolist(), draw.amounts.tolist()
        for row, amount, parameters in zip(rows, amounts, draw.parameters, strict=True):
            self._images[row] = function(self._images[row], amount, parameters)

    def pixels(self) -> Pixels:
        """Return the images."""
        result = np.empty(self._shape, np.uint8)
        for row, image in enumerate(self._images):
            result[row] = to_array(image)
        return result

    def _move(self, matrices: Floats, rows: Rows) -> None:
        corners = seen_corners(matrices, self._shape[1:3])
        first = np.floor(corners.min(axis=1)).astype(int)
        last = np.ceil(corners.max(axis=1)).astype(int)
        # PIL itself knows no border but black; others are added, and PIL looks a little further.
        starts = np.zeros_like(first) if self._policy.border == "constant" else first - 2
        calls = coefficients(matrices, starts, self._interpolation)
        linear = matrices[:, :2, :2].tolist()
        boxes = np.concatenate([first - starts, last - starts], axis=1).tolist()
        for number, exact in enumerate(keeps_grid(matrices).tolist()):
            image = self._images[rows[number]]
            if self._policy.border != "constant":
                image = self._padded(image, starts[number], last[number] + 2)
            self._images[rows[number]] = (
                _slice(image, linear[number], boxes[number])
                if exact
                else sample(image, self._frame, *calls[number], self._interpolation)
            )

    def _padded(self, image: Image.Image, start: Rows, end: Rows) -> Image.Image:
        (left, top), (right, bottom) = start.tolist(), end.tolist()
        box = (left, top, right, bottom)
        return to_pil(window(to_array(image)[None], box, self._policy.border)[0])


def _slice(image: Image.Image, linear: list[list[float]], box: list[int]) -> Image.Image:
    """Flips, quarter turns and shifts by whole pixels."""
    left, top, right, bottom = box
    if box != [0, 0, *image.size]:
        image = image.crop((left, top, right, bottom))
    if sum(linear[0]) < 0:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if sum(linear[1]) < 0:
        image = image.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    return image.transpose(Image.Transpose.TRANSPOSE) if linear[0][0] == 0 else image
