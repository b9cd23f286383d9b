from __future__ import annotations

from pathlib import Path

import pytest
from shipped_run import write_scores, write_search, write_winner

from kt_tuning.data import ImageData


@pytest.fixture
def run_directory(tmp_path: Path, stripes: ImageData) -> Path:
    """A search, its winner and its scores."""
    directory = tmp_path / "photos"
    write_search(directory, stripes)
    write_winner(directory)
    write_scores(directory)
    return directory


@pytest.fixture
def unused_test_split(tmp_path, monkeypatch):
    """Uses of the test split in other tests of the same images, which the cache notes, are gone."""
    monkeypatch.setenv("KT_TUNING_CACHE", str(tmp_path / "cache"))
