"""Every colour mode of Pillow becomes grey or RGB."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from kt_tuning.data.decode import composite_on_white, to_channels


def one_pixel(mode: str, value: object) -> Image.Image:
    return Image.new(mode, (1, 1), value)  # type: ignore[arg-type]


def value(image: Image.Image) -> object:
    return image.getpixel((0, 0))


@pytest.mark.parametrize(
    ("mode", "pixel", "rgb"),
    [
        ("1", 1, (255, 255, 255)),
        ("L", 77, (77, 77, 77)),
        ("RGB", (1, 2, 3), (1, 2, 3)),
        # (100·128 + 255·127 + 127) // 255 = 177, and so on
        ("RGBA", (100, 50, 200, 128), (177, 152, 227)),
        ("RGBA", (9, 9, 9, 0), (255, 255, 255)),
        ("RGBA", (9, 8, 7, 255), (9, 8, 7)),
        ("LA", (100, 128), (177, 177, 177)),
        ("CMYK", (0, 255, 255, 0), (255, 0, 0)),
        ("I;16", 0x1234, (0x12, 0x12, 0x12)),
        ("I;16B", 0xFF00, (255, 255, 255)),
        ("I", 0xABCD, (0xAB, 0xAB, 0xAB)),
    ],
)
def test_every_mode_becomes_rgb(mode: str, pixel: object, rgb: tuple[int, int, int]) -> None:
    assert value(to_channels(one_pixel(mode, pixel), 3)) == rgb


def test_colour_becomes_grey_by_the_luma_formula() -> None:
    # (19595·10 + 38470·20 + 7471·30 + 32768) >> 16
    assert value(to_channels(one_pixel("RGB", (10, 20, 30)), 1)) == 18


def test_alpha_is_laid_over_white_before_colour_becomes_grey() -> None:
    # RGB (177, 152, 227) → (19595·177 + 38470·152 + 7471·227 + 32768) >> 16
    assert value(to_channels(one_pixel("RGBA", (100, 50, 200, 128)), 1)) == 168


def test_transparent_palette_entry_is_white() -> None:
    image = one_pixel("P", 0)
    image.putpalette([200, 0, 0])
    assert value(to_channels(image, 3)) == (200, 0, 0)
    image.info["transparency"] = 0
    assert value(to_channels(image, 3)) == (255, 255, 255)


def test_compositing_rounds_to_nearest() -> None:
    colour, alpha = np.meshgrid(np.arange(256), np.arange(256))
    rgba = np.stack([colour, colour, colour, alpha], axis=-1).astype(np.uint8)
    exact = (colour * alpha + 255 * (255 - alpha)) / 255
    assert np.abs(composite_on_white(rgba)[..., 0] - exact).max() <= 0.5


@pytest.mark.parametrize(("mode", "pixel"), [("F", 0.5), ("I", 70_000), ("I", -1)])
def test_pixels_of_unknown_range_are_refused(mode: str, pixel: float) -> None:
    with pytest.raises(ValueError, match="no known range"):
        to_channels(one_pixel(mode, pixel), 3)
