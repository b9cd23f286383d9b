"""Predictions of a split, batch by batch."""

import numpy as np
import pytest

from kt_tuning.evaluation import predict_split


class Numbers:
    """A split whose image i holds the number i."""

    def __init__(self, count):
        self.labels = np.zeros(count, dtype=int)

    def __len__(self):
        return len(self.labels)

    def take(self, indices):
        return (indices % 256).astype(np.uint8)[:, None, None, None]


@pytest.mark.parametrize(
    ("count", "sizes"),
    [
        (1, [1]),
        (256, [256]),
        # As few batches as possible, of one size: the last image is repeated.
        (515, [172, 172, 172]),
    ],
)
def test_every_image_in_order(count, sizes):
    seen = []

    def predict(images):
        seen.append(len(images))
        return images.reshape(-1, 1) / 255

    got = predict_split(predict, Numbers(count))
    np.testing.assert_array_equal(got, (np.arange(count) % 256)[:, None] / 255)
    assert seen == sizes


def test_lists_become_an_array():
    got = predict_split(lambda images: [[0.5, 0.5]] * len(images), Numbers(300))
    np.testing.assert_array_equal(got, np.full((300, 2), 0.5))
