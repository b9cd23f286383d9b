import threading
import time

import numpy as np
import pytest

from kt_tuning.core import process
from kt_tuning.data.prefetch import AHEAD, Prefetcher, reading_threads

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
    with Prefetcher(Source().read, BATCHES, threads=threads) as reader:
        places = [(epoch, index) for epoch in range(3) for index in range(BATCHES)]
        found = [tuple(reader.take(*place)[0]) for place in places]
    assert found == places


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_each_run_is_made_once(threads):
    source = Source()
    with Prefetcher(source.read_three, BATCHES, 3, threads=threads) as reader:
        places = [(epoch, index) for epoch in range(3) for index in range(BATCHES)]
        found = [tuple(reader.take(*place)[0]) for place in places]
    assert found == places
    assert len(source.made) == len(set(source.made)) <= len(places) + 3 * threads


def test_other_runs_may_be_read_from_some_epoch_on():
    source = Source()
    with Prefetcher(source.read, BATCHES, threads=1) as reader:
        reader.take(0, BATCHES - 1)
        reader.change(source.read_three, BATCHES, 3)
        for place in [(1, 0), (1, 3), (1, 2), (0, 1)]:
            assert tuple(reader.take(*place)[0]) == place


@pytest.mark.parametrize("threads", [1, 2])
def test_what_is_made_ahead_is_bounded(threads):
    source = Source()
    with Prefetcher(source.read, 100, threads=threads) as reader:
        reader.take(0, 0)
        until(lambda: len(source.made) == 1 + AHEAD * threads)
        time.sleep(0.02)
        assert len(source.made) == 1 + AHEAD * threads


def test_the_next_epoch_is_begun_at_the_end_of_one():
    source = Source()
    with Prefetcher(source.read, BATCHES, threads=1) as reader:
        for index in range(BATCHES):
            reader.take(0, index)
        until(lambda: source.made[-1] == (1, 1))
        reader.take(1, 0)
        assert source.made.count((1, 0)) == 1


def test_any_batch_may_be_asked_for():
    with Prefetcher(Source().read, BATCHES, threads=2) as reader:
        for place in [(0, 0), (0, 3), (5, 1), (5, 2), (0, 0), (0, 0), (0, 1)]:
            assert tuple(reader.take(*place)[0]) == place


def test_an_error_is_raised_where_its_batch_is_asked_for():
    with Prefetcher(Source(fails_at=(0, 1)).read, BATCHES, threads=2) as reader:
        reader.take(0, 0)
        with pytest.raises(OSError, match="disk on fire"):
            reader.take(0, 1)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_no_thread_is_left_behind(error):
    def train():
        with Prefetcher(Source().read, BATCHES, threads=2) as reader:
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
