"""Image sets of the benchmarks: scikit-learn's digits, digits drawn from them, and folders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage
from sklearn.datasets import load_digits

TEST_ORIGINALS = 300
"""Of the 1,797 digits; test images are drawn from them, all others from the rest."""
SIDE = 28


def digits(seed: int = 0) -> Any:
    """Return scikit-learn's 1,797 digits of 8×8 pixels, as an `ImageData`."""
    import kt_tuning as ktt

    found = load_digits()
    pixels = (found.images * (255 / 16)).round().astype(np.uint8)[..., None]
    return ktt.ImageData.from_arrays(pixels, found.target, seed=seed)


def drawn_digits(train: int = 60_000, test: int = 10_000, *, seed: int = 0) -> Any:
    """Return distorted digits of 28×28 pixels, which resemble MNIST, as an `ImageData`.

    Each is one of scikit-learn's digits: turned, sheared, scaled, moved, bent by a smooth random
    field, drawn larger, and with another stroke width. No original of a test image is that of a
    training image. The images are the same for every seed; the validation split, a fifth of the
    training images, is not.
    """
    import kt_tuning as ktt

    originals = load_digits()
    rng = np.random.default_rng(0)
    order = rng.permutation(len(originals.images))

    def draw(rows: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        chosen = rng.choice(rows, count)
        images = np.stack([_distort(originals.images[row] / 16.0, rng) for row in chosen])
        return images[..., None], originals.target[chosen]

    learnt = draw(order[TEST_ORIGINALS:], train)
    tested = draw(order[:TEST_ORIGINALS], test)
    return ktt.ImageData.from_arrays(*learnt, test=tested, split=(0.8, 0.2, 0.0), seed=seed)


def _distort(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return an image of 8×8 shares of ink as uint8 (SIDE, SIDE)."""
    angle, shear = rng.normal(0.0, 0.15), rng.normal(0.0, 0.2)
    scale = 2.6 * rng.uniform(0.8, 1.15, 2)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = turn @ np.array([[1.0, shear], [0.0, 1.0]]) / scale
    grid = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2 - rng.normal(0.0, 1.0, 2)[:, None, None]
    bend = ndimage.zoom(rng.normal(0.0, 0.7, (2, 5, 5)), (1, SIDE / 5, SIDE / 5), order=3)
    places = np.tensordot(matrix, grid + bend, 1) + 3.5
    ink = np.clip(ndimage.map_coordinates(image, places, order=3, mode="constant"), 0.0, 1.2)
    edge = 1.0 / (1.0 + np.exp(-(ink - rng.uniform(0.4, 0.55)) * rng.uniform(8.0, 14.0)))
    return (edge * 255).astype(np.uint8)


def folder(path: Path, *, limit: int | None = None, size: int | None = None) -> Callable[..., Any]:
    """Return a function of the seed that loads a folder of images as an `ImageData`.

    Args:
        path: With train/<class>/*.jpg and test/<class>/*.jpg, or <class>/*.jpg.
        limit: Training and validation images, at most.
        size: Height and width in pixels; None for those of the images.
    """
    import kt_tuning as ktt

    def load(seed: int = 0) -> Any:
        data = ktt.load_images(path, image_size=size, seed=seed, progress=False)
        return data if limit is None else data.limit(limit, seed=seed)

    return load


def save_arrays(data: Any, path: Path) -> None:
    """Write an `ImageData` as an .npz file, with its split."""
    parts = {"train": data.train, "val": data.validation, "test": data.test}
    arrays = {}
    for name, part in parts.items():
        arrays[f"x_{name}"] = part.take(np.arange(len(part)))
        arrays[f"y_{name}"] = part.labels
    np.savez(path, **arrays)
