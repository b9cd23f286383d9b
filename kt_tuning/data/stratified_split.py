"""Stratified, seeded splits and folds that keep duplicates and groups of images together.

Not those of scikit-learn, whose import alone takes longer than a cached load, and whose stratified
splits may leave a small class without a validation or test image.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kt_tuning.core.errors import DataError, OptionError
from kt_tuning.core.records import PARTS
from kt_tuning.core.units import check_count
from kt_tuning.data.duplicates import Duplicates, log_duplicates, without_leaks
from kt_tuning.data.groups import Groups, join_groups, keep_together


def check_split(split: Sequence[float]) -> tuple[float, float, float]:
    """Check the shares of train, validation and test.

    Raises:
        OptionError: unless there are three, train and validation positive, test not negative,
            with sum 1.
    """
    try:
        train, validation, test = (float(share) for share in split)
    except (TypeError, ValueError):
        train = validation = test = math.nan
    if not (
        train > 0 and validation > 0 and test >= 0 and abs(train + validation + test - 1) < 1e-6
    ):
        raise OptionError(
            "split should be three shares that sum to 1: train and validation above 0, test 0 or "
            f"more, e.g. (0.6, 0.2, 0.2). Received: split={split!r}"
        )
    return train, validation, test


def generator(seed: int) -> np.random.Generator:
    """Make a random generator.

    Raises:
        OptionError: if the seed is not an integer of 0 or more.
    """
    try:
        return np.random.default_rng(int(seed))
    except (TypeError, ValueError):
        raise OptionError(f"seed should be an integer of 0 or more. Received: {seed!r}") from None


def split_images(
    labels: NDArray[np.int64],
    given: Mapping[str, NDArray[np.int64]],
    duplicates: Duplicates,
    groups: NDArray[np.int64] | None,
    *,
    split: Sequence[float],
    seed: int,
    class_names: Sequence[str],
    name_of: Callable[[int], str],
) -> tuple[dict[str, NDArray[np.int64]], Groups | None]:
    """Split images so that neither groups nor copies of a picture are in two parts.

    Given parts stay unchanged, except that training images with a copy in the validation or test
    part are left out. The number of copies is logged.

    Args:
        labels: (N,) of all images.
        given: Index sets by part; "train" always. Missing parts are taken from it.
        duplicates: The copies among the images.
        groups: (N,) the same number for images that must stay together, or None.
        split: Shares of train, validation and test.
        seed: Seed of the choice.
        class_names: Names by label.
        name_of: Returns the name of the image at a place.

    Returns:
        The three index sets, and the groups for splits that come later, or None.

    Raises:
        OptionError: if the split or the seed is wrong.
        DataError: if a class has too few images or groups, or a group is in two parts given.
    """
    together = None
    copies = duplicates.groups(len(labels))
    if len(given) > 1:
        if groups is not None:
            _check_parts_of_groups(groups, given, name_of)
        given = without_leaks(labels, given, copies)
    if groups is not None:
        together = Groups(join_groups(groups, copies), required=True)
    elif duplicates.exact or duplicates.similar:
        together = Groups(copies)
    log_duplicates(duplicates, labels, class_names, name_of)
    indices = complete(
        labels, given, split=split, seed=seed, class_names=class_names, groups=together
    )
    return indices, together


def complete(
    labels: NDArray[np.int64],
    given: Mapping[str, NDArray[np.int64]],
    *,
    split: Sequence[float],
    seed: int,
    class_names: Sequence[str],
    groups: Groups | None = None,
) -> dict[str, NDArray[np.int64]]:
    """Take missing parts from the training images, stratified by class; see `split_images`.

    Each class gives its share of a part, at least one image, and the total of a part is exact to
    one image a class; with groups these shares are approximate.

    Returns:
        The three index sets, each ascending, disjoint.

    Raises:
        OptionError: if the split or the seed is wrong.
        DataError: if a class has fewer train images, or groups, than parts to fill.
    """
    shares = dict(zip(PARTS, check_split(split), strict=True))
    missing = [part for part in PARTS if part not in given and shares[part] > 0]
    rng = generator(seed)
    train = given["train"]
    sizes = np.bincount(labels[train], minlength=len(class_names))
    filled = ["train", *missing]
    if len(small := np.flatnonzero(sizes < len(filled))):
        found = ", ".join(f"{class_names[label]!r} {sizes[label]}" for label in small[:5])
        more = f" and {len(small) - 5} more" if len(small) > 5 else ""
        raise DataError(
            f"Too few images for the split {tuple(split)}. Found: {found}{more}. Expected: at "
            f"least {len(filled)} per class, one each for {', '.join(filled)}. Add images or leave "
            "the class out."
        )
    result = {part: given.get(part, np.empty(0, np.int64)) for part in PARTS}
    number = np.zeros(len(train), np.int64)
    rank = _ranks(labels[train], sizes, rng)
    used = np.zeros_like(sizes)
    for place, part in enumerate(missing, 1):
        exact = shares[part] * sizes
        taken = _apportion(exact, round(exact.sum()), sizes - used - len(filled) + place, rng)
        chosen = (rank >= used[labels[train]]) & (rank < (used + taken)[labels[train]])
        number[chosen] = place
        used += taken
    if groups is not None and missing:
        number = keep_together(number, labels[train], groups.take(train), class_names, rng)
    return result | {part: train[number == place] for place, part in enumerate(filled)}


def subset(
    labels: NDArray[np.int64], total: int, classes: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Choose `total` images in the proportions of their classes, at least one of each.

    Returns (total,) ascending places in `labels`, in which every class is present.
    """
    sizes = np.bincount(labels, minlength=classes)
    taken = _apportion(sizes * (total / len(labels)), total, sizes, rng)
    return np.flatnonzero(_ranks(labels, sizes, rng) < taken[labels])


def _ranks(
    labels: NDArray[np.int64], sizes: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.int64]:
    """Number the images of each class from 0, in random order."""
    order = rng.permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    rank = np.empty_like(order)
    rank[order] = np.arange(len(labels)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return rank


def _apportion(
    exact: NDArray[np.floating[Any]], total: int, most: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.int64]:
    """Round `exact` to integers from 1 to `most` with sum `total`, by largest remainder."""
    taken = np.clip(np.floor(exact), 1, most).astype(np.int64)
    wanted = exact + 1e-9 * rng.random(len(exact))  # ties fall at random, not on the first classes
    while taken.sum() < total and (taken < most).any():
        taken[np.argmax(np.where(taken < most, wanted - taken, -np.inf))] += 1
    while taken.sum() > max(total, len(exact)):
        taken[np.argmin(np.where(taken > 1, wanted - taken, np.inf))] -= 1
    return taken


def stratified_folds(
    labels: NDArray[np.integer[Any]], folds: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Assign images to folds at random, class by class; for groups see `keep_together`.

    Args:
        labels: (N,).
        folds: Number of folds, at least 2.
        rng: Random generator.

    Returns:
        (N,) the fold of each image. Folds differ by at most one image in size, and by at most one
        image of any class.
    """
    order = rng.permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    fold = np.empty(len(labels), np.int64)
    # One round over all classes: each begins at the fold after the last one of the class before.
    fold[order] = np.arange(len(labels)) % folds
    return fold


def assign_folds(
    labels: NDArray[np.int64],
    count: int,
    class_names: Sequence[str],
    groups: Groups | None,
    *,
    seed: int,
) -> NDArray[np.int64]:
    """Return the fold (N,) of each image of a cross-validation; see `ImageData.folds`."""
    count = check_count("folds", count, least=2)
    sizes = np.bincount(labels, minlength=len(class_names))
    if sizes.min() < count:
        label = int(sizes.argmin())
        raise DataError(
            f"{count} folds need at least {count} images per class outside the test split. "
            f"Found: {class_names[label]!r} {sizes[label]}. Ask for fewer folds."
        )
    rng = generator(seed)
    fold = stratified_folds(labels, count, rng)
    return fold if groups is None else keep_together(fold, labels, groups, class_names, rng)


def _check_parts_of_groups(
    groups: NDArray[np.int64],
    given: Mapping[str, NDArray[np.int64]],
    name_of: Callable[[int], str],
) -> None:
    for (part, own), (other, its) in itertools.combinations(given.items(), 2):
        torn = own[np.isin(groups[own], groups[its])]
        if len(torn):
            raise DataError(
                f"{len(np.unique(groups[torn]))} groups have images in both the {part} and the "
                f"{other} split, e.g. the group of {name_of(int(torn[0]))}. Move each group into "
                "one split, or leave the groups out."
            )
