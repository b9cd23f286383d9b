"""Detection of duplicates: images with equal pixels, or the same picture saved again."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kt_tuning.core.pictures import to_pil

logger = logging.getLogger("kt_tuning")

SIDE = 16
"""Cells of a thumbnail, a small grey copy of an image, in each direction."""

#: Root mean square difference of two thumbnails, in grey levels, up to which they may show the same
#: picture. Photos saved again as JPEG of quality 30, or at a third of their size, are 0.1 to 1.7
#: apart, 32×32 pixels as JPEG of quality 90 or WebP of 80 0.6 to 2.2. The two most alike of 1,700
#: photos of flowers are 18 apart, of 60,000 of CIFAR-10, but for recoloured ones, 7.
_DISTANCE = 3.0

#: The same as a share of the distance that 9 of 10 pairs of images exceed: images that all look
#: alike, such as parts before one camera, must be as much closer to count.
_SHARE = 0.1

#: Standard deviation of a thumbnail, in grey levels, from which on it tells pictures apart.
_CONTRAST = 8.0

#: Least correlation of the pixels of two images that show the same picture.
_CORRELATION = 0.9

#: Principal components by which candidates are found; how many an image has at most, on average.
_DIMENSIONS, _CANDIDATES = 6, 20

#: Pairs drawn to find out how far images are apart; pairs compared at a time.
_PAIRS, _BATCH = 2048, 1024

#: About how many rows and columns of two images are compared.
_COMPARED = 64

#: Pairs of copies named in a message.
_SHOWN = 3


@dataclasses.dataclass(frozen=True)
class Duplicates:
    """Sets of duplicate images.

    Attributes:
        exact: Sets of images with the same pixels, as ascending places.
        similar: Sets of images that show the same picture, with pixels that differ a little; an
            image with exact duplicates is named by the first of them.
    """

    exact: list[list[int]]
    similar: list[list[int]]

    def groups(self, count: int) -> NDArray[np.int64]:
        """Return a number for each of `count` images, the same for duplicates.

        It is the place of the first of them.
        """
        group = np.arange(count)
        for places in self.exact:
            group[places] = places[0]
        for places in self.similar:
            group[np.isin(group, group[places])] = group[places].min()
        return group


def find_duplicates(pixels: NDArray[np.uint8], thumbnails: NDArray[np.uint8]) -> Duplicates:
    """Find duplicate images.

    Same pixels are found among images with the same thumbnail. For the same picture, saved again
    in another format, quality or size, thumbnails are reduced to 4×4 cells and then to their
    principal components, which only makes distances shorter, and close ones are found by a k-d
    tree. These pairs are compared by their thumbnails and then by their pixels. That takes images
    of at least 16×16 pixels with some contrast.

    Args:
        pixels: uint8 (N, height, width, channels).
        thumbnails: uint8 (N, h, w), see `thumbnail`.
    """
    exact = _exact(pixels, thumbnails)
    repeated = [place for places in exact for place in places[1:]]
    single = np.setdiff1d(np.arange(len(pixels)), repeated)
    if thumbnails.shape[1:] != (SIDE, SIDE):
        return Duplicates(exact, [])
    component = connected(single[_similar(pixels, thumbnails, single)], len(pixels))
    order = np.argsort(component, kind="stable")
    sets = np.split(order, np.cumsum(np.bincount(component))[:-1])
    return Duplicates(exact, [places.tolist() for places in sets if len(places) > 1])


def _exact(pixels: NDArray[np.uint8], thumbnails: NDArray[np.uint8]) -> list[list[int]]:
    by_thumbnail: dict[bytes, list[int]] = {}
    for place, thumbnail in enumerate(thumbnails):
        by_thumbnail.setdefault(thumbnail.tobytes(), []).append(place)
    by_pixels: dict[bytes, list[int]] = {}
    for candidates in by_thumbnail.values():
        for place in candidates if len(candidates) > 1 else ():
            digest = hashlib.blake2b(pixels[place].tobytes(), digest_size=16).digest()
            by_pixels.setdefault(digest, []).append(place)
    return sorted(places for places in by_pixels.values() if len(places) > 1)


def _similar(
    pixels: NDArray[np.uint8], thumbnails: NDArray[np.uint8], places: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return (n, 2) pairs of positions in `places` whose images show the same picture."""
    flat = thumbnails[places].reshape(len(places), -1)
    usable = np.flatnonzero(flat.std(axis=1, dtype=np.float32) >= _CONTRAST)
    if len(usable) < 2:
        return np.empty((0, 2), np.int64)
    flat = flat[usable]
    distance = min(_DISTANCE, _SHARE * _usual_distance(flat))
    candidates = _neighbours(flat, distance)
    starts = range(0, max(1, len(candidates)), _BATCH)
    batches = [candidates[start : start + _BATCH] for start in starts]
    pairs = usable[np.concatenate([batch[_rms(flat, batch) <= distance] for batch in batches])]
    alike = [_correlated(pixels[places[a]], pixels[places[b]]) for a, b in pairs]
    return pairs[np.array(alike, dtype=bool)]


def _neighbours(flat: NDArray[np.uint8], distance: float) -> NDArray[np.int64]:
    """Return (n, 2) pairs of thumbnails, all those that are as close as `distance` among them.

    No pairs are returned if there would be more than `_CANDIDATES` for each image.
    """
    from scipy.spatial import cKDTree

    quarter = SIDE // 4
    cells = flat.reshape(-1, 4, quarter, 4, quarter).mean((2, 4), np.float32).reshape(-1, 16)
    cells -= cells.mean(axis=0)
    _, axes = np.linalg.eigh(cells.T @ cells)
    tree = cKDTree(cells @ axes[:, : -_DIMENSIONS - 1 : -1])
    # The distance of 16 cells is 4 times their root mean square difference. Single precision may
    # round a distance up.
    radius = 4 * distance + 0.1
    if tree.count_neighbors(tree, radius) > (2 * _CANDIDATES + 1) * len(flat):
        return np.empty((0, 2), np.int64)
    pairs: NDArray[np.int64] = tree.query_pairs(radius, output_type="ndarray")
    return np.sort(pairs, axis=1)


def _usual_distance(flat: NDArray[np.uint8]) -> float:
    """Return the distance of thumbnails that 90% of the pairs exceed."""
    rng = np.random.default_rng(0)
    pairs = rng.integers(0, len(flat), (_PAIRS, 2))
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    return float(np.quantile(_rms(flat, pairs), 0.1)) if len(pairs) else 0.0


def _rms(flat: NDArray[np.uint8], pairs: NDArray[np.int64]) -> NDArray[np.float32]:
    difference = flat[pairs[:, 0]].astype(np.float32) - flat[pairs[:, 1]]
    return np.sqrt((difference**2).mean(axis=1))


def _correlated(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> bool:
    """Whether two images, (height, width, channels), differ by little more than noise.

    Each channel's mean counts too: pictures of equal brightness and other colours differ.
    """
    rows, columns = (max(1, side // _COMPARED) for side in first.shape[:2])
    a, b = (image[::rows, ::columns].astype(np.float32) for image in (first, second))
    shift = np.abs(a.mean((0, 1)) - b.mean((0, 1))).max()
    if shift > 2 * _DISTANCE:
        return False
    a -= a.mean()
    b -= b.mean()
    return bool((a * b).sum() >= _CORRELATION * np.sqrt((a * a).sum() * (b * b).sum()))


def connected(pairs: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Number the connected components of a graph of `count` nodes, by their least node: (count,).

    `pairs` (n, 2) are the edges.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(pairs)), pairs.T), shape=(count, count))
    return connected_components(graph, directed=False)[1].astype(np.int64)


def thumbnail_shape(shape: tuple[int, ...]) -> tuple[int, int]:
    """Return the shape of the thumbnail of an image of (height, width, …)."""
    return min(shape[0], SIDE), min(shape[1], SIDE)


def thumbnail(picture: Image.Image) -> Image.Image:
    """Average the pixels of an image over cells of equal size, and turn them grey.

    Where the sides are no multiples of 16, a margin of less than 8 pixels is left out on all sides.
    An image of fewer than 16 pixels in a direction keeps them.

    Args:
        picture: Mode "L" or "RGB".

    Returns:
        Mode "L", of (min(width, 16), min(height, 16)).
    """
    width, height = picture.size
    across, down = min(width, SIDE), min(height, SIDE)
    cell = (width // across, height // down)
    left, top = (width - cell[0] * across) // 2, (height - cell[1] * down) // 2
    box = (left, top, left + cell[0] * across, top + cell[1] * down)
    return picture.reduce(cell, box).convert("L")


def thumbnails(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the thumbnails of images in memory, uint8 (N, h, w).

    Args:
        images: uint8 (N, height, width, 1 or 3).
    """
    return stacked(map(thumbnail, map(to_pil, images)), thumbnail_shape(images.shape[1:]))


def stacked(pictures: Iterable[Image.Image], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return the pixels of images of one shape, uint8 (N, *shape), faster than `np.stack`."""
    content = b"".join(picture.tobytes() for picture in pictures)
    return np.frombuffer(content, np.uint8).reshape(-1, *shape)


def without_leaks(
    labels: NDArray[np.int64],
    given: Mapping[str, NDArray[np.int64]],
    copies: NDArray[np.int64],
) -> dict[str, NDArray[np.int64]]:
    """Leave out training images that have a copy in an existing validation or test split.

    The index sets `given` are returned unchanged if a class would lose more than half its training
    images. `copies` is the result of `Duplicates.groups`.
    """
    train = given["train"]
    others = {part: index for part, index in given.items() if part != "train"}
    elsewhere = np.concatenate([*others.values()])
    leaked = np.isin(copies[train], copies[elsewhere])
    if len(others) > 1:
        first, second = (np.unique(copies[index]) for index in others.values())
        if shared := len(np.intersect1d(first, second)):
            logger.warning(
                "%d pictures are in both the validation and the test folder, and stay there. Move "
                "all copies of a picture into one of the folders.",
                shared,
            )
    if not leaked.any():
        return dict(given)
    before = np.bincount(labels[train])
    after = np.bincount(labels[train[~leaked]], minlength=len(before))
    if (after < before / 2).any():
        logger.warning(
            "%d training images are copies of validation or test images. They are kept, because a "
            "class would otherwise lose more than half of its training images. The scores are "
            "therefore optimistic: make new splits.",
            int(leaked.sum()),
        )
        return dict(given)
    logger.warning(
        "%d training images are left out, because they are copies of validation or test images.",
        int(leaked.sum()),
    )
    return {**given, "train": train[~leaked]}


def log_duplicates(
    duplicates: Duplicates,
    labels: NDArray[np.int64],
    class_names: Sequence[str],
    name_of: Callable[[int], str],
) -> None:
    """Log the number of duplicates, and those with another label than their copy."""
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
        "Found %d duplicates among %d images: %d have the same pixels as another one, %d show the "
        "same picture saved again. Copies stay together in one split. Examples: %s",
        *(exact + similar, len(labels), exact, similar, examples),
    )
    group = duplicates.groups(len(labels))
    mixed = np.flatnonzero(labels != labels[group])
    if len(mixed):
        place = int(mixed[0])
        first = int(group[place])
        logger.warning(
            "%d images have another label than a copy of them, e.g. %s (%s) and %s (%s). Check the "
            "labels.",
            *(len(mixed), name_of(first), class_names[labels[first]]),
            *(name_of(place), class_names[labels[place]]),
        )
