"""Copies of an image are found, and what only looks alike is not taken for one."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from kt_tuning.data.duplicates import Duplicates, find_duplicates, thumbnail, thumbnails


def photos(count: int, side: int = 64, seed: int = 0) -> np.ndarray:
    """Smooth images in colour with some noise, (count, side, side, 3)."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (count, 5, 5, 3), dtype=np.uint8)
    large = [Image.fromarray(c).resize((side, side), Image.Resampling.BICUBIC) for c in coarse]
    noise = rng.normal(0, 4, (count, side, side, 3))
    return np.clip(np.stack(large) + noise, 0, 255).astype(np.uint8)


def saved_again(image: np.ndarray, kind: str, scale: float = 1, **options: Any) -> np.ndarray:
    picture = Image.fromarray(image)
    side = round(scale * picture.width)
    buffer = io.BytesIO()
    picture.resize((side, side), Image.Resampling.LANCZOS).save(buffer, kind, **options)
    again = Image.open(buffer).convert("RGB")
    return np.asarray(again.resize(picture.size, Image.Resampling.BILINEAR))


def find(images: np.ndarray) -> Duplicates:
    return find_duplicates(images, thumbnails(images))


def test_same_pixels_are_found() -> None:
    images = photos(50)
    images[[7, 30]] = images[3]
    images[40] = images[20]
    assert find(images) == Duplicates([[3, 7, 30], [20, 40]], [])


@pytest.mark.parametrize("side", [2, 8, 15, 16, 33])
def test_same_pixels_are_found_at_any_size(side: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (20, side, side, 1), dtype=np.uint8)
    images[9] = images[4]
    assert find(images).exact == [[4, 9]]


def test_a_pixel_of_difference_is_no_exact_copy() -> None:
    images = photos(30)
    images[9] = images[4]
    images[9, 0, 0, 0] ^= 1
    assert find(images) == Duplicates([], [[4, 9]])


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {"quality": 50}),
        ("JPEG", {"quality": 90}),
        ("WEBP", {"quality": 80}),
        ("PNG", {"scale": 0.5}),
        ("JPEG", {"quality": 75, "scale": 0.75}),
    ],
)
def test_a_picture_that_was_saved_again_is_found(kind: str, options: dict[str, Any]) -> None:
    images = photos(60)
    for place in range(10):
        images[50 + place] = saved_again(images[place], kind, **options)
    assert find(images) == Duplicates([], [[place, 50 + place] for place in range(10)])


def test_pictures_of_a_burst_are_not_copies() -> None:
    large = photos(30, side=66)
    images = large[:, 1:65, 1:65].copy()
    shifted = large[:10, 2:66, 2:66].astype(int) + 8  # moved by a pixel, and brighter
    images[20:] = np.clip(shifted, 0, 255)
    assert find(images) == Duplicates([], [])


def test_plain_images_are_not_copies_unless_they_are_equal() -> None:
    noise = np.random.default_rng(0).integers(0, 3, (40, 32, 32, 3), dtype=np.uint8)
    assert find(200 + noise) == Duplicates([], [])


def test_images_of_one_scene_that_all_look_alike_are_not_copies() -> None:
    scene = photos(1)[0].astype(int)
    rng = np.random.default_rng(1)
    images = np.repeat(scene[None], 60, axis=0) + rng.integers(-6, 7, (60, 64, 64, 3))
    for image in images:  # a defect, somewhere
        row, column = rng.integers(0, 56, 2)
        image[row : row + 8, column : column + 8] -= 60
    assert find(np.clip(images, 0, 255).astype(np.uint8)) == Duplicates([], [])


def test_the_same_shape_in_another_colour_is_no_copy() -> None:
    images = photos(30)
    images[20] = images[3][..., ::-1]
    assert find(images) == Duplicates([], [])


def test_small_digits_are_not_copies() -> None:
    digits = np.rint(load_digits().images * (255 / 16)).astype(np.uint8)[..., None]
    assert find(digits) == Duplicates([], [])


def test_groups_are_named_by_their_first_image() -> None:
    duplicates = Duplicates(exact=[[1, 4]], similar=[[0, 1, 5]])
    np.testing.assert_array_equal(duplicates.groups(6), [0, 0, 2, 3, 0, 0])


def test_one_image_has_no_duplicates() -> None:
    assert find(photos(1)) == Duplicates([], [])


def test_a_thumbnail_averages_cells() -> None:
    pixels = np.arange(16, dtype=np.uint8).repeat(3)[None].repeat(32, axis=0) * 10
    np.testing.assert_array_equal(thumbnail(Image.fromarray(pixels)), [np.arange(16) * 10] * 16)
