"""Images for the tests of augmentation."""

import numpy as np


def smooth(count=4, height=32, width=32, channels=3):
    """Soft patterns between about 60 and 190, each image and channel its own; opacity too."""
    rows, columns = np.mgrid[0:height, 0:width]
    planes = [
        125
        + 40 * np.sin((rows * (1 + number % 2) + 3 * plane) / 7 + number)
        + 25 * np.cos((columns + rows / 2) / (5 + plane) + 2 * number)
        for number in range(count)
        for plane in range(channels)
    ]
    stacked = np.stack(planes).reshape(count, channels, height, width)
    return np.ascontiguousarray(stacked.transpose(0, 2, 3, 1)).astype(np.uint8)


def uniforms(policy, count=4, seed=0):
    return np.random.default_rng(seed).random((count, policy.draws))
