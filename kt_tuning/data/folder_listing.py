"""Listing of the image files of a folder, with their classes and splits."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import os
from collections.abc import Collection, Sequence
from pathlib import Path

from kt_tuning.core.errors import DataError, StorageError
from kt_tuning.data.folder_layout import Layout, find_layout
from kt_tuning.data.image_files import ImageFile, LeftOut, walk

_Classes = dict[str, tuple[ImageFile, ...]]


@dataclasses.dataclass(frozen=True)
class Listing:
    """The image files of a folder.

    Attributes:
        root: The folder, with symbolic links resolved.
        class_names: Names of the class folders; the position is the label.
        parts: Files by part and label. A folder without ready splits has "train" only.
        folders: The folder of each part's classes, relative to the root.
    """

    root: str
    class_names: tuple[str, ...]
    parts: dict[str, tuple[tuple[ImageFile, ...], ...]]
    folders: dict[str, str] = dataclasses.field(default_factory=dict)

    @property
    def files(self) -> list[ImageFile]:
        """All files: train before validation before test, then by label, then by path."""
        return [file for part in self.parts.values() for files in part for file in files]

    def class_folders(self, without: Collection[str] = ()) -> list[str]:
        """Return the class folder of each of `files` but some, relative to the root.

        Args:
            without: Paths of files to leave out.
        """
        return [
            os.path.join(self.folders[part], name)
            for part, classes in self.parts.items()
            for name, files in zip(self.class_names, classes, strict=True)
            for file in files
            if file.path not in without
        ]

    def digest(self, settings: str) -> str:
        """Return a hexadecimal key that changes with any file and with the settings.

        Reading every byte would take as long as decoding, so a file's size and times stand for
        its content. An archive unpacked over another may keep both size and modification time,
        which is why the inode's change time enters: no program can set it.
        """
        digest = hashlib.blake2b(os.fsencode(f"{settings}\0{self.root}\0"), digest_size=16)
        for part, classes in self.parts.items():
            digest.update(f"{part}\0".encode())
            for name, files in zip(self.class_names, classes, strict=True):
                lines = [f"{f.path}\0{f.size}\0{f.modified}\0{f.changed}\0" for f in files]
                digest.update(os.fsencode(f"{name}\0{''.join(lines)}"))
        return digest.hexdigest()


def image_files(folder: str | os.PathLike[str]) -> list[Path]:
    """Return the paths of the image files in and below a folder, sorted, whatever its layout.

    Files and folders left out are logged, as by `scan`.

    Raises:
        StorageError: if the folder cannot be read.
    """
    left_out = LeftOut()
    try:
        files = sorted(walk(os.fspath(folder), os.fspath(folder), left_out))
    except OSError as error:
        raise StorageError(f"Cannot read {error.filename}: {error.strerror}") from error
    if text := str(left_out):
        logging.getLogger("kt_tuning").warning("Left out of %s: %s", folder, text)
    return [Path(file.path) for file in files]


def scan(
    folder: str | os.PathLike[str],
    *,
    class_names: Sequence[str] | None = None,
    skip: str | os.PathLike[str] | None = None,
) -> Listing:
    """List the image files of a folder with one sub-folder a class, or of ready splits of those.

    Files that are no images, hidden folders and run directories are left out and logged.

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
        found = "a file" if os.path.exists(root) else "nothing there"
        raise StorageError(f"Expected a folder of images. Received: {folder} ({found})")
    left_out = LeftOut()
    skipped = None if skip is None else os.path.realpath(skip)
    try:
        layout = find_layout(root, left_out, class_names, skipped)
        parts = {
            part: _files(root, where, layout, left_out) for part, where in layout.parts.items()
        }
    except OSError as error:
        raise StorageError(f"Cannot read {error.filename}: {error.strerror}") from error
    if text := str(left_out):
        logging.getLogger("kt_tuning").warning("Left out of %s: %s", root, text)
    return Listing(root, layout.class_names, parts, layout.parts)


def _files(
    root: str, where: str, layout: Layout, left_out: LeftOut
) -> tuple[tuple[ImageFile, ...], ...]:
    """Return the files of each class in one part's folder, sorted by path."""
    classes: _Classes = {}
    for name in layout.class_names:
        place = os.path.join(where, name)
        classes[name] = tuple(sorted(walk(os.path.join(root, place), place, left_out)))
    empty = [name for name, files in classes.items() if not files]
    if empty:
        raise DataError(
            f"Expected images in every class folder of {os.path.join(root, where)}. Found none in: "
            f"{', '.join(empty)}. Add images, remove the folder, or name the classes "
            "(class_names; --class)." + (f" Left out: {left_out}." if left_out.files else "")
        )
    return tuple(classes.values())
