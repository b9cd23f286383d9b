"""Labelled images with their training, validation and test splits."""

from __future__ import annotations

import dataclasses
import hashlib
import html
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from kt_tuning.core.atomic import atomic_write
from kt_tuning.core.errors import OptionError, StorageError
from kt_tuning.core.records import PARTS, DataCard, PixelFormat, TableSource
from kt_tuning.core.units import check_count
from kt_tuning.data.duplicates import Duplicates, find_duplicates, thumbnails
from kt_tuning.data.from_arrays import join_arrays
from kt_tuning.data.groups import Groups
from kt_tuning.data.image_split import HeldOut, ImageSplit, PixelFile, channel_statistics
from kt_tuning.data.label_encoding import check_class_names
from kt_tuning.data.pixel_cache import content_digest, split_digest, uses_without_run
from kt_tuning.data.stratified_split import assign_folds, generator, split_images, subset
from kt_tuning.data.tf_dataset import read_dataset

CLASSES_SHOWN = 30
"""Rows of the table in a notebook, at most."""


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class ImageData:
    """Labelled images in three disjoint splits.

    Create it with `load_images`, `from_arrays` or `from_dataset`.

    Attributes:
        pixels: All images, uint8 (N, height, width, channels), in memory or in a file.
        labels: (N,) int64 of all images, 0 to classes - 1.
        indices: Split ("train", "validation", "test") -> ascending int64 indices of its images.
        class_names: Names by label.
        content: Hex digest of pixels, labels and class names.
        source: The folder, or "arrays".
        unreadable: Files that were skipped: path and reason.
        size_origin: Reason for the image size, in words; empty for arrays.
        runs: Directories of the searches on these data, which record each use of the test split.
        bits: Bit depth of files with 16 bits per channel.
        duplicates: Sets of duplicate images.
        groups: Groups of images that stay in one part of every split, or None.
        table: The table that labels the images of the folder; None if sub-folders do.
    """

    pixels: NDArray[np.uint8] | PixelFile
    labels: NDArray[np.int64]
    indices: dict[str, NDArray[np.int64]]
    class_names: tuple[str, ...]
    content: str
    source: str = "arrays"
    unreadable: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    size_origin: str = ""
    runs: list[Path] = dataclasses.field(default_factory=list)
    bits: int = 16
    duplicates: Duplicates = dataclasses.field(default_factory=lambda: Duplicates([], []))
    groups: Groups | None = None
    table: TableSource | None = None

    def __post_init__(self) -> None:
        check_class_names(self.class_names)

    @classmethod
    def from_arrays(
        cls,
        x: Any,
        y: Any,
        *,
        class_names: Sequence[str] | None = None,
        validation: tuple[Any, Any] | None = None,
        test: tuple[Any, Any] | None = None,
        split: Sequence[float] = (0.6, 0.2, 0.2),
        seed: int = 0,
        value_range: tuple[float, float] | None = None,
        groups: Any = None,
    ) -> Self:
        """Create image data from arrays; uint8 arrays are not copied.

        Copies of an image stay in one part of the split; their number is logged. Training images
        with a copy in `validation` or `test` are left out.

        Args:
            x: (N, height, width) or (N, height, width, channels) with 1, 3 or 4 channels; RGBA
                images are blended with white.
            y: Integers, whole floats or strings, (N,) or (N, 1), or one-hot rows (N, classes).
            class_names: Names by label; by default the labels themselves.
            validation: `(x, y)` of the validation split, instead of a share of the images above.
            test: `(x, y)` of the test split, instead of a share of the images above.
            split: Shares of train, validation and test, with sum 1.
            seed: Seed of the split.
            value_range: The values of black and white, the same for all three splits. By default
                0..1 for bools and for floats that do not exceed 1; for integers above 255 the range
                of 10, 12, 14 or 16 bits; else 0..255.
            groups: (N,) numbers or strings, equal for images of `x` that stay in one part of the
                split and in one fold, such as those of one patient, burst or scene.

        Raises:
            DataError: if images, labels and groups do not fit each other or are invalid.
            OptionError: if `split`, `seed` or `value_range` is invalid.
        """
        pixels, labels, names, places, numbers = join_arrays(
            x,
            y,
            {"validation": validation, "test": test},
            class_names=class_names,
            value_range=value_range,
            groups=groups,
        )
        duplicates = find_duplicates(pixels, thumbnails(pixels))
        indices, together = split_images(
            labels,
            places,
            duplicates,
            numbers,
            split=split,
            seed=seed,
            class_names=names,
            name_of=lambda place: f"image {place}",
        )
        digest = hashlib.blake2b(np.ascontiguousarray(pixels).data, digest_size=16)
        content = content_digest(digest, pixels.shape[1:], labels, names)
        return cls(pixels, labels, indices, names, content, duplicates=duplicates, groups=together)

    @classmethod
    def from_dataset(
        cls,
        train: Any,
        validation: Any = None,
        test: Any = None,
        *,
        class_names: Sequence[str] | None = None,
        split: Sequence[float] = (0.6, 0.2, 0.2),
        seed: int = 0,
        value_range: tuple[float, float] | None = None,
    ) -> Self:
        """Create image data from `tf.data.Dataset` objects of pairs (image, label), batched or not.

        `keras.utils.image_dataset_from_directory` returns such data sets, with any `label_mode` but
        None; with `subset="both"`: `from_dataset(*image_dataset_from_directory(...))`. They are
        read once, into memory, as uint8. The split does not depend on their order, which may
        change each time they are read.

        Args:
            train: Pairs of images (height, width, channels) and labels, or batches of them.
            validation: The validation split, instead of a share of the images above.
            test: The test split, instead of a share of the images above.
            class_names: Names by label; by default the dataset's attribute `class_names`, which
                is lost by `.map` and similar methods, else the labels themselves.
            split: Shares of train, validation and test, with sum 1.
            seed: Seed of the split.
            value_range: The values of black and white. By default they are chosen by the first
                training batch, as in `from_arrays`.

        Raises:
            DataError: if an argument is not such a dataset, a dataset is empty or infinite, or
                images and labels do not fit each other.
            OptionError: if `split`, `seed` or `value_range` is invalid.
        """
        pixels, labels, found, values = read_dataset(train, name="train", value_range=value_range)
        pairs: dict[str, tuple[Any, Any]] = {}
        for part, dataset in (("validation", validation), ("test", test)):
            if dataset is not None:
                guessed = values if value_range is None else None
                x, y, *_ = read_dataset(dataset, name=part, value_range=found, train=guessed)
                pairs[part] = (x, y)
        return cls.from_arrays(
            pixels,
            labels,
            class_names=class_names or getattr(train, "class_names", None),
            **pairs,
            split=split,
            seed=seed,
            value_range=(0, 255),
        )

    @cached_property
    def train(self) -> ImageSplit:
        """The images for fitting models."""
        return self._split("train")

    @cached_property
    def validation(self) -> ImageSplit:
        """The images for comparing trials and fitting ensembles."""
        return self._split("validation")

    @cached_property
    def test(self) -> ImageSplit:
        """The images for the final evaluation; empty only if its share in `split` is 0.

        `evaluate` records each use of them; see `runs`.
        """
        held_out = HeldOut(self.fingerprint, self.runs, self.uses_without_run)
        return self._split("test", held_out)

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(height, width, channels)."""
        height, width, channels = self.pixels.shape[1:]
        return (height, width, channels)

    @cached_property
    def fingerprint(self) -> str:
        """Hex digest of pixels, labels, class names and split, without file names and dates."""
        return split_digest(self.content, self.indices)

    @property
    def uses_without_run(self) -> Path:
        """Folder in the user's cache that records uses of the test split if there is no run."""
        return uses_without_run(self.fingerprint)

    @property
    def card(self) -> DataCard:
        """The record of the data in a run directory."""
        return DataCard(
            fingerprint=self.fingerprint,
            class_names=self.class_names,
            pixels=PixelFormat(*self.input_shape, self.bits),
            counts={part: self._counts(part).tolist() for part in PARTS},
            source=self.source,
            table=self.table,
        )

    def __repr__(self) -> str:
        height, width, channels = self.input_shape
        parts = ", ".join(f"{part} {len(self.indices[part])}" for part in PARTS)
        return f"ImageData({height}×{width}×{channels}, {self.classes} classes: {parts})"

    def _repr_html_(self) -> str:
        """Show the images of each class and split as a table in a notebook."""
        import pandas as pd

        counts = pd.DataFrame({part: self._counts(part) for part in PARTS}, self.class_names)
        hidden = self.classes - CLASSES_SHOWN
        more = f"<p>and {hidden} more classes</p>" if hidden > 0 else ""
        return f"<p>{html.escape(repr(self))}</p>{counts[:CLASSES_SHOWN].to_html()}{more}"

    def limit(self, images: int, *, seed: int = 0) -> ImageData:
        """Reduce the number of training and validation images; the test split stays unchanged.

        The proportions of both splits, and of the classes in each of them, are kept.

        Args:
            images: Number of images to keep; if there are no more, nothing changes.
            seed: Seed of the choice.

        Raises:
            OptionError: if there would be fewer than 2 images per class, one in each split.
        """
        if check_count("images", images) < 2 * self.classes:
            raise OptionError(
                f"A limit should be at least {2 * self.classes}, one train and one validation "
                f"image for each of {self.classes} classes. Received: {images}"
            )
        train, validation = (len(self.indices[part]) for part in ("train", "validation"))
        if images >= train + validation:
            return self
        wanted = round(images * validation / (train + validation))
        wanted = min(max(wanted, self.classes), images - self.classes)
        rng, kept = generator(seed), dict(self.indices)
        for part, size in (("train", images - wanted), ("validation", wanted)):
            index = kept[part]
            kept[part] = index[subset(self.labels[index], size, self.classes, rng)]
        return dataclasses.replace(self, indices=kept, runs=[])

    def folds(self, count: int, *, seed: int = 0) -> list[ImageData]:
        """Split training and validation images into folds for cross-validation.

        Each of these images is in the validation split of one fold and in the training split of all
        others; the test split stays unchanged. Folds are stratified by class. Copies of an image,
        and images of a group, are in the same fold.

        Args:
            count: Number of folds, at least 2.
            seed: Seed of the split.

        Raises:
            OptionError: if `count` is not such a number.
            DataError: if a class has fewer images, or groups, than there are folds.
        """
        known = np.sort(np.concatenate([self.indices["train"], self.indices["validation"]]))
        groups = None if self.groups is None else self.groups.take(known)
        fold = assign_folds(self.labels[known], count, self.class_names, groups, seed=seed)
        splits = [
            {"train": known[fold != number], "validation": known[fold == number]}
            for number in range(count)
        ]
        folds = [dataclasses.replace(self, indices={**self.indices, **split}) for split in splits]
        for data in folds:
            # A use of it is one of the test split of these data.
            vars(data)["test"] = self.test
        return folds

    def pixel_statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return means and standard deviations of the channels over the training split, 0 to 255.

        Pass them to a hypermodel as `normalization`. For a constant channel the deviation is 1.
        """
        return channel_statistics(self.train)

    def class_weights(self) -> dict[int, float]:
        """Return weights by label that give all classes the same total weight in training.

        `n / (classes · count)`, scikit-learn's "balanced": 1 on average over the images.
        """
        counts = self._counts("train")
        weights = counts.sum() / (self.classes * counts)
        return dict(enumerate(weights.tolist()))

    def save_split(self, path: str | Path, **more: NDArray[np.int64]) -> None:
        """Write labels, the three index sets and the groups that were given as an `.npz` file.

        Args:
            path: The file.
            **more: Further index sets.

        Raises:
            StorageError: if the path cannot be written.
        """
        if self.groups is not None and self.groups.required:
            more["groups"] = self.groups.of_image
        try:
            with atomic_write(path, durable=True) as temporary, open(temporary, "wb") as file:
                np.savez(file, labels=self.labels, **self.indices, **more)  # type: ignore[arg-type]
        except OSError as error:
            raise StorageError(f"Cannot write {path}: {error.strerror}") from error

    def _split(self, part: str, held_out: HeldOut | None = None) -> ImageSplit:
        index = self.indices[part]
        return ImageSplit(self.pixels, index, self.labels[index], held_out)

    def _counts(self, part: str) -> NDArray[np.int64]:
        return np.bincount(self.labels[self.indices[part]], minlength=self.classes)
