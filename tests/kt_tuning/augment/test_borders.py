import numpy as np
import pytest
from smooth_images import smooth

from kt_tuning.augment.resampling import BORDERS, window


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("box", [(2, 1, 6, 9), (-5, -3, 4, 20), (9, 11, 14, 13), (-40, 0, -30, 5)])
def test_a_window_is_a_part_of_the_padded_image(border, box):
    images = smooth(2, 12, 10)
    left, top, right, bottom = box
    everywhere = np.pad(images, ((0, 0), (40, 40), (40, 40), (0, 0)), mode=BORDERS[border])
    expected = everywhere[:, top + 40 : bottom + 40, left + 40 : right + 40]
    assert np.array_equal(window(images, box, border), expected)
