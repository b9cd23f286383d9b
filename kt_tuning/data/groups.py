"""Groups of images, by their paths too, and changes to splits that keep each group in one part."""

from __future__ import annotations

import dataclasses
import logging
import re
from collections.abc import Callable, Hashable, Sequence
from pathlib import PurePath

import numpy as np
from numpy.typing import NDArray

from kt_tuning.core.errors import DataError, OptionError
from kt_tuning.core.names import composed
from kt_tuning.data.duplicates import connected
from kt_tuning.data.label_encoding import is_missing

FOLDER = "folder"
"""Groups are the folders below the class folders."""

PathGroups = str | Callable[[str], Hashable]


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


def join_groups(*partitions: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return (N,) groups such that images of one group in any partition are in one group."""
    edges = []
    for groups in partitions:
        _, first, group = np.unique(groups, return_index=True, return_inverse=True)
        edges.append(np.stack([np.arange(len(groups)), first[group]], axis=1))
    return connected(np.concatenate(edges), len(partitions[0]))


def keep_together(
    part: NDArray[np.int64],
    labels: NDArray[np.int64],
    groups: Groups,
    class_names: Sequence[str],
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Change a split, the numbers (N,) of parts, so that no group is in two parts.

    Groups of several images go, largest first, where they leave the smallest sum of

        (images of a class in a part - images wanted)^2 / images wanted

    and single images then fill the gaps. The wanted numbers are those of the given split. Groups of
    equal size are in random order.

    Returns:
        (N,) numbers of parts. Every class is in every part, as in the given split.

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
                f"{len(np.unique(group[labels == label]))} groups. Expected: enough groups for "
                f"every class to be in each of {len(wanted)} parts. Use smaller groups or fewer "
                "parts, or leave the class out."
            )
        logging.getLogger("kt_tuning").warning(
            "%r has so few different images that copies of an image are in several parts of the "
            "split. Its scores are therefore optimistic: add images.",
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


def find_groups(groups: PathGroups) -> Callable[[str, str], Hashable]:
    """Return the function of a path and of its class folder that finds the group of an image.

    Raises:
        OptionError: unless `groups` is "folder", a regular expression with one group in
            parentheses, or a function.
    """
    if callable(groups):
        return lambda path, _: _group(groups(path), path)
    if isinstance(groups, str) and groups == FOLDER:
        return lambda path, folder: (
            composed(str(PurePath(path).parent))[len(composed(folder)) + 1 :] or None
        )
    try:
        pattern = re.compile(composed(groups) if isinstance(groups, str) else groups)
    except (re.error, TypeError) as error:
        raise OptionError(
            f"groups is not a valid regular expression: {error}. Received: {groups!r}"
        ) from None
    if pattern.groups != 1:
        raise OptionError(
            'groups should be "folder", a function of a path, or a regular expression with one '
            r"group in parentheses, such as 'patient(\d+)'. "
            f"Received: {groups!r}"
        )
    return lambda path, _: (match := pattern.search(composed(path))) and match.group(1)


def _group(found: object, path: str) -> Hashable:
    """Return a group that a function has found: None if it is missing, a tuple if it is a list.

    Raises:
        OptionError: if it is not hashable.
    """
    found = found.tolist() if isinstance(found, np.ndarray) else found
    if isinstance(found, list):
        return tuple(_group(each, path) for each in found) or None
    try:
        hash(found)
    except TypeError as error:
        raise OptionError(
            "The function of groups should return text, a number, a tuple or list of these, or "
            f"None. Received: {found!r} for {path} ({error})"
        ) from error
    return None if is_missing(found) else found


def groups_of_paths(
    paths: Sequence[str], class_folders: Sequence[str], groups: PathGroups
) -> NDArray[np.int64]:
    """Number the groups (N,) of image files; see `load_images`. A file without a group is alone.

    Paths and the class folder that each lies in are relative to the folder of images.

    Raises:
        DataError: if no file has a group.
    """
    find = find_groups(groups)
    numbers: dict[Hashable, int] = {}
    result = np.arange(len(paths))
    lost = []
    for place, (path, class_folder) in enumerate(zip(paths, class_folders, strict=True)):
        found = find(PurePath(path).as_posix(), PurePath(class_folder).as_posix())
        if found is None:
            lost.append(path)
        else:
            result[place] = numbers.setdefault(found, place)
    shown = f"groups={groups!r}" if isinstance(groups, str) else "The function or column of groups"
    if len(lost) == len(paths):
        raise DataError(f"{shown} finds no group in any of {len(paths)} paths, e.g. {paths[0]}")
    if lost:
        logging.getLogger("kt_tuning").warning(
            "%s finds no group in %d of %d paths, e.g. %s. Each of these images is a group of its "
            "own.",
            *(shown, len(lost), len(paths), lost[0]),
        )
    return result
