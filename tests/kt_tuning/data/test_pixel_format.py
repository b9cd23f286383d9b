from __future__ import annotations

import pytest

from kt_tuning.core.errors import OptionError
from kt_tuning.data.pixel_format import (
    Look,
    check_channels,
    check_size,
    choose_format,
    largest_side,
)


def looks(*sizes: tuple[int, int], grey: bool = False) -> list[Look]:
    return [Look(width, height, grey) for width, height in sizes]


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([(28, 20)] * 3, (20, 28)),
        ([(224, 100)] * 3, (100, 224)),
        ([(225, 100)] * 3, (96, 96)),
        ([(500, 333), (640, 480), (300, 200)], (224, 224)),
        ([(100, 130), (90, 200), (140, 140)], (96, 96)),
        ([(10, 10), (12, 12)], (32, 32)),
    ],
)
def test_default_size(sizes: list[tuple[int, int]], expected: tuple[int, int]) -> None:
    chosen, _ = choose_format(looks(*sizes), None, None)
    assert (chosen.height, chosen.width) == expected


@pytest.mark.parametrize(
    ("sizes", "asked", "origin"),
    [
        ([(28, 20)] * 3, None, "the size of all files"),
        ([(28, 20)] * 3, (8, 8), "as asked for"),
        (
            [(500, 333), (640, 480), (300, 200)],
            None,
            "as the median of the files' shorter sides is 333, in steps of 32 up to 224",
        ),
        (
            [(300, 400)] * 2,
            None,
            "as the median of the files' shorter sides is 300, in steps of 32 up to 224",
        ),
    ],
)
def test_it_is_said_where_the_size_comes_from(
    sizes: list[tuple[int, int]], asked: tuple[int, int] | None, origin: str
) -> None:
    assert choose_format(looks(*sizes), asked, None)[1] == origin


@pytest.mark.parametrize(
    ("images", "time_limit", "backbone", "side"),
    [
        # A quarter of the limit at 2e11 operations a second; 20,000 a pixel, image and epoch of 30.
        # 1,000 images: 6e8 operations a pixel; 224² of them take 602 s, 192² 442 s, 160² 307 s.
        (1000, None, False, 224),
        (1000, 603, False, 224),
        (1000, 602, False, 192),
        (1000, 443, False, 192),
        (1000, 442, False, 160),
        (1000, 308, False, 160),
        (1000, 307, False, 128),
        (1000, 10, False, 128),
        (1000, 10, True, 288),
        (10_000, 3080, False, 160),
    ],
)
def test_the_default_size_fits_the_time_limit(
    images: int, time_limit: float | None, backbone: bool, side: int
) -> None:
    assert largest_side(images, time_limit=time_limit, backbone=backbone) == side


def test_a_size_for_the_time_limit_is_said() -> None:
    chosen, origin = choose_format(looks((300, 400), (300, 300)), None, None, 128)
    assert chosen.shape == (128, 128, 3)
    assert origin == (
        "as the median of the files' shorter sides is 300, in steps of 32 up to 128, which fits "
        "the time limit"
    )
    assert choose_format(looks((200, 200)), None, None, 128)[0].shape == (128, 128, 3)


def test_default_channels_are_grey_only_if_every_image_is() -> None:
    grey = looks((8, 8), grey=True)
    assert choose_format(grey, None, None)[0].channels == 1
    assert choose_format(grey + looks((8, 8)), None, None)[0].channels == 3


def test_what_was_asked_for_is_kept() -> None:
    assert choose_format(looks((8, 8), grey=True), (5, 6), 3)[0].shape == (5, 6, 3)


def test_one_number_is_a_square() -> None:
    assert check_size(48) == (48, 48)
    assert check_size((40, 48)) == (40, 48)
    assert check_size(None) is None


@pytest.mark.parametrize(
    "size", [0, -3, (32,), (32, 32, 3), (32, 0), (32.0, 32), True, "32", 3.5, 100_000]
)
def test_bad_size(size: object) -> None:
    with pytest.raises(OptionError, match="image_size should be"):
        check_size(size)  # type: ignore[arg-type]


@pytest.mark.parametrize("channels", [0, 2, 4, "3", 3.0, True])
def test_bad_channels(channels: object) -> None:
    with pytest.raises(OptionError, match="channels should be"):
        check_channels(channels)  # type: ignore[arg-type]
