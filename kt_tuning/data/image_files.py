"""Search for image files in folders, with counts of the files and folders left out."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import importlib.metadata
import logging
import os
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from kt_tuning.core.errors import StorageError
from kt_tuning.run.layout import is_run_directory

#: Formats that are tried first, in this order.
_COMMON = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")

#: Readers of Pillow that stay closed: they start Ghostscript, read on Windows only, recognise a
#: file without being able to decode it, or take files of other kinds for theirs.
_CLOSED = frozenset(
    {
        *("EPS", "WMF", "MPEG", "BUFR", "GRIB", "HDF5"),
        *("IM", "IMT", "IPTC", "PCD", "SPIDER"),
    }
)


#: Folders, in lower case, in which operating systems and programs keep files of their own.
_SYSTEM_FOLDERS = frozenset(
    {
        *("__macosx", "__pycache__", "#recycle", "#snapshot", "$recycle.bin", "lost+found"),
        *("system volume information", "recycler", "found.000", "temporary items"),
        "network trash folder",
    }
)

#: Files, in lower case, that operating systems leave in every folder.
_SYSTEM_FILES = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini"})

#: Sub-folders of a run, besides those of trials; see `kt_tuning.run.layout`.
_RUN_FOLDERS = {"export", "refit", "distill", "bag", "boost", "snapshots", "tracking"}

#: First bytes of image files whose names have no known extension.
_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a")


class ImageFile(NamedTuple):
    """A file: path within the folder, size in bytes, and times in nanoseconds."""

    path: str
    size: int
    modified: int
    changed: int


@dataclasses.dataclass
class LeftOut:
    """Files and folders that a scan leaves out.

    Attributes:
        files: Number of files that are no images, by extension in lower case.
        folders: Hidden folders and folders of the system.
        runs: Folders that hold runs of kt-tuning or KerasTuner.
    """

    files: Counter[str] = dataclasses.field(default_factory=Counter)
    folders: set[str] = dataclasses.field(default_factory=set)
    runs: set[str] = dataclasses.field(default_factory=set)

    def __str__(self) -> str:
        parts = []
        hidden = Counter(map(os.path.basename, self.folders))
        files = (self.files, "files that are not read as images")
        for counter, what in (files, (hidden, "hidden folders")):
            if counter:
                shown = ", ".join(f"{count} {name}" for name, count in counter.most_common(8))
                more = ", …" if len(counter) > 8 else ""
                parts.append(f"{counter.total()} {what} ({shown}{more})")
        if self.runs:
            parts.append(f"folders of runs ({', '.join(sorted(self.runs))})")
        return " and ".join(parts)

    def log(self, folder: str | os.PathLike[str]) -> None:
        """Log what was left out of a folder, if anything was."""
        if text := str(self):
            logging.getLogger("kt_tuning").warning("Left out of %s: %s", folder, text)


@dataclasses.dataclass(frozen=True)
class Listing:
    """The image files of a folder.

    Attributes:
        root: The folder, with symbolic links resolved.
        class_names: Names of the class folders, composed (NFC); the position is the label.
        parts: Files by part and label. A folder without splits has "train" only.
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
        """Return the composed class folder of each of `files` but some paths, below the root."""
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

    Files and folders left out are logged, as by `load_images`.

    Raises:
        StorageError: if the folder cannot be read.
    """
    left_out = LeftOut()
    try:
        files = sorted(walk(os.fspath(folder), os.fspath(folder), left_out))
    except OSError as error:
        raise StorageError(f"Cannot read {error.filename}: {error.strerror}") from error
    left_out.log(folder)
    return [Path(file.path) for file in files]


def sub_folders(folder: str, left_out: LeftOut, *, skip: str | None = None) -> list[str]:
    """Return the names of the folders in `folder` that may hold a user's images, sorted.

    `left_out` counts the others; `skip` is the cache's folder, with symbolic links resolved.
    """
    with os.scandir(folder) as entries:
        folders = [entry for entry in entries if entry.is_dir()]
    found = []
    in_run = is_run_directory(folder)
    for entry in folders:
        made_by_run = in_run and (entry.name in _RUN_FOLDERS or entry.name.startswith("trial_"))
        if is_hidden(entry.name):
            left_out.folders.add(entry.path)
        elif holds_runs(entry.path) or made_by_run:
            left_out.runs.add(entry.path)
        elif skip is None or os.path.realpath(entry.path) != skip:
            found.append(entry.name)
    return sorted(found)


def walk(
    folder: str, prefix: str, left_out: LeftOut, above: frozenset[tuple[int, int]] = frozenset()
) -> Iterator[ImageFile]:
    """Yield the image files in and below a folder.

    Args:
        folder: Where to look.
        prefix: Start of the returned paths, in place of `folder`.
        left_out: Counts the files and folders that are left out.
        above: Device and inode of the folders above, to which links are not followed.
    """
    status = os.stat(folder)
    identity = (status.st_dev, status.st_ino)
    if identity in above:
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            path = os.path.join(prefix, entry.name)
            if is_image(entry):
                # a broken link is listed too, so that it is reported as unreadable, not lost
                found = entry.stat(follow_symlinks=entry.is_file())
                yield ImageFile(path, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
            elif not entry.is_dir():
                if not _is_system_file(entry.name):
                    left_out.files[_extension(entry.name) or "without extension"] += 1
            elif is_hidden(entry.name):
                left_out.folders.add(entry.path)
            elif is_run_directory(entry.path):
                left_out.runs.add(entry.path)
            else:
                yield from walk(entry.path, path, left_out, above | {identity})


def is_image(entry: os.DirEntry[str]) -> bool:
    """Return whether a file has the extension of an image format, or the header of one."""
    if _is_system_file(entry.name):
        return False
    if _extension(entry.name) in extensions():
        return entry.is_file() or (entry.is_symlink() and not os.path.exists(entry.path))
    if not entry.is_file():
        return False
    try:
        with open(entry.path, "rb", buffering=0) as file:
            start = file.read(12)
    except OSError:
        return False
    return start.startswith(_SIGNATURES) or (start[:4] == b"RIFF" and start[8:] == b"WEBP")


def is_hidden(name: str) -> bool:
    """Return whether a folder is hidden or of the system: `.git`, `@eaDir`, `__MACOSX`."""
    return name.startswith((".", "@")) or name.lower() in _SYSTEM_FOLDERS


def holds_runs(folder: str, depth: int = 2) -> bool:
    """Return whether a folder is a run directory, or has only run directories and no image."""
    if is_run_directory(folder):
        return True
    found = False
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if not entry.is_dir():
                    if is_image(entry):
                        return False
                elif not entry.name.startswith("."):
                    found = depth > 0 and holds_runs(entry.path, depth - 1)
                    if not found:
                        return False
    except OSError:
        return False
    return found


def _is_system_file(name: str) -> bool:
    return name.startswith(".") or name.lower() in _SYSTEM_FILES


def _extension(name: str) -> str:
    return os.path.splitext(name)[1].lower()


@functools.cache
def formats() -> tuple[str, ...]:
    """Return the names of the supported formats, for `PIL.Image.open`."""
    Image.init()
    return (*_COMMON, *sorted(set(Image.OPEN) - _CLOSED - set(_COMMON)))


@functools.cache
def extensions() -> frozenset[str]:
    """Return the extensions of these formats in lower case, with the dot."""
    # An MPO file is a JPEG file with further pictures, which the reader of JPEG opens.
    known = {*formats(), "MPO"}
    return frozenset(ext for ext, name in Image.registered_extensions().items() if name in known)


@functools.cache
def tensorflow_decodes_webp() -> bool:
    """Return whether the installed TensorFlow has `decode_webp`, without importing it."""
    try:
        major, minor, *_ = importlib.metadata.version("tensorflow").split(".")
    except importlib.metadata.PackageNotFoundError:
        # Another distribution of it, such as tensorflow-cpu: the export itself finds out.
        return True
    return (int(major), int(minor)) >= (2, 20)
