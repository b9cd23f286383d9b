from __future__ import annotations

import functools
import operator
import os
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from kt_tuning.augment import Mixing, Policy, augment, mix
from kt_tuning.core.errors import KtTuningError, StorageError
from kt_tuning.data.batch_loader import Prefetcher
from kt_tuning.data.batches import Batches, Random
from kt_tuning.data.worker_pool import BatchProcesses, map_in_order


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_results_come_in_the_order_of_the_jobs(workers: int) -> None:
    jobs = list(range(50))
    assert list(map_in_order(operator.neg, jobs, workers=workers)) == [-job for job in jobs]


def test_workers_are_other_processes() -> None:
    found = set(map_in_order(eval, ["__import__('os').getppid()"] * 4, workers=2))
    assert found == {os.getpid()}


def test_what_a_job_prints_does_not_disturb_the_answers(capfd: pytest.CaptureFixture[str]) -> None:
    assert list(map_in_order(print, ["hello"] * 2, workers=2)) == [None, None]
    assert capfd.readouterr().err == "hello\nhello\n"


def test_exception_of_a_job_is_raised_here() -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        list(map_in_order(int, ["1", "one", "2"], workers=2))


def test_death_of_a_worker_is_an_error() -> None:
    with pytest.raises(KtTuningError, match="ended early, with code 9"):
        list(map_in_order(os._exit, [9], workers=2))


def test_leaving_early_ends_the_workers() -> None:
    results = map_in_order(eval, ["__import__('os').getpid()"] * 100, workers=2)
    pid = next(results)
    results.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_script_needs_no_main_guard(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from kt_tuning.data.worker_pool import map_in_order\n"
        "print(list(map_in_order(len, ['a', 'bb'], workers=2)))\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, env=environment, check=True
    )
    assert done.stdout == "[1, 2]\n"


@pytest.fixture
def batches(stripes):
    policy, mixing = Policy.named("standard"), Mixing(0.4, 1.0)
    return Batches(
        stripes.train,
        8,
        seed=3,
        augment=Random(functools.partial(augment, policy), policy.draws),
        mix=Random(functools.partial(mix, mixing, classes=2), mixing.draws),
        class_weight={0: 1.0, 1: 2.0},
    )


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("large", [1, 2**20])
def test_processes_make_the_same_batches_in_the_same_order(batches, tmp_path, monkeypatch, large):
    monkeypatch.setattr("kt_tuning.core.pickling.LARGE", large)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with BatchProcesses(batches, 2) as processes:
        (folder,) = tmp_path.iterdir()
        assert any(folder.iterdir()) is (large == 1)
        run = batches.run_length(batches.batch_size)
        with closing(Prefetcher(processes.read_run, len(batches), run, threads=2)) as reader:
            for epoch in (0, 1):
                for index in range(len(batches)):
                    assert same(reader.take(epoch, index), batches.read(epoch, index))
        pids = [process.pid for process in processes.pool.processes]
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    assert not folder.exists()


def test_a_process_that_died_is_not_missed(batches):
    with BatchProcesses(batches, 1) as processes:
        processes.pool.processes[0].send_signal(signal.SIGKILL)
        for epoch in (0, 1):
            (made, *_), expected = processes.read_run(epoch, 0), batches.read(epoch, 0)
            assert same(made, expected)


def broken(images, uniforms):
    raise ValueError("no such thing")


def test_an_error_is_raised_here(stripes):
    batches = Batches(stripes.train, 8, seed=0, augment=Random(broken, 0))
    with BatchProcesses(batches, 1) as processes, pytest.raises(ValueError, match="no such thing"):
        processes.read_run(0, 0)


def test_what_cannot_be_written_leaves_nothing(batches, monkeypatch, tmp_path):
    def full(*arguments, **options):
        raise OSError("disk full")

    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr("kt_tuning.core.pickling.LARGE", 1)
    monkeypatch.setattr(np, "save", full)
    with pytest.raises(StorageError, match="disk full"):
        BatchProcesses(batches, 1)
    assert not list(tmp_path.glob("kt-tuning-*"))
