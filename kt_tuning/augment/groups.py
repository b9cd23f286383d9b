"""Which images of a batch are worked on together."""

from __future__ import annotations

from collections.abc import Iterator

from kt_tuning.augment.op_kinds import Rows

# Images are worked on in groups of about so many pixels, which fit into the processor's caches.
GROUP_PIXELS = 2**14
# Likewise where they are only copied.
COPIED_PIXELS = 2**16


def groups(rows: Rows, size: tuple[int, int], pixels: int = GROUP_PIXELS) -> Iterator[Rows]:
    """Split rows of images of this size into groups of about so many pixels."""
    count = max(1, pixels // (size[0] * size[1]))
    for start in range(0, len(rows), count):
        yield rows[start : start + count]


def neighbours(rows: Rows) -> Rows | slice:
    """The same as a slice, if they are next to each other: that indexes without a copy."""
    if rows[-1] - rows[0] == len(rows) - 1:
        return slice(int(rows[0]), int(rows[-1]) + 1)
    return rows
