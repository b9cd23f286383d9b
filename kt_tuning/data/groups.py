"""Groups of images, and changes to splits that keep each group in one part."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kt_tuning.core.errors import DataError


@dataclasses.dataclass(frozen=True, eq=False)
class Groups:
    """A partition of images: copies of one picture, images of one patient or one burst.

    Attributes:
        of_image: (N,) int64, the same number for images of a group.
        required: Whether a split of a group is an error. Groups of detected copies are split where
            a class would have no images in a part otherwise.
    """

    of_image: NDArray[np.int64]
    required: bool = False

    def take(self, places: NDArray[np.int64]) -> Groups:
        """Return the groups of some images."""
        return Groups(self.of_image[places], self.required)


def keep_together(
    part: NDArray[np.int64],
    labels: NDArray[np.int64],
    groups: Groups,
    class_names: Sequence[str],
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Change a split so that no group is in two parts.

    Groups of several images go, largest first, where they leave the smallest sum of

        (images of a class in a part - images wanted)^2 / images wanted

    and single images then fill the gaps. The wanted numbers are those of the given split.

    Args:
        part: (N,) numbers of parts; each class is in every part.
        labels: (N,).
        groups: Of the same N images.
        class_names: Names by label.
        rng: Source of the order of groups of equal size.

    Returns:
        (N,) numbers of parts. Every class is in every part.

    Raises:
        DataError: if groups are required and a class has too few for all parts.
    """
    _, group, sizes = np.unique(groups.of_image, return_inverse=True, return_counts=True)
    if (sizes == 1).all():
        return part
    wanted = _counts(part, labels, int(part.max()) + 1, len(class_names))
    result = _deal(part, labels, group, sizes, wanted, rng)
    _fill_up(result, labels, sizes[group] == 1, wanted, rng)
    for label in _repaired(result, labels, group, wanted):
        if groups.required:
            raise DataError(
                f"Too few groups for the split: {class_names[label]!r} has images in "
                f"{len(np.unique(group[labels == label]))} groups. Expected: one at least for each "
                f"of {len(wanted)} parts, with other classes met, too. Take finer groups or fewer "
                "parts, or leave the class out."
            )
        logging.getLogger("kt_tuning").warning(
            "%r has so few different images that copies of one are in several parts of the split: "
            "its scores are too good. Add images.",
            class_names[label],
        )
        result[labels == label] = part[labels == label]
    return result


def _deal(
    part: NDArray[np.int64],
    labels: NDArray[np.int64],
    group: NDArray[np.int64],
    sizes: NDArray[np.int64],
    wanted: NDArray[np.int64],
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Assign the groups of several images; single images stay where they are."""
    result = part.copy()
    several = sizes[group] > 1
    need = _counts(part[several], labels[several], *wanted.shape).astype(float)
    scale = np.maximum(wanted, 1)
    places = np.flatnonzero(several)
    members = np.split(
        places[np.argsort(group[places], kind="stable")],
        np.cumsum(sizes[sizes > 1])[:-1],
    )
    order = rng.permutation(len(members))
    for number in sorted(order, key=lambda number: -len(members[number])):
        count = np.bincount(labels[members[number]], minlength=wanted.shape[1])
        chosen = int(((count**2 - 2 * count * need) / scale).sum(axis=1).argmin())
        result[members[number]] = chosen
        need[chosen] -= count
    return result


def _fill_up(
    result: NDArray[np.int64],
    labels: NDArray[np.int64],
    single: NDArray[np.bool_],
    wanted: NDArray[np.int64],
    rng: np.random.Generator,
) -> None:
    """Move single images from parts with too many of their class to parts with too few."""
    surplus = _counts(result, labels, *wanted.shape) - wanted
    for label in np.flatnonzero((surplus != 0).any(axis=0)):
        for giver in np.flatnonzero(surplus[:, label] > 0):
            movable = np.flatnonzero(single & (result == giver) & (labels == label))
            movable = rng.permutation(movable)[: surplus[giver, label]]
            for place in movable:
                taker = int(surplus[:, label].argmin())
                result[place] = taker
                surplus[giver, label] -= 1
                surplus[taker, label] += 1


def _repaired(
    result: NDArray[np.int64],
    labels: NDArray[np.int64],
    group: NDArray[np.int64],
    wanted: NDArray[np.int64],
) -> list[int]:
    """Move small groups into parts that lack a class, and return the labels still lacking."""
    pairs = np.unique(np.stack([group, labels], axis=1), axis=0)
    lacking = []
    for label in range(wanted.shape[1]):
        for part in np.flatnonzero(_counts(result, labels, *wanted.shape)[:, label] == 0):
            if not wanted[part, label]:
                continue
            home = np.zeros(group.max() + 1, np.int64)
            home[group] = result
            groups_left = _counts(home[pairs[:, 0]], pairs[:, 1], *wanted.shape)
            # A group may go if each of its classes has another group where it comes from.
            stuck = pairs[groups_left[home[pairs[:, 0]], pairs[:, 1]] < 2, 0]
            movable = np.setdiff1d(pairs[pairs[:, 1] == label, 0], stuck)
            if not len(movable):
                lacking.append(label)
                break
            sizes = np.bincount(group)[movable]
            result[group == movable[sizes.argmin()]] = part
    return lacking


def _counts(
    part: NDArray[np.int64], labels: NDArray[np.int64], parts: int, classes: int
) -> NDArray[np.int64]:
    """Return (parts, classes) numbers of images."""
    return np.bincount(part * classes + labels, minlength=parts * classes).reshape(parts, classes)
