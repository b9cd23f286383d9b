"""Detection of duplicates: images with equal pixels, or the same picture saved again."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from kt_tuning.data.thumbnails import SIDE

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

#: Pairs drawn to find out how far images are apart; images and pairs compared at a time.
_PAIRS, _ROWS, _BATCH = 2048, 256, 1024

#: About how many rows and columns of two images are compared.
_COMPARED = 64


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
    principal components, which only makes distances shorter, and sorted by the first: neighbours
    lie close together there. Pairs that are close are compared by their thumbnails and then by
    their pixels. That takes images of at least 16×16 pixels with some contrast.

    Args:
        pixels: uint8 (N, height, width, channels).
        thumbnails: uint8 (N, h, w), see `thumbnails.thumbnail`.
    """
    exact = _exact(pixels, thumbnails)
    repeated = {place for places in exact for place in places[1:]}
    single = np.array([place for place in range(len(pixels)) if place not in repeated])
    if thumbnails.shape[1:] != (SIDE, SIDE):
        return Duplicates(exact, [])
    pairs = single[_similar(pixels, thumbnails, single)]
    return Duplicates(exact, _connected(pairs))


def _exact(pixels: NDArray[np.uint8], thumbnails: NDArray[np.uint8]) -> list[list[int]]:
    keys = np.array([hash(thumbnail.tobytes()) for thumbnail in thumbnails], np.int64)
    order = np.argsort(keys, kind="stable")
    starts = np.flatnonzero(np.diff(keys[order], prepend=keys[order[:1]] - 1))
    by_pixels: dict[bytes, list[int]] = {}
    for run in np.split(order, starts[1:]):
        for place in run if len(run) > 1 else ():
            digest = hashlib.blake2b(np.ascontiguousarray(pixels[place]).data, digest_size=16)
            by_pixels.setdefault(digest.digest(), []).append(int(place))
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
    # The products are small: threads would wait for each other longer than they work.
    with threadpool_limits(1, user_api="blas"):
        candidates = _neighbours(flat, distance)
    close = [batch[_rms(flat, batch) <= distance] for batch in _batches(candidates)]
    pairs = usable[np.concatenate(close)]
    alike = [_correlated(pixels[places[a]], pixels[places[b]]) for a, b in pairs]
    return pairs[np.array(alike, dtype=bool)]


def _neighbours(flat: NDArray[np.uint8], distance: float) -> NDArray[np.int64]:
    """Return (n, 2) pairs of thumbnails, all those that are as close as `distance` among them.

    If so many images are alike that there would be too many pairs, none are returned.
    """
    quarter = SIDE // 4
    cells = flat.reshape(-1, 4, quarter, 4, quarter).mean((2, 4), np.float32).reshape(-1, 16)
    cells -= cells.mean(axis=0)
    _, axes = np.linalg.eigh(cells.T @ cells)
    points = cells @ axes[:, : -_DIMENSIONS - 1 : -1]
    order = np.argsort(points[:, 0])
    points = points[order]
    # The distance of 16 cells is 4 times their root mean square difference.
    radius = 4 * distance
    ends = np.searchsorted(points[:, 0], points[:, 0] + radius, side="right")
    # |a - b|^2 = a·a - 2 a·b + b·b, as one product of matrices
    squares = (points**2).sum(axis=1, keepdims=True)
    left = np.concatenate([points, squares, np.ones_like(squares)], axis=1)
    right = np.concatenate([-2 * points, np.ones_like(squares), squares], axis=1)
    found, total = [], 0
    for start in range(0, len(points), _ROWS):
        rows = left[start : start + _ROWS]
        # Single precision may round a distance up: an image more among the candidates is no harm.
        near = rows @ right[start : ends[start + len(rows) - 1]].T <= radius**2 + 1
        near[:, : len(rows)] &= np.triu(np.ones((len(rows), len(rows)), bool), 1)
        row, other = np.nonzero(near)
        found.append(np.stack([row, other], axis=1) + start)
        total += len(row)
        if total > _CANDIDATES * len(points):
            return np.empty((0, 2), np.int64)
    return order[np.concatenate(found)]


def _usual_distance(flat: NDArray[np.uint8]) -> float:
    """Return the distance of thumbnails that 90% of the pairs exceed."""
    rng = np.random.default_rng(0)
    pairs = rng.integers(0, len(flat), (_PAIRS, 2))
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    return float(np.quantile(_rms(flat, pairs), 0.1)) if len(pairs) else 0.0


def _rms(flat: NDArray[np.uint8], pairs: NDArray[np.int64]) -> NDArray[np.float32]:
    difference = flat[pairs[:, 0]].astype(np.float32) - flat[pairs[:, 1]]
    return np.sqrt((difference**2).mean(axis=1))


def _batches(pairs: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    for start in range(0, max(1, len(pairs)), _BATCH):
        yield pairs[start : start + _BATCH]


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


def _connected(pairs: NDArray[np.int64]) -> list[list[int]]:
    """Return the connected components of the graph of pairs."""
    sets: dict[int, list[int]] = {}
    for first, second in pairs.tolist():
        a, b = sets.setdefault(first, [first]), sets.setdefault(second, [second])
        if a is not b:
            a += b
            sets.update(dict.fromkeys(b, a))
    return sorted(sorted(places) for place, places in sets.items() if place == min(places))
