"""Detection of a folder's layout: which sub-folders are splits, and which are classes."""

from __future__ import annotations

import dataclasses
import logging
import os
import re
from collections.abc import Sequence

from kt_tuning.core.errors import DataError
from kt_tuning.data.image_files import LeftOut, is_image, sub_folders, walk
from kt_tuning.data.split_folder_names import split_parts

logger = logging.getLogger("kt_tuning")

PARTS = ("train", "validation", "test")

#: Names of folders, in lower case, that only wrap what counts.
_WRAPPERS = frozenset({"images", "image", "imgs", "img", "data", "dataset", "photos"})

#: Names of folders whose images are there to be predicted.
_UNLABELLED = re.compile(
    r"(?i)(?:^|[^a-z])(?:pred|predict|prediction|unlabell?ed|unsup)(?:$|[^a-z])"
)


@dataclasses.dataclass(frozen=True)
class Layout:
    """The folders of splits and classes.

    Attributes:
        parts: The folder of each part's classes, relative to the root; "train" always.
        class_names: Names of the class folders, which every part has; the position is the label.
    """

    parts: dict[str, str]
    class_names: tuple[str, ...]


def find_layout(
    root: str, left_out: LeftOut, class_names: Sequence[str] | None, skip: str | None
) -> Layout:
    """Detect which sub-folders are splits and which are classes.

    Args:
        root: The folder.
        left_out: Counts the files and folders that are left out.
        class_names: The sub-folders that are classes; all if None.
        skip: A folder to pass over.

    Raises:
        DataError: if the folder is laid out neither as classes nor as splits of classes.
    """
    return _Finder(root, left_out, class_names, skip).layout()


class _Finder:
    def __init__(
        self, root: str, left_out: LeftOut, class_names: Sequence[str] | None, skip: str | None
    ) -> None:
        self._root = root
        self._left_out = left_out
        self._wanted = None if class_names is None else _checked(class_names)
        self._skip = skip

    def layout(self) -> Layout:
        top = self._unwrapped("")
        folders = self._split_folders(top)
        if folders is None:
            parts = {"train": top}
        else:
            parts = {part: self._unwrapped(os.path.join(top, n)) for part, n in folders.items()}
        found = {part: self._class_folders(where) for part, where in parts.items()}
        for part in [part for part in parts if part != "train"]:
            if not self._is_labelled(parts[part], found[part], found["train"]):
                del parts[part], found[part]
        for part, where in parts.items():
            self._check_classes(where, found[part])
        if self._wanted is None:
            self._check_no_splits_below(parts["train"], found["train"])
        everywhere = set().union(*found.values())
        missing = {part: sorted(everywhere - set(names)) for part, names in found.items()}
        if any(missing.values()):
            lacks = "; ".join(
                f"{parts[part]} lacks {', '.join(names)}"
                for part, names in missing.items()
                if names
            )
            raise DataError(
                f"Expected the same class folders in every split. Found: {lacks}. Add "
                "the folders, remove those classes from the other splits, or name the classes "
                "that count (class_names; --class)."
            )
        return Layout(parts, tuple(self._wanted or found["train"]))

    def _split_folders(self, top: str) -> dict[str, str] | None:
        """Return the folder name of each part, in order; None if the folders are classes."""
        names = self._sub_folders(top)
        if self._wanted is not None and set(self._wanted) <= set(names):
            return None
        known = split_parts(names)
        others = [
            name
            for name in names
            if name not in known and (not known or self._any_image(os.path.join(top, name)))
        ]
        if not known or self._is_vehicle(top, known, others):
            return None
        folders = {part: name for name, part in known.items()}
        unclear = [name for name in others if not _UNLABELLED.search(name)]
        if "train" not in folders or unclear or len(folders) < len(known):
            read = ", ".join(f"{name} ({part})" for name, part in known.items())
            options = " ".join(f"--class {name}" for name in names)
            raise DataError(
                f"Expected class folders only, or the splits train, with or without val and test, "
                f"each at most once, and no other, in {self._path(top)}. Found: "
                f"{', '.join(names)}; read as splits: {read}. Move what is neither elsewhere; or, "
                "to take folders as classes whatever their names, list them: "
                f"class_names={names} in Python, {options} on the command line."
            )
        for name in others:
            self._say_unlabelled(os.path.join(top, name))
        return {part: folders[part] for part in PARTS if part in folders}

    def _is_vehicle(self, top: str, known: dict[str, str], others: list[str]) -> bool:
        """Whether a single folder "train", full of images and beside others, is a class."""
        if len(known) != 1 or not others or next(iter(known)).lower() != "train":
            return False
        if self._sub_folders(os.path.join(top, next(iter(known)))):
            return False
        logger.warning("%s is taken for a class: it lies beside %s", *known, ", ".join(others))
        return True

    def _unwrapped(self, where: str) -> str:
        """Descend while a folder has nothing but a single sub-folder."""
        while True:
            names = self._sub_folders(where)
            inner = next((name for name in names if self._is_wrapper(where, name, names)), None)
            if inner is None or self._images(where):
                return where
            where = os.path.join(where, inner)

    def _is_wrapper(self, where: str, name: str, names: Sequence[str]) -> bool:
        if self._wanted is not None and name in self._wanted:
            return False
        named_so = name.lower() in _WRAPPERS
        if len(names) > 1 and not named_so:
            return False
        below = self._sub_folders(os.path.join(where, name))
        others = [os.path.join(where, other) for other in names if other != name]
        if not below or any(map(self._any_image, others)):  # labels/ may lie beside images/
            return False
        same = name.lower() == os.path.basename(self._path(where)).lower()
        return named_so or same or "train" in split_parts(below).values()

    def _is_labelled(self, where: str, names: list[str], train: list[str]) -> bool:
        """Return whether a part has classes; log it if it has only images in one folder."""
        unlabelled = not names or (len(names) == 1 and names[0] not in train)
        if not unlabelled or not self._any_image(where):
            return True
        self._say_unlabelled(where)
        return False

    def _say_unlabelled(self, where: str) -> None:
        count = sum(1 for _ in walk(self._path(where), "", LeftOut()))
        logger.warning(
            "%s is left out: its %d images lie in no class folders, so they have no labels. What "
            "is missing of validation and test is taken from the training images.",
            self._path(where),
            count,
        )

    def _class_folders(self, where: str) -> list[str]:
        names = self._sub_folders(where)
        return names if self._wanted is None else [n for n in names if n in set(self._wanted)]

    def _check_classes(self, where: str, names: list[str]) -> None:
        stray = self._images(where)
        if self._wanted is not None and (gone := [n for n in self._wanted if n not in names]):
            there = ", ".join(self._sub_folders(where)) or "no folder"
            raise DataError(
                f"Expected the class folders that class_names lists in {self._path(where)}. Not "
                f"there: {', '.join(gone)}. Found: {there}."
            )
        if len(names) < 2:
            lying = f" and {len(stray)} images outside class folders" if stray else ""
            raise DataError(
                f"Expected a folder for each of at least 2 classes in {self._path(where)}. "
                f"Found: {', '.join(names) or 'no folder'}{lying}. Sort the images into one folder "
                "a class, or give the folder that holds the class folders."
            )
        if stray:
            logger.warning(
                "Skipped %d images that lie in %s outside its class folders, e.g. %s",
                len(stray),
                self._path(where),
                stray[0],
            )

    def _check_no_splits_below(self, where: str, names: list[str]) -> None:
        """Refuse ready splits inside the class folders, which would be mixed up."""
        for name in names:
            below = self._sub_folders(os.path.join(where, name))
            known = split_parts(below)
            if len(below) < 2 or len(set(known.values())) < 2:
                continue
            options = " ".join(f"--class {name}" for name in names)
            raise DataError(
                f"Expected the splits above the class folders, such as train/{name}. Found splits "
                f"inside {self._path(os.path.join(where, name))}: {', '.join(known)}. Move them "
                "above the class folders; or, to split all images anew, list the class folders: "
                f"class_names={names} in Python, {options} on the command line."
            )

    def _any_image(self, where: str) -> bool:
        return next(walk(self._path(where), "", LeftOut()), None) is not None

    def _images(self, where: str) -> list[str]:
        with os.scandir(self._path(where)) as entries:
            return sorted(entry.name for entry in entries if is_image(entry))

    def _sub_folders(self, where: str) -> list[str]:
        return sub_folders(self._path(where), self._left_out, skip=self._skip)

    def _path(self, where: str) -> str:
        return os.path.join(self._root, where) if where else self._root


def _checked(class_names: Sequence[str]) -> tuple[str, ...]:
    names = (class_names,) if isinstance(class_names, str) else tuple(map(str, class_names))
    if len(set(names)) < max(2, len(names)):
        raise DataError(
            "class_names should be the names of at least 2 sub-folders, each once. "
            f"Received: {list(names)}"
        )
    return names
