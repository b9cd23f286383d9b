"""Names with accents are equal however these are composed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from kt_tuning.data.folder_layout import scan

Save = Callable[..., Path]

COMPOSED, DECOMPOSED = "caf\u00e9", "cafe\u0301"


def make(save: Save, *folders: str) -> None:
    for folder in folders:
        save(f"{folder}/a.png")


@pytest.mark.parametrize("names", [None, [COMPOSED, "dog"], [DECOMPOSED, "dog"]])
def test_class_folders_may_be_composed_in_either_way(
    save: Save, tmp_path: Path, names: list[str] | None
) -> None:
    make(save, f"train/{COMPOSED}", "train/dog", f"test/{DECOMPOSED}", "test/dog")
    listing = scan(tmp_path, class_names=names)
    assert listing.class_names == (COMPOSED, "dog")
    files = [files[0].path for files in (listing.parts["train"][0], listing.parts["test"][0])]
    assert files == [f"train/{COMPOSED}/a.png", f"test/{DECOMPOSED}/a.png"]


def test_two_spellings_of_a_class_are_one(save: Save, tmp_path: Path) -> None:
    make(save, COMPOSED, DECOMPOSED, "dog")
    listing = scan(tmp_path)
    assert listing.class_names == (COMPOSED, "dog")
    assert [len(files) for files in listing.parts["train"]] == [2, 1]
