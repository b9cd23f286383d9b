import numpy as np
import pytest

from kt_tuning.augment import POLICIES, Policy, Step, preview
from kt_tuning.core.errors import OptionError

MODES = {1: "L", 3: "RGB"}
MIRROR = Policy((Step("flip", 1.0, 1.0),))


def images(channels, count=2, height=24, width=32):
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (count, height, width, channels), dtype=np.uint8)


@pytest.mark.parametrize("channels", MODES)
def test_a_row_an_image_the_original_first(channels):
    originals = images(channels)
    picture = preview(MIRROR, originals, draws=2)
    assert picture.mode == MODES[channels]
    # 32 pixels are enlarged to 96: tiles of 72×96, 2 pixels apart
    pixels = np.asarray(picture).reshape(2 * 72 + 2, 3 * 96 + 2 * 2, channels)
    for row in range(2):
        for column in range(3):
            top, left = row * 74, column * 98
            tile = pixels[top : top + 72, left : left + 96]
            expected = originals[row] if column == 0 else originals[row, :, ::-1]
            assert np.array_equal(tile[::3, ::3], expected)
            assert np.array_equal(tile[1::3, 2::3], expected)
    assert (pixels[72:74] == 255).all()
    assert (pixels[:, 96:98] == 255).all()


def test_large_images_keep_their_size():
    assert preview(MIRROR, images(3, 1, 100, 120), draws=1).size == (242, 100)


def test_same_seed_same_picture():
    first, again, other = (
        np.asarray(preview("light", images(3), draws=4, seed=seed)) for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_name_is_a_policy():
    by_name, by_hand = preview("light", images(3)), preview(POLICIES["light"], images(3))
    assert np.array_equal(np.asarray(by_name), np.asarray(by_hand))


@pytest.mark.parametrize(
    ("policy", "count", "draws"), [("mild", 2, 8), ("light", 0, 8), ("light", 2, 0)]
)
def test_nothing_to_show_is_refused(policy, count, draws):
    with pytest.raises(OptionError):
        preview(policy, images(3, count), draws=draws)
