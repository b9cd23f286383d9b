"""Groups of image files by their paths."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Hashable, Sequence
from pathlib import PurePath

import numpy as np
from numpy.typing import NDArray

from kt_tuning.core.errors import DataError, OptionError

FOLDER = "folder"
"""Groups are the folders below the class folders."""

PathGroups = str | Callable[[str], Hashable]


def check_groups(groups: PathGroups | None) -> None:
    """Check the argument `groups`.

    Raises:
        OptionError: unless it is None, "folder", a regular expression with one group in
            parentheses, or a function.
    """
    if groups is None or groups == FOLDER or callable(groups):
        return
    try:
        fits = isinstance(groups, str) and re.compile(groups).groups == 1
    except re.error as error:
        raise OptionError(
            f"groups is no regular expression: {error}. Received: {groups!r}"
        ) from None
    if not fits:
        raise OptionError(
            'groups should be "folder", a function of a path, or a regular expression with one '
            r"group in parentheses, such as 'patient(\d+)'. "
            f"Received: {groups!r}"
        )


def groups_of_paths(
    paths: Sequence[str], class_folders: Sequence[str], groups: PathGroups
) -> NDArray[np.int64]:
    """Number the groups of image files.

    Args:
        paths: (N,) relative to the folder of images.
        class_folders: (N,) the class folder that each lies in, relative likewise.
        groups: "folder", for the folder below the class folder; a regular expression, whose group
            in parentheses is looked for in the path; or a function of the path.

    Returns:
        (N,) the same number for images of a group. A file without a group is alone.

    Raises:
        DataError: if no file has a group.
    """
    find = _finder(groups)
    numbers: dict[Hashable, int] = {}
    result = np.arange(len(paths))
    lost = []
    for place, (path, class_folder) in enumerate(zip(paths, class_folders, strict=True)):
        found = find(PurePath(path).as_posix(), PurePath(class_folder).as_posix())
        if found is None:
            lost.append(path)
        else:
            result[place] = numbers.setdefault(found, place)
    if len(lost) == len(paths):
        raise DataError(
            f"groups={groups!r} finds a group in none of {len(paths)} paths, e.g. {paths[0]}"
        )
    if lost:
        logging.getLogger("kt_tuning").warning(
            "groups=%r finds no group in %d of %d paths, e.g. %s: each of those is on its own.",
            *(groups, len(lost), len(paths), lost[0]),
        )
    return result


def _finder(groups: PathGroups) -> Callable[[str, str], Hashable]:
    if callable(groups):
        return lambda path, _: groups(path)
    if groups == FOLDER:
        return lambda path, class_folder: (
            str(PurePath(path).parent)[len(class_folder) + 1 :] or None
        )
    pattern = re.compile(groups)

    def search(path: str, _: str) -> str | None:
        match = pattern.search(path)
        return None if match is None else match.group(1)

    return search
