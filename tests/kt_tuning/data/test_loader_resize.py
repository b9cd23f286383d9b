import numpy as np
import pytest

from kt_tuning.data import batch_loader as loading
from kt_tuning.data.batch_loader import Loader
from kt_tuning.data.batches import Batches


def check(loader, stripes, epoch, batch_size):
    """The loader hands out an epoch in batches of this size."""
    expected = Batches(stripes.train, batch_size, seed=0)
    assert len(loader) == len(expected)
    loader.begin_epoch(epoch)
    for index in range(len(loader)):
        for found, part in zip(loader[index], expected.read(epoch, index), strict=True):
            assert np.array_equal(found, part)
    loader.end_epoch()


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_batches_of_another_size_follow_the_last_epoch(threads, stripes):
    with Loader(Batches(stripes.train, 8, seed=0), threads=threads) as loader:
        for epoch, size in enumerate((8, 16, 36)):
            loader.resize(size)
            check(loader, stripes, epoch, size)


def test_processes_make_them_too(stripes, monkeypatch):
    monkeypatch.setattr(loading, "START_SECONDS", 0.0)
    monkeypatch.setattr(loading, "own_processors", lambda: 99)
    monkeypatch.setattr(loading, "reading_threads", lambda: 1)
    with Loader(Batches(stripes.train, 8, seed=0), threads=1) as loader:
        check(loader, stripes, 0, 8)
        loader.resize(16)
        check(loader, stripes, 1, 16)
        assert loader.processes == 1
        loader.resize(12)
        check(loader, stripes, 2, 12)
