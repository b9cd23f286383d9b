"""KerasTuner's chief and workers, and finalizing a shared search once."""

import contextlib
import os
import socket
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from kt_tuning.core.errors import OptionError
from kt_tuning.search import OptunaOracle, SharedFinalize
from kt_tuning.search.distributed import IP, PORT, TUNER_ID, is_chief, is_worker

SCRIPT = """
import os, pathlib, sys
sys.path[:0] = [{tests!r}]
import keras
from striped import striped_images
from tiny_models import tiny
from kt_tuning import ImageData, Tuner

class Mark(keras.callbacks.Callback):
    def on_train_begin(self, logs=None):
        with open({metadata!r}, "a") as file:
            file.write(os.environ.get("KERASTUNER_TUNER_ID", "") + "\\n")

data = ImageData.from_arrays(*striped_images(60))
tuner = Tuner(
    tiny, strategy="random", max_trials=12, epochs=2, directory={directory!r},
    project_name="run", seed=2, tracker={tracker!r},
)
tuner.search(data, callbacks=[Mark()])
"""


def free_port() -> str:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return str(taken.getsockname()[1])


def start(directory: Path, port: str, tuner_id: str) -> subprocess.Popen:
    script = SCRIPT.format(
        tests=str(Path(__file__).parents[2]),
        metadata=str(directory / "metadata"),
        directory=str(directory),
        tracker="csv",
    )
    environment = {**os.environ, TUNER_ID: tuner_id, IP: "127.0.0.1", PORT: port}
    return subprocess.Popen(
        [sys.executable, "-c", script], env=environment, stderr=subprocess.PIPE, text=True
    )


def test_a_chief_and_two_workers_find_what_one_process_finds(tmp_path, make_tuner, stripes):
    port = free_port()
    names = ("chief", "worker1", "worker2")
    processes = [start(tmp_path, port, name) for name in names]
    for process in processes:
        _, errors = process.communicate(timeout=600)
        assert process.returncode == 0, errors
    ran = (tmp_path / "metadata").read_text().split()
    assert len(ran) == 12
    assert set(ran) <= {"worker1", "worker2"}
    found = make_tuner(project_name="run", max_trials=12, strategy="random", seed=2).results()
    alone = make_tuner(project_name="alone", max_trials=12, strategy="random", seed=2)
    alone.search(stripes)
    expected = alone.results()
    costs = ["seconds", "began"]
    pd.testing.assert_frame_equal(
        found.drop(columns=costs), expected.drop(columns=costs), rtol=1e-4, check_like=True
    )
    logged = pd.read_csv(tmp_path / "run" / "csv" / "trials.csv")
    assert sorted(logged["number"]) == list(range(12))


@pytest.mark.parametrize(("name", "chief"), [("chief", True), ("worker1", False)])
def test_the_name_decides_who_is_who(name, chief, monkeypatch):
    assert not is_chief()
    assert not is_worker()
    for variable, value in ((TUNER_ID, name), (IP, "127.0.0.1"), (PORT, "8000")):
        monkeypatch.setenv(variable, value)
    assert is_chief() is chief
    assert is_worker() is not chief


def test_half_of_the_variables_is_refused(monkeypatch):
    monkeypatch.setenv(IP, "127.0.0.1")
    monkeypatch.setenv(TUNER_ID, "chief")
    with pytest.raises(OptionError, match="KERASTUNER_ORACLE_PORT is not"):
        is_chief()


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
        return SharedFinalize(oracle, tmp_path)

    make.locks = locks
    return make


def due(finalize):
    with finalize.lock() as due:
        return due


def test_the_first_one_does_it_and_the_next_one_need_not(write, make):
    first, second = make(), make()
    write("trial_0/result.json", "trial_1/result.json")
    assert due(first)
    write("ensemble.json", "report.html")
    assert not due(second)
    assert make.locks == ["finalize", "finalize"]


def test_trials_that_lackingr_are_a_reason_to_do_it_again(write, make):
    late = make()
    write("trial_0/result.json", "ensemble.json", "trial_1/result.json", "report.html")
    assert due(late)


def test_who_was_killed_in_between_has_not_done_it(write, make):
    other = make()
    write("trial_0/result.json", "report.html", "ensemble.json")
    assert due(other)


def test_whoever_asks_for_it_again_gets_it_again(write, make):
    write("trial_0/result.json", "ensemble.json", "report.html")
    assert due(make())


def test_one_process_alone_asks_nobody(write, make):
    alone = make(storage=None)
    write("trial_0/result.json", "ensemble.json", "report.html")
    assert due(alone)
    assert make.locks == []
