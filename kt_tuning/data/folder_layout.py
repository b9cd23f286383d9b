"""Detection of a folder's layout: which sub-folders are splits, and which are classes."""

from __future__ import annotations

import logging
import os
import re
import shlex
from collections.abc import Sequence

from kt_tuning.core.errors import DataError, StorageError
from kt_tuning.core.names import composed
from kt_tuning.core.records import PARTS
from kt_tuning.data.image_files import ImageFile, LeftOut, Listing, is_image, sub_folders, walk
from kt_tuning.data.split_names import split_parts

logger = logging.getLogger("kt_tuning")

#: Names of folders, in lower case, that only wrap what counts.
_WRAPPERS = frozenset({"images", "image", "imgs", "img", "data", "dataset", "photos"})

#: Names of folders whose images are there to be predicted.
_UNLABELLED = re.compile(
    r"(?i)(?:^|[^a-z])(?:pred|predict|prediction|unlabell?ed|unsup)(?:$|[^a-z])"
)


def scan(
    folder: str | os.PathLike[str],
    *,
    class_names: Sequence[str] | None = None,
    skip: str | os.PathLike[str] | None = None,
) -> Listing:
    """List the image files of a folder with one sub-folder per class, or of splits of such folders.

    Files that are no images, hidden folders and run directories are left out and logged. Names of
    classes are composed (NFC): folders whose names are equal then are one class.

    Args:
        folder: The folder.
        class_names: The sub-folders that are classes, in the order of their labels; by default
            all, sorted.
        skip: A folder to pass over: that of the cache.

    Raises:
        StorageError: if the folder is missing, is a file or cannot be read.
        DataError: if there are fewer than 2 classes, a class is empty, or splits disagree.
    """
    root = os.path.realpath(folder)
    if not os.path.isdir(root):
        found = "nothing there"
        if os.path.exists(root):
            found = "a file; tables end in .csv, .tsv or .parquet, and arrays in .npz"
        raise StorageError(f"Expected a folder of images. Received: {folder} ({found})")
    left_out = LeftOut()
    skipped = None if skip is None else os.path.realpath(skip)
    try:
        finder = _Finder(root, left_out, class_names, skipped)
        folders, names = finder.layout()
        parts = {part: finder.files(where, names) for part, where in folders.items()}
    except OSError as error:
        raise StorageError(f"Cannot read {error.filename}: {error.strerror}") from error
    left_out.log(root)
    return Listing(root, names, parts, folders)


class _Finder:
    def __init__(
        self, root: str, left_out: LeftOut, class_names: Sequence[str] | None, skip: str | None
    ) -> None:
        self._root = root
        self._left_out = left_out
        self._skip = skip
        self._wanted: tuple[str, ...] | None = None
        if class_names is not None:
            listed = (class_names,) if isinstance(class_names, str) else class_names
            names = tuple(composed(str(name)) for name in listed)
            if len(set(names)) < max(2, len(names)):
                raise DataError(
                    "class_names should be the names of at least 2 sub-folders, each once. "
                    f"Received: {list(names)}"
                )
            self._wanted = names

    def layout(self) -> tuple[dict[str, str], tuple[str, ...]]:
        """Return the folder of each part's classes, "train" always, and the class names."""
        top = self._unwrapped("")
        folders = self._split_folders(top)
        if folders is None:
            parts = {"train": top}
        else:
            parts = {part: self._unwrapped(os.path.join(top, n)) for part, n in folders.items()}
        found = {part: sorted(self._classes(where)) for part, where in parts.items()}
        for part, names in list(found.items()):
            unlabelled = not names or (len(names) == 1 and names[0] not in found["train"])
            if part != "train" and unlabelled and self._any_image(parts[part]):
                self._say_unlabelled(parts[part])
                del parts[part], found[part]
        for part, where in parts.items():
            self._check_classes(where, found[part])
        if self._wanted is None:
            self._check_levels(parts["train"], found["train"])
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
        return parts, tuple(self._wanted or found["train"])

    def files(self, where: str, class_names: Sequence[str]) -> tuple[tuple[ImageFile, ...], ...]:
        """Return the files of each class in one part's folder, sorted by path."""
        folders = self._classes(where)
        classes = {
            name: tuple(
                sorted(
                    file
                    for folder in folders[name]
                    for file in walk(self._path(folder), folder, self._left_out)
                )
            )
            for name in class_names
        }
        empty = [name for name, files in classes.items() if not files]
        if empty:
            raise DataError(
                f"Expected images in every class folder of {self._path(where)}. Found none in: "
                f"{', '.join(empty)}. Add images, remove the folder, or name the classes "
                "(class_names; --class)."
                + (f" Left out: {self._left_out}." if self._left_out.files else "")
            )
        return tuple(classes.values())

    def _split_folders(self, top: str) -> dict[str, str] | None:
        """Return the folder name of each part, in order; None if the folders are classes."""
        names = self._sub_folders(top)
        if self._wanted is not None and set(self._wanted) <= set(map(composed, names)):
            return None
        known = split_parts(names)
        others = [
            name
            for name in names
            if name not in known and (not known or self._any_image(os.path.join(top, name)))
        ]
        if not known:
            return None
        # A single folder "train", full of images and beside others, is a class.
        single = next(iter(known))
        is_class = len(known) == 1 and bool(others) and single.lower() == "train"
        if is_class and not self._sub_folders(os.path.join(top, single)):
            logger.warning("%s is read as a class, as it is next to %s", single, ", ".join(others))
            return None
        folders = {part: name for name, part in known.items()}
        unclear = [name for name in others if not _UNLABELLED.search(name)]
        if "train" not in folders or unclear or len(folders) < len(known):
            read = ", ".join(f"{name} ({part})" for name, part in known.items())
            options = " ".join(f"--class {shlex.quote(name)}" for name in names)
            raise DataError(
                f"Expected in {self._path(top)} either class folders only, or one folder train "
                "and at most one of each of val and test. Found: "
                f"{', '.join(names)}; read as splits: {read}. Move other folders elsewhere. Or, "
                "if these folders are the classes whatever their names, list them: "
                f"class_names={names} in Python, {options} on the command line."
            )
        for name in others:
            self._say_unlabelled(os.path.join(top, name))
        self._say_stray(top, self._images(top))
        return {part: folders[part] for part in PARTS if part in folders}

    def _unwrapped(self, where: str) -> str:
        """Descend while a folder has nothing but a single sub-folder."""
        while True:
            names = self._sub_folders(where)
            inner = next((name for name in names if self._is_wrapper(where, name, names)), None)
            if inner is None or self._images(where):
                return where
            where = os.path.join(where, inner)

    def _is_wrapper(self, where: str, name: str, names: Sequence[str]) -> bool:
        if self._wanted is not None and composed(name) in self._wanted:
            return False
        named_so = name.lower() in _WRAPPERS
        if len(names) > 1 and not named_so:
            return False
        below = self._sub_folders(os.path.join(where, name))
        others = [os.path.join(where, other) for other in names if other != name]
        if not below or any(map(self._any_image, others)):  # labels/ may lie beside images/
            return False
        above = os.path.basename(self._path(where))
        same = composed(name).lower() == composed(above).lower()
        return named_so or same or "train" in split_parts(below).values()

    def _say_unlabelled(self, where: str) -> None:
        count = sum(1 for _ in walk(self._path(where), "", LeftOut()))
        logger.warning(
            "%s is left out: its %d images are not in class folders, so they have no labels. "
            "Missing validation or test images are taken from the training images.",
            self._path(where),
            count,
        )

    def _check_classes(self, where: str, names: list[str]) -> None:
        stray = self._images(where)
        if self._wanted is not None and (gone := [n for n in self._wanted if n not in names]):
            there = ", ".join(self._sub_folders(where)) or "no folder"
            raise DataError(
                f"Expected the class folders that class_names lists in {self._path(where)}. "
                f"Missing: {', '.join(gone)}. Found: {there}."
            )
        if len(names) < 2:
            lying = f" and {len(stray)} images outside class folders" if stray else ""
            raise DataError(
                f"Expected a folder for each of at least 2 classes in {self._path(where)}. "
                f"Found: {', '.join(names) or 'no folder'}{lying}. Sort the images into one folder "
                "per class, or give the folder that contains the class folders."
            )
        self._say_stray(where, stray)

    def _say_stray(self, where: str, stray: Sequence[str]) -> None:
        if stray:
            logger.warning(
                "Skipped %d images that are in %s but not in a class folder, e.g. %s",
                *(len(stray), self._path(where), stray[0]),
            )

    def _check_levels(self, where: str, names: list[str]) -> None:
        """Refuse splits inside the class folders, and warn of other folders like classes."""
        below = {
            name: [composed(inner) for folder in folders for inner in self._sub_folders(folder)]
            for name, folders in self._classes(where).items()
        }
        for name, inner in below.items():
            known = split_parts(inner)
            if len(set(known.values())) < 2:
                continue
            options = " ".join(f"--class {shlex.quote(name)}" for name in names)
            raise DataError(
                f"Expected the splits above the class folders, such as train/{name}. Found splits "
                f"inside {self._path(os.path.join(where, name))}: {', '.join(known)}. Move them "
                "above the class folders. Or, to make new splits of all images, list the class "
                "folders: "
                f"class_names={names} in Python, {options} on the command line."
            )
        first = below[names[0]]
        same = len(first) > 1 and all(inner == first for inner in below.values())
        wraps = [name for name in names if name.lower() in _WRAPPERS and len(below[name]) > 1]
        mistaken = names if same else wraps
        folders = [folder for name in mistaken for folder in self._classes(where)[name]]
        if mistaken and not any(map(self._images, folders)):
            logger.warning(
                "The classes are the folders %s. If the classes should be the folders inside "
                "them, such as %s, give the folder that contains those; if they are splits, name "
                "them train, val and test.",
                *(", ".join(names[:5]), ", ".join(below[mistaken[0]][:5])),
            )

    def _classes(self, where: str) -> dict[str, list[str]]:
        """Return the folders of each class that may count in a part's folder."""
        found: dict[str, list[str]] = {}
        for folder in self._sub_folders(where):
            name = composed(folder)
            if self._wanted is None or name in self._wanted:
                found.setdefault(name, []).append(os.path.join(where, folder))
        return found

    def _any_image(self, where: str) -> bool:
        return next(walk(self._path(where), "", LeftOut()), None) is not None

    def _images(self, where: str) -> list[str]:
        with os.scandir(self._path(where)) as entries:
            return sorted(entry.name for entry in entries if is_image(entry))

    def _sub_folders(self, where: str) -> list[str]:
        return sub_folders(self._path(where), self._left_out, skip=self._skip)

    def _path(self, where: str) -> str:
        return os.path.join(self._root, where) if where else self._root
