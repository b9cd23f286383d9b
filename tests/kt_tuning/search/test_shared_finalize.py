"""Which of several processes finalizes a search; their database is not needed here."""

import contextlib
import os

import pytest

from kt_tuning.search import OptunaOracle, SharedFinalize


@pytest.fixture
def write(tmp_path):
    """Write files of a run, each later than the ones before."""
    times = iter(range(1, 100))

    def write(*names):
        for name in names:
            path, time = tmp_path / name, next(times)
            path.parent.mkdir(exist_ok=True)
            path.touch()
            os.utime(path, (time, time))

    return write


@pytest.fixture
def make(tmp_path, monkeypatch):
    """Make what is under test, of a search that is shared or not."""
    locks = []

    def lock(self, name):
        locks.append(name)
        return contextlib.nullcontext()

    monkeypatch.setattr(OptunaOracle, "lock", lock)

    def make(storage="postgresql://host/name"):
        oracle = OptunaOracle(objective="val_loss", storage=storage)
        return SharedFinalize(oracle, tmp_path, first="options.json", last="report.html")

    make.locks = locks
    return make


def due(finalize):
    with finalize.lock() as due:
        return due


def test_the_first_one_does_it_and_the_next_one_need_not(write, make):
    first, second = make(), make()
    write("trial_0/result.json", "trial_1/result.json")
    assert due(first)
    write("options.json", "report.html")
    assert not due(second)
    assert make.locks == ["finalize", "finalize"]


def test_trials_that_came_later_are_a_reason_to_do_it_again(write, make):
    late = make()
    write("trial_0/result.json", "options.json", "trial_1/result.json", "report.html")
    assert due(late)


def test_who_was_killed_in_between_has_not_done_it(write, make):
    other = make()
    write("trial_0/result.json", "report.html", "options.json")
    assert due(other)


def test_whoever_asks_for_it_again_gets_it_again(write, make):
    write("trial_0/result.json", "options.json", "report.html")
    assert due(make())


def test_one_process_alone_asks_nobody(write, make):
    alone = make(storage=None)
    write("trial_0/result.json", "options.json", "report.html")
    assert due(alone)
    assert make.locks == []
