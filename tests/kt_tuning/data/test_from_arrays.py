from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest

from kt_tuning.core.errors import DataError, OptionError
from kt_tuning.data.from_arrays import check_range, find_range, to_pixels


def image(*values: Any, dtype: Any = None) -> np.ndarray:
    """One image, 1 row high."""
    return np.array([[values]], dtype=dtype)


@pytest.mark.parametrize(
    ("x", "pixels"),
    [
        (image(0, 7, 255, dtype=np.uint8), [0, 7, 255]),
        (image(0, 7, 255, dtype=np.int64), [0, 7, 255]),
        (image(0.0, 0.1, 1.0), [0, 26, 255]),  # 25.5 rounds to even
        (image(0.0, 0.5, 1.0, dtype=np.float16), [0, 128, 255]),
        (image(0.4, 0.6, 254.5), [0, 1, 254]),
        (image(False, True), [0, 255]),
        (image(0.0, 1.000003, dtype=np.float32), [0, 255]),
        (image(-1e-7, 0.5, 1.0), [0, 128, 255]),
        (image(0.0, 255.0004), [0, 255]),
        (image(-0.4, 128, 255.4), [0, 128, 255]),
        (image(0, 200, 65535, dtype=np.uint16), [0, 1, 255]),
        (image(0, 2048, 4095, dtype=np.uint16), [0, 128, 255]),
        (image(0, 7, 255, dtype=np.uint16), [0, 7, 255]),
    ],
)
def test_values_become_0_to_255(x: np.ndarray, pixels: list[int]) -> None:
    found = to_pixels(x, find_range(x))
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found.ravel(), pixels)


def test_given_range_is_black_to_white() -> None:
    np.testing.assert_array_equal(to_pixels(image(0, 8, 16), (0, 16)).ravel(), [0, 128, 255])
    np.testing.assert_array_equal(to_pixels(image(-1.0, 0.0), (-1, 1)).ravel(), [0, 128])


def test_uint8_is_not_copied() -> None:
    x = np.zeros((2, 3, 4, 3), np.uint8)
    assert np.shares_memory(to_pixels(x, (0.0, 255.0)), x)


def test_grey_gets_a_channel() -> None:
    assert to_pixels(np.zeros((2, 3, 4), np.uint8), (0, 255)).shape == (2, 3, 4, 1)


def test_rgba_is_laid_over_white() -> None:
    x = np.array([100, 50, 200, 128], np.uint8).reshape(1, 1, 1, 4)
    np.testing.assert_array_equal(to_pixels(x, (0, 255)).ravel(), [177, 152, 227])


def test_many_images_are_all_converted() -> None:
    x = np.linspace(0, 1, 3000).reshape(3000, 1, 1)
    np.testing.assert_array_equal(to_pixels(x, (0, 1)), np.rint(x * 255)[..., np.newaxis])


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (image(0.0, np.nan), "NaN or infinite"),
        (image(0.0, np.inf), "NaN or infinite"),
        (image(-1.0, 1.0), r"-1..1. If -1 is black and 1 is white, pass value_range=\(-1, 1\)"),
        (image(-0.02, 1.05), r"Received: -0.02..1.05. Clip them, np.clip\(x, 0, 1\)"),
        (image(-2.1, 2.6), "as they were before they were standardised"),
        (image(0, 4095), r"If 4095 is white, pass value_range=\(0, 4095\)"),
        (image(-1, 5), "should lie in 0..255. Received: -1..5"),
        (image(0, 256), "should lie in 0..255. Received: 0..256"),
        (np.zeros((0, 4, 4)), "at least one image.*Received: float64 .0, 4, 4."),
        (np.zeros((4, 4)), "Received: float64 .4, 4."),
        (np.zeros((2, 4, 4, 2)), "Received: float64 .2, 4, 4, 2."),
        (np.zeros((2, 3, 32, 32)), "Channels come last"),
        (np.zeros((1, 2, 2), complex), "Received: complex128"),
        (np.array([[["a"]]]), "Received: <U1"),
        ([np.zeros((2, 2)), np.zeros((3, 3))], "all have the same shape"),
    ],
)
def test_bad_images(x: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        to_pixels(x, find_range(x))


def test_dark_images_are_remarked_on(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "kt_tuning"):
        find_range(image(0.0, 16.0))
    assert "value_range=(0, 16)" in caplog.text


def test_advice_for_dark_images_is_not_given_for_standardised_ones(
    caplog: pytest.LogCaptureFixture,
) -> None:
    find_range(image(-2.1, 2.6))
    assert caplog.text == ""


def test_advice_about_dark_images_works(caplog: pytest.LogCaptureFixture) -> None:
    x = image(0.0, 3.14159265)
    with caplog.at_level(logging.WARNING, "kt_tuning"):
        find_range(x)
    assert "value_range=(0, 3.14159)" in caplog.text
    np.testing.assert_array_equal(to_pixels(x, (0, 3.14159)).ravel(), [0, 255])


def test_the_bits_of_16_bit_arrays_are_those_of_all_splits(
    caplog: pytest.LogCaptureFixture,
) -> None:
    x, other = image(0, 300, dtype=np.uint16), image(0, 4095, dtype=np.uint16)
    with caplog.at_level(logging.WARNING, "kt_tuning"):
        assert find_range(x, other) == (0, 4095)
    assert "hold 12 bits: 0 to 4095 become 0 to 255" in caplog.text


def test_values_far_above_a_range_of_0_to_1() -> None:
    with pytest.raises(DataError, match=r"0..1. Received: 0..255. If 255 is white, pass value_ra"):
        to_pixels(image(0.0, 255.0), (0, 1))


@pytest.mark.parametrize("value_range", [(1, 1), (2, 0), (0, np.inf), (0, np.nan), (1,), "ab", 3])
def test_bad_range(value_range: Any) -> None:
    with pytest.raises(OptionError, match="value_range should be"):
        check_range(value_range)


def test_masked_images_are_refused() -> None:
    x = np.ma.array(np.zeros((1, 2, 2)), mask=np.eye(2)[None])
    with pytest.raises(DataError, match="x has masked values"):
        find_range(x)
    x.mask = False
    assert find_range(x) == (0, 1)
