import threading
import time
from contextlib import closing
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from kt_tuning.core import process
from kt_tuning.data import batch_loader as loading
from kt_tuning.data.batch_loader import (
    AHEAD,
    DATA_WAIT,
    FollowEpochs,
    Loader,
    Prefetcher,
    reading_threads,
)
from kt_tuning.data.batches import Batches, Random


@pytest.fixture
def batches(stripes):
    return Batches(stripes.train, 8, seed=0)


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_it_hands_out_the_batches_of_its_epoch(threads, batches):
    with Loader(batches, threads=threads) as loader:
        for epoch in (0, 1, 5):
            FollowEpochs(loader).on_epoch_begin(epoch)
            for index in range(len(loader)):
                for found, expected in zip(loader[index], batches.read(epoch, index), strict=True):
                    assert np.array_equal(found, expected)


def test_the_wait_is_the_share_of_the_epoch_that_went_into_it(stripes, monkeypatch):
    clock = SimpleNamespace(now=0.0)
    watch = SimpleNamespace(perf_counter=lambda: clock.now, process_time=lambda: 0.0)
    monkeypatch.setattr(loading, "time", watch)

    def slow(images, uniforms):
        clock.now += 2.0
        return images

    batches = Batches(stripes.train, 12, seed=0, augment=Random(slow, 1))
    with Loader(batches, threads=0) as loader:
        follow, logs = FollowEpochs(loader), {}
        follow.on_epoch_begin(0)
        for index in range(3):
            loader[index]
        clock.now += 4.0
        follow.on_epoch_end(0, logs)
    # Small images: all three batches are made together, in 2 s of an epoch of 6 s.
    assert logs[DATA_WAIT] == pytest.approx(1 / 3)


def test_the_wait_of_a_thread_that_is_not_training_says_nothing(batches):
    with Loader(batches) as loader:
        loader.begin_epoch(0)
        thread = threading.Thread(target=loader.__getitem__, args=(0,))
        thread.start()
        thread.join()
        assert loader.end_epoch() is None


@pytest.mark.parametrize(
    ("waited", "processors", "expected"), [(0.0, 99, 2), (0.0, 0, 0), (60.0, 99, 0)]
)
def test_processes_are_started_after_a_wait_if_processors_are_idle(
    waited, processors, expected, batches, monkeypatch
):
    monkeypatch.setattr(loading, "START_SECONDS", waited)
    monkeypatch.setattr(loading, "own_processors", lambda: processors)
    monkeypatch.setattr(loading, "reading_threads", lambda: 2)
    with Loader(batches, threads=1) as loader:
        for epoch in (0, 1, 2):
            loader.begin_epoch(epoch)
            assert loader.processes == (expected if epoch else 0)
            for index in range(len(loader)):
                for found, right in zip(loader[index], batches.read(epoch, index), strict=True):
                    assert np.array_equal(found, right)
            loader.end_epoch()


def test_threads_go_on_where_processes_cannot_be_started(batches, monkeypatch):
    def refused(*arguments):
        raise OSError("no more processes")

    monkeypatch.setattr(loading, "START_SECONDS", 0.0)
    monkeypatch.setattr(loading, "own_processors", lambda: 99)
    monkeypatch.setattr(loading, "BatchProcesses", refused)
    with Loader(batches, threads=1) as loader:
        for epoch in (0, 1):
            loader.begin_epoch(epoch)
            assert np.array_equal(loader[0][0], batches.read(epoch, 0)[0])
            loader.end_epoch()


def test_keras_trains_on_it(stripes, batches):
    seen = []
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1), dtype="uint8"),
            keras.layers.Flatten(),
            keras.layers.Dense(2, activation="softmax"),
        ]
    )
    model.compile("sgd", "sparse_categorical_crossentropy")

    class Noting(Loader):
        def __getitem__(self, index):
            seen.append((self._epoch, index))
            return super().__getitem__(index)

    with Noting(batches) as loader:
        model.fit(
            loader,
            epochs=3,
            initial_epoch=1,
            verbose=0,
            shuffle=False,
            callbacks=[FollowEpochs(loader)],
        )
    trained = [(epoch, index) for epoch in (1, 2) for index in range(len(batches))]
    assert seen[-len(trained) :] == trained


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


BATCHES = 4


class Source:
    """Makes batches that say where they belong; some take longer than others."""

    def __init__(self, fails_at=None):
        self.made = []
        self.fails_at = fails_at

    def read(self, epoch, index):
        time.sleep((epoch * 7 + index * 3) % 4 / 1000)
        self.made.append((epoch, index))
        if (epoch, index) == self.fails_at:
            raise OSError("disk on fire")
        return [(np.array([epoch, index]),)]

    def read_three(self, epoch, run):
        places = range(3 * run, min(3 * run + 3, BATCHES))
        return [batch for index in places for batch in self.read(epoch, index)]


def loader_threads():
    return [thread for thread in threading.enumerate() if "kt-tuning-loader" in thread.name]


def until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_batches_come_in_order_whatever_the_threads(threads):
    with closing(Prefetcher(Source().read, BATCHES, threads=threads)) as reader:
        places = [(epoch, index) for epoch in range(3) for index in range(BATCHES)]
        found = [tuple(reader.take(*place)[0]) for place in places]
    assert found == places


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_each_run_is_made_once(threads):
    source = Source()
    with closing(Prefetcher(source.read_three, BATCHES, 3, threads=threads)) as reader:
        places = [(epoch, index) for epoch in range(3) for index in range(BATCHES)]
        found = [tuple(reader.take(*place)[0]) for place in places]
    assert found == places
    assert len(source.made) == len(set(source.made)) <= len(places) + 3 * threads


@pytest.mark.parametrize("threads", [1, 2])
def test_what_is_made_ahead_is_bounded(threads):
    source = Source()
    with closing(Prefetcher(source.read, 100, threads=threads)) as reader:
        reader.take(0, 0)
        until(lambda: len(source.made) == 1 + AHEAD * threads)
        time.sleep(0.02)
        assert len(source.made) == 1 + AHEAD * threads


def test_the_next_epoch_is_begun_at_the_end_of_one():
    source = Source()
    with closing(Prefetcher(source.read, BATCHES, threads=1)) as reader:
        for index in range(BATCHES):
            reader.take(0, index)
        until(lambda: source.made[-1] == (1, 1))
        reader.take(1, 0)
        assert source.made.count((1, 0)) == 1


def test_any_batch_may_be_asked_for():
    with closing(Prefetcher(Source().read, BATCHES, threads=2)) as reader:
        for place in [(0, 0), (0, 3), (5, 1), (5, 2), (0, 0), (0, 0), (0, 1)]:
            assert tuple(reader.take(*place)[0]) == place


def test_an_error_is_raised_where_its_batch_is_asked_for():
    with closing(Prefetcher(Source(fails_at=(0, 1)).read, BATCHES, threads=2)) as reader:
        reader.take(0, 0)
        with pytest.raises(OSError, match="disk on fire"):
            reader.take(0, 1)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_no_thread_is_left_behind(error):
    def train():
        with closing(Prefetcher(Source().read, BATCHES, threads=2)) as reader:
            reader.take(0, 0)
            assert loader_threads()
            raise error

    with pytest.raises(error):
        train()
    assert not loader_threads()


@pytest.mark.parametrize(
    ("processors", "share", "threads"),
    [(1, "", 1), (2, "", 1), (8, "", 4), (64, "", 8), (8, "2", 1), (8, "99", 4), (8, "all", 4)],
)
def test_threads_go_by_the_share_of_the_processors(processors, share, threads, monkeypatch):
    monkeypatch.setattr(process, "count_processors", lambda: processors)
    monkeypatch.setenv("OMP_NUM_THREADS", share)
    assert reading_threads() == threads
