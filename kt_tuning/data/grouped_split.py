"""Splits and folds that keep duplicates and groups of images on one side."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from kt_tuning.core.errors import DataError, OptionError
from kt_tuning.data.duplicates import Duplicates
from kt_tuning.data.groups import Groups, keep_together
from kt_tuning.data.stratified_split import complete, generator, stratified_folds

logger = logging.getLogger("kt_tuning")

#: Pairs of copies named in a message.
_SHOWN = 3

Indices = dict[str, NDArray[np.int64]]


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
) -> tuple[Indices, Groups | None]:
    """Split images so that neither groups nor copies of a picture are in two parts.

    Given parts stay unchanged, except that training images with a copy in the validation or test
    part are left out. The number of copies is logged.

    Args:
        labels: (N,) of all images.
        given: Index sets by part; "train" always.
        duplicates: The copies among the images.
        groups: (N,) the same number for images that must stay together; None if there are none.
        split: Shares of train, validation and test.
        seed: Seed of the choice.
        class_names: Names by label.
        name_of: Returns the name of the image at a place.

    Returns:
        The three index sets, and the groups for splits that come later; None if there are none.

    Raises:
        OptionError: if the split or the seed is wrong.
        DataError: if a class has too few images or groups, or a group is in two parts given.
    """
    together = None
    copies = duplicates.groups(len(labels))
    if len(given) > 1:
        if groups is not None:
            _check_parts_of_groups(groups, given, name_of)
        given = _without_leaks(labels, given, copies)
    if groups is not None:
        together = Groups(_joined(groups, copies), required=True)
    elif duplicates.exact or duplicates.similar:
        together = Groups(copies)
    _say(duplicates, labels, class_names, name_of)
    indices = complete(
        labels, given, split=split, seed=seed, class_names=class_names, groups=together
    )
    return indices, together


def assign_folds(
    labels: NDArray[np.int64],
    count: int,
    class_names: Sequence[str],
    groups: Groups | None,
    *,
    seed: int,
) -> NDArray[np.int64]:
    """Assign images to the folds of a cross-validation: stratified, groups in one fold each.

    Args:
        labels: (N,).
        count: Number of folds, at least 2.
        class_names: Names by label.
        groups: Of the same N images, or None.
        seed: Seed of the assignment.

    Returns:
        (N,) the fold of each image.

    Raises:
        OptionError: if `count` is no such number.
        DataError: if a class has fewer images, or groups, than folds.
    """
    if isinstance(count, bool) or not isinstance(count, int) or count < 2:
        raise OptionError(f"`folds` is a whole number, at least 2. Received: {count!r}")
    sizes = np.bincount(labels, minlength=len(class_names))
    if sizes.min() < count:
        label = int(sizes.argmin())
        raise DataError(
            f"{count} folds need at least {count} images a class outside the test split. "
            f"Found: {class_names[label]!r} {sizes[label]}. Ask for fewer folds."
        )
    rng = generator(seed)
    fold = stratified_folds(labels, count, rng)
    return fold if groups is None else keep_together(fold, labels, groups, class_names, rng)


def _joined(first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return groups such that images of one group of either are in one group."""
    _, first = np.unique(first, return_inverse=True)
    joined = np.arange(len(first))
    while True:
        before = joined
        for groups in (first, second):
            least = np.full(groups.max() + 1, len(joined))
            np.minimum.at(least, groups, joined)
            joined = least[groups]
        if np.array_equal(joined, before):
            return joined


def _check_parts_of_groups(
    groups: NDArray[np.int64],
    given: Mapping[str, NDArray[np.int64]],
    name_of: Callable[[int], str],
) -> None:
    parts = list(given)
    for number, part in enumerate(parts):
        for other in parts[number + 1 :]:
            torn = given[part][np.isin(groups[given[part]], groups[given[other]])]
            if len(torn):
                raise DataError(
                    f"{len(np.unique(groups[torn]))} groups have images in the ready {part} and "
                    f"{other} splits, e.g. that of {name_of(int(torn[0]))}. Move each group into "
                    "one split, or leave the groups out."
                )


def _without_leaks(
    labels: NDArray[np.int64],
    given: Mapping[str, NDArray[np.int64]],
    copies: NDArray[np.int64],
) -> Indices:
    """Leave out training images that have a copy in another given part."""
    train = given["train"]
    others = {part: index for part, index in given.items() if part != "train"}
    elsewhere = np.concatenate([*others.values()])
    leaked = np.isin(copies[train], copies[elsewhere])
    if len(others) > 1:
        first, second = (np.unique(copies[index]) for index in others.values())
        if shared := len(np.intersect1d(first, second)):
            logger.warning(
                "%d pictures are both in the ready validation and test splits, which stay as they "
                "are: move their copies into one of them.",
                shared,
            )
    if not leaked.any():
        return dict(given)
    before = np.bincount(labels[train])
    after = np.bincount(labels[train[~leaked]], minlength=len(before))
    if (after < before / 2).any():
        logger.warning(
            "%d training images are copies of images in the ready validation and test splits. They "
            "are kept, since a class would lose more than half its training images without them: "
            "scores are too good. Make the splits anew.",
            int(leaked.sum()),
        )
        return dict(given)
    logger.warning(
        "%d training images are left out: they are copies of images in the ready validation and "
        "test splits, which stay as they are.",
        int(leaked.sum()),
    )
    return {**given, "train": train[~leaked]}


def _say(
    duplicates: Duplicates,
    labels: NDArray[np.int64],
    class_names: Sequence[str],
    name_of: Callable[[int], str],
) -> None:
    exact, similar = (
        sum(len(places) - 1 for places in sets) for sets in (duplicates.exact, duplicates.similar)
    )
    if not exact + similar:
        return
    pairs = [(places[0], places[1]) for places in (*duplicates.exact, *duplicates.similar)]
    # a few of either kind
    shown = [*pairs[:_SHOWN], *pairs[len(duplicates.exact) :][:_SHOWN]]
    examples = "; ".join(
        f"{name_of(first)} and {name_of(second)}" for first, second in dict.fromkeys(shown)
    )
    logger.warning(
        "Found %d duplicate images of %d: %d have the same pixels as another one, %d show the same "
        "picture saved again. Copies stay on one side of the split. E.g. %s",
        exact + similar,
        len(labels),
        exact,
        similar,
        examples,
    )
    group = duplicates.groups(len(labels))
    mixed = np.flatnonzero(labels != labels[group])
    if len(mixed):
        place = int(mixed[0])
        first = int(group[place])
        logger.warning(
            "%d copies have another label than the same picture elsewhere, e.g. %s (%s) and %s "
            "(%s). Check the labels.",
            len(mixed),
            name_of(first),
            class_names[labels[first]],
            name_of(place),
            class_names[labels[place]],
        )
