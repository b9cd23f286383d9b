import numpy as np
import pytest

from kt_tuning.augment.resampling import choose, keeps_grid


@pytest.mark.parametrize(
    ("matrix", "keeps"),
    [
        (np.eye(3), True),
        ([[-1, 0, 7], [0, 1, -3], [0, 0, 1]], True),
        ([[0, 1, 0], [-1, 0, 8], [0, 0, 1]], True),
        ([[1, 0, 0.5], [0, 1, 0], [0, 0, 1]], False),
        ([[2, 0, 0], [0, 1, 0], [0, 0, 1]], False),
        ([[1, 1, 0], [0, 1, 0], [0, 0, 1]], False),
        ([[1, 0, 0], [1, 0, 0], [0, 0, 1]], False),
        ([[1, 0, 0], [0, 1, 0], [0.01, 0, 1]], False),
    ],
)
def test_which_matrices_keep_the_grid(matrix, keeps):
    assert keeps_grid(np.array([matrix], dtype=float)).tolist() == [keeps]


def test_auto_is_box_but_for_enlarged_images_and_perspectives():
    matrices = np.stack([np.eye(3)] * 3)
    matrices[1, :2, :2] *= 0.5
    matrices[2, 2, 0] = 0.001
    assert choose("auto", matrices, (100, 100)).tolist() == ["box", "bilinear", "bilinear"]
    assert choose("bicubic", matrices, (100, 100)).tolist() == ["bicubic"] * 3
    assert choose("auto", matrices, (90, 90)).tolist() == ["bilinear"] * 3
