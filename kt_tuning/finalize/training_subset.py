"""Training images and first weights of one member."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kt_tuning.data import ImageData


@dataclasses.dataclass(frozen=True, eq=False)
class TrainingSubset:
    """Training images and first weights of one member.

    Attributes:
        data: The data that it is trained and validated on.
        origin: Folder of the member whose weights it starts from, or None.
    """

    data: ImageData
    origin: Path | None = None


def with_train_rows(data: ImageData, places: NDArray[np.integer[Any]]) -> ImageData:
    """Return the same data with other training images.

    Args:
        data: The images; validation and test stay as they are.
        places: Positions in the training split, in any order, each as often as it is used.
    """
    train = data.indices["train"][np.sort(places)]
    return dataclasses.replace(data, indices={**data.indices, "train": train})
