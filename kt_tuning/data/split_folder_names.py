"""Recognition of folder names of ready splits: train, Training, test_set, seg_val."""

from __future__ import annotations

import re
from collections.abc import Iterable

_WORDS = {
    "train": ("train", "training", "trn"),
    "validation": (
        "val",
        "valid",
        "validation",
        "validate",
        "dev",
        "development",
        "eval",
        "evaluation",
    ),
    "test": ("test", "testing", "tst"),
}
_PARTS = {word: part for part, words in _WORDS.items() for word in words}

#: Words that say nothing about which split it is.
_NEUTRAL = frozenset(
    {
        *("set", "sets", "data", "dataset", "split", "folder", "dir"),
        *("image", "images", "img", "imgs", "photos", "pictures"),
    }
)


def split_parts(names: Iterable[str]) -> dict[str, str]:
    """Return the part, "train", "validation" or "test", of each name that means one.

    A name is cut into words at anything but letters, at a capital inside a word, and before "set"
    and "data". One of the words names the part; "set", "images" and the like may be added. Any
    other word, as in `seg_train` and `seg_test`, must be shared with a name of another part: alone,
    `freight_train` is a kind of train.
    """
    parsed = {name: found for name in names if (found := _parse(name)) is not None}
    parts_of_affix: dict[tuple[str, ...], set[str]] = {}
    for part, affix in parsed.values():
        parts_of_affix.setdefault(affix, set()).add(part)
    return {
        name: part
        for name, (part, affix) in parsed.items()
        if not affix or len(parts_of_affix[affix]) > 1
    }


def _parse(name: str) -> tuple[str, tuple[str, ...]] | None:
    """Return the part in a name, and its words that are neither part nor neutral."""
    words = [word.lower() for word in re.findall(r"[A-Z]*[a-z]+|[A-Z]+|\d+|[^\W\d_]+", name)]
    words = [piece for word in words for piece in _pieces(word)]
    parts = {_PARTS[word] for word in words if word in _PARTS}
    if len(parts) != 1:
        return None
    ignored = _NEUTRAL | _PARTS.keys()
    affix = tuple(word for word in words if word not in ignored and not word.isdigit())
    return parts.pop(), affix


def _pieces(word: str) -> list[str]:
    """Cut "trainset" and "testdata" in two."""
    for ending in ("set", "data", "images"):
        if word.endswith(ending) and word.removesuffix(ending) in _PARTS:
            return [word.removesuffix(ending), ending]
    return [word]
