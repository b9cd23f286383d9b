"""Features are computed once for each image."""

import multiprocessing
import os
import re
import signal
import time

import numpy as np
import pytest

from kt_tuning.core.errors import StorageError
from kt_tuning.data import ImageData
from kt_tuning.features import FeatureCache, cache

X = np.random.default_rng(0).integers(0, 256, (40, 4, 4)).astype(np.uint8)
DATA = ImageData.from_arrays(X, np.arange(40) % 2)


class Extractor:
    """Features are the first pixel and its square; counts the images that it was given."""

    def __init__(self, digest="one", fails_after=None):
        self.digest = digest
        self.seen = 0
        self.fails_after = fails_after

    def features(self, images):
        if self.fails_after is not None and self.seen >= self.fails_after:
            raise KeyboardInterrupt
        self.seen += len(images)
        first = images[:, 0, 0].astype(np.float32)
        return np.concatenate([first, first**2], axis=1)


def features(tmp_path, split, extractor, data=DATA):
    return FeatureCache(data.content, len(data.labels), tmp_path).of(split, extractor)


def expected(split):
    first = X[split.index, 0, 0].astype(np.float32)
    return np.stack([first, first**2], axis=1)


def test_features_are_in_the_order_of_the_split(tmp_path):
    for split in (DATA.validation, DATA.train):
        assert (features(tmp_path, split, Extractor()) == expected(split)).all()


def test_a_second_search_computes_none(tmp_path):
    features(tmp_path, DATA.train, Extractor())
    again = Extractor()
    assert (features(tmp_path, DATA.train, again) == expected(DATA.train)).all()
    assert again.seen == 0


def test_when_time_is_up_there_are_features_of_some_images_all_over_the_split(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(cache, "CHUNK", 6)
    kept, extractor = FeatureCache(DATA.content, len(DATA.labels), tmp_path), Extractor()
    places, found = kept.until(DATA.train, extractor, 0.0)
    assert len(places) == 6
    assert places.max() >= 12
    assert (np.diff(places) > 0).all()
    assert (found == expected(DATA.train)[places]).all()
    assert (kept.of(DATA.train, extractor) == expected(DATA.train)).all()
    assert extractor.seen == len(DATA.train)


def test_another_split_computes_what_is_missing(tmp_path):
    first, second = DATA.folds(4)[:2]
    features(tmp_path, first.train, Extractor())
    again = Extractor()
    assert (features(tmp_path, second.train, again) == expected(second.train)).all()
    assert again.seen == len(set(second.train.index) - set(first.train.index)) == 8


def test_another_network_and_other_images_have_their_own(tmp_path):
    features(tmp_path, DATA.train, Extractor())
    other = Extractor("two")
    features(tmp_path, DATA.train, other)
    changed = ImageData.from_arrays(X[::-1], np.arange(40) % 2)
    third = Extractor()
    features(tmp_path, changed.train, third, changed)
    assert other.seen == third.seen == len(DATA.train)


def test_an_interruption_loses_one_chunk(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "CHUNK", 5)
    with pytest.raises(KeyboardInterrupt):
        features(tmp_path, DATA.train, Extractor(fails_after=10))
    again = Extractor()
    assert (features(tmp_path, DATA.train, again) == expected(DATA.train)).all()
    # The first call computed two chunks.
    assert again.seen == len(DATA.train) - 10


@pytest.mark.parametrize("suffix", ["*.npy", "*.digests"])
@pytest.mark.parametrize("content", [b"", b"garbage"])
def test_damaged_files_are_made_anew(tmp_path, suffix, content):
    features(tmp_path, DATA.train, Extractor())
    (path,) = (tmp_path / "features").glob(suffix)
    path.write_bytes(content)
    assert (features(tmp_path, DATA.train, Extractor()) == expected(DATA.train)).all()


def test_the_least_recently_used_go_first(tmp_path, monkeypatch):
    # 40 rows of two floats and a header.
    monkeypatch.setattr(cache, "LARGEST", 1000)
    for digest in ("one", "two"):
        features(tmp_path, DATA.train, Extractor(digest))
    first, second = sorted((tmp_path / "features").glob("*.npy"), key=os.path.getmtime)
    os.utime(first, (1, 1))
    os.utime(second, (2, 2))
    features(tmp_path, DATA.train, Extractor("three"))
    left = set((tmp_path / "features").glob("*.npy"))
    assert first not in left
    assert second in left


def _compute(folder, queue):
    extractor = Extractor()
    features(folder, DATA.train, extractor)
    queue.put(extractor.seen)


def test_two_processes_compute_once(tmp_path):
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    processes = [context.Process(target=_compute, args=(tmp_path, queue)) for _ in range(2)]
    for process in processes:
        process.start()
    counts = sorted(queue.get(timeout=120) for _ in processes)
    for process in processes:
        process.join()
    assert counts == [0, len(DATA.train)]


class Suicidal(Extractor):
    """Kills its process, as the system does when memory is short, after 10 images."""

    def features(self, images):
        if self.seen >= 10:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().features(images)


def _compute_and_die(folder):
    cache.CHUNK = 5
    features(folder, DATA.train, Suicidal())


def test_after_a_process_was_killed_it_goes_on(tmp_path):
    process = multiprocessing.get_context("spawn").Process(
        target=_compute_and_die, args=(tmp_path,)
    )
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    again = Extractor()
    assert (features(tmp_path, DATA.train, again) == expected(DATA.train)).all()
    assert again.seen == len(DATA.train) - 10


def test_a_damaged_row_is_computed_again(tmp_path):
    features(tmp_path, DATA.train, Extractor())
    (path,) = (tmp_path / "features").glob("*.npy")
    rows = np.load(path, mmap_mode="r+")
    rows[DATA.train.index[3], 1] += 1
    rows.flush()
    again = Extractor()
    assert (features(tmp_path, DATA.train, again) == expected(DATA.train)).all()
    assert again.seen == 1


def test_long_work_writes_lines(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("kt_tuning.core.progress.PATIENCE", 0.01)

    class Slow(Extractor):
        def features(self, images):
            time.sleep(0.2)
            return super().features(images)

    with caplog.at_level("INFO", "kt_tuning"):
        features(tmp_path, DATA.train, Slow())
    first = rf"Computing features: 0 of {len(DATA.train)} \(\d:\d\d\)"
    assert re.fullmatch(first, caplog.messages[0])
    assert re.fullmatch(r"Computing features: done in \d:\d\d", caplog.messages[-1])


def test_a_folder_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match=r"Not a directory.*KT_TUNING_CACHE"):
        features(tmp_path / "file", DATA.train, Extractor())
