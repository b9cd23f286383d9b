"""What only processes can go through."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from recorder import PATIENCE, Recorder, alive, wait_for

from kt_tuning.core.errors import OptionError, SearchError
from kt_tuning.execution import Processes, processes


def started(folder, count):
    """Processes that have left a file named by their id, once there are `count`."""
    wait_for(lambda: len(list(folder.glob("[0-9]*"))) >= count)
    return {int(path.name) for path in folder.glob("[0-9]*")}


def test_processes_run_at_the_same_time_in_processes_of_their_own(tmp_path):
    def work(job, report):
        Path(tmp_path / str(job)).touch()
        patience = time.monotonic() + PATIENCE
        while len(list(tmp_path.glob("[01]"))) < 2 and time.monotonic() < patience:
            time.sleep(0.01)
        return len(list(tmp_path.glob("[01]"))), os.getpid()

    driver = Recorder([0, 1])
    Processes(2, logs=tmp_path / "logs").run(work, driver)
    met, pids = zip(*driver.results.values(), strict=True)
    assert met == (2, 2)
    assert len({*pids, os.getpid()}) == 3
    assert not any(map(alive, pids)), "a worker outlived its executor"


def test_a_worker_that_is_killed_costs_one_retry(tmp_path):
    def work(job, report):
        if job == 1 and not (tmp_path / "killed").exists():
            (tmp_path / "killed").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return job

    driver = Recorder(range(4), retries=1)
    Processes(2, logs=tmp_path / "logs").run(work, driver)
    assert driver.results == {0: 0, 1: 1, 2: 2, 3: 3}
    assert driver.crashes == [(1, "its process was killed by SIGKILL")]


def test_a_job_that_reports_while_its_executor_stops_does_not_fail(tmp_path):
    def work(job, report):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # as if it came a moment later
        try:
            while True:
                report()
        except Exception:
            (tmp_path / "failed").touch()
            raise

    class Interrupted(Recorder):
        def reported(self, job, *news):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Processes(1, logs=tmp_path / "logs").run(work, Interrupted([0]))
    assert not (tmp_path / "failed").exists()


def test_a_job_that_always_kills_its_worker_is_given_up(tmp_path):
    def work(job, report):
        if job == 1:
            os._exit(3)
        return job

    driver = Recorder(range(3), retries=1)
    Processes(1, logs=tmp_path / "logs").run(work, driver)
    assert driver.results == {0: 0, 2: 2}
    assert driver.crashes == [(1, "its process ended with status 3")] * 2


def test_processors_are_shared_out(tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "count_processors", lambda: 6)
    driver = Recorder([0])
    names = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS")
    work = lambda job, report: [os.environ[name] for name in names]  # noqa: E731
    Processes(2, logs=tmp_path / "logs").run(work, driver)
    assert driver.results == {0: ["3", "3"]}


def test_what_workers_print_goes_to_their_logs(tmp_path):
    Processes(1, logs=tmp_path / "logs").run(lambda job, report: print("hello"), Recorder([0]))
    assert (tmp_path / "logs/worker_0.log").read_text() == "hello\n"


def test_work_that_cannot_be_sent_is_an_error(tmp_path):
    with open(tmp_path / "file", "w") as file, pytest.raises(OptionError, match="workers=1"):
        Processes(1, logs=tmp_path).run(lambda job, report: file.name, Recorder([0]))


def test_no_worker_is_refused(tmp_path):
    with pytest.raises(OptionError, match="at least 1 worker"):
        Processes(0, logs=tmp_path)


ORPHANS = """
import signal, sys, time
sys.path[:0] = [{here!r}]
# Who runs the tests in the background ignores it.
signal.signal(signal.SIGINT, signal.default_int_handler)
from pathlib import Path
from recorder import Recorder
from kt_tuning.execution import Processes

def work(job, report):
    import os
    Path({folder!r}, str(os.getpid())).touch()
    time.sleep(300)

Processes(2, logs=Path({folder!r}) / "logs").run(work, Recorder([0, 1]))
"""


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_workers_end_with_their_parent_however_it_ends(sign, tmp_path):
    script = ORPHANS.format(here=str(Path(__file__).parent), folder=str(tmp_path))
    parent = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.DEVNULL)
    pids = started(tmp_path, 2)
    parent.send_signal(sign)
    parent.wait(PATIENCE)
    wait_for(lambda: not any(map(alive, pids)))


@pytest.fixture
def marking(tmp_path, monkeypatch):
    """A module that leaves a file named by its process where it is imported."""
    source = f"import os, pathlib; pathlib.Path({str(tmp_path)!r}, str(os.getpid())).touch()"
    (tmp_path / "marking_module.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    return "marking_module"


def test_workers_start_before_the_work_is_known_and_are_the_ones_that_run(marking, tmp_path):
    executor = Processes(2, logs=tmp_path / "logs", imports=[marking])
    driver = Recorder(range(4))
    with executor.started():
        early = started(tmp_path, 2)
        executor.run(lambda job, report: os.getpid(), driver)
    assert early <= set(driver.results.values()) <= started(tmp_path, 2)
    assert not any(map(alive, started(tmp_path, 2)))


def test_workers_that_are_not_needed_after_all_are_stopped(marking, tmp_path):
    executor = Processes(2, logs=tmp_path / "logs", imports=[marking])
    with executor.started():
        early = started(tmp_path, 2)
    assert not any(map(alive, early))


def test_a_worker_that_dies_before_it_has_work_is_not_missed(marking, tmp_path):
    executor = Processes(1, logs=tmp_path / "logs", imports=[marking])
    driver = Recorder([0])
    with executor.started():
        (early,) = started(tmp_path, 1)
        os.kill(early, signal.SIGKILL)
        os.waitid(os.P_PID, early, os.WEXITED | os.WNOWAIT)
        executor.run(lambda job, report: os.getpid(), driver)
    assert driver.crashes == []
    assert driver.results[0] != early


def test_an_import_that_fails_is_an_error(tmp_path):
    executor = Processes(1, logs=tmp_path / "logs", imports=["no_such_module"])
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        executor.run(lambda job, report: job, Recorder([0]))


class Unreceivable:
    """Arrives nowhere."""

    def __reduce__(self):
        return int, ("nothing",)


def test_work_that_cannot_be_received_is_an_error_and_not_a_crash(tmp_path):
    unreceivable, driver = Unreceivable(), Recorder([0])
    with pytest.raises(ValueError, match="invalid literal") as caught:
        Processes(1, logs=tmp_path / "logs").run(lambda job, report: unreceivable, driver)
    assert driver.crashes == []
    assert "In a worker process" in caught.value.__notes__[0]


def test_an_interpreter_that_does_not_start_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(SearchError, match=r"did not start: .*status 1.* See .*worker_0\.log"):
        Processes(1, logs=tmp_path / "logs").run(lambda job, report: job, Recorder([0]))


class NeedsTwoError(Exception):
    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")


def test_an_error_that_cannot_be_sent_is_told(tmp_path):
    def work(job, report):
        raise NeedsTwoError(1, 2)

    with pytest.raises(SearchError, match="NeedsTwoError: 1 and 2"):
        Processes(1, logs=tmp_path / "logs").run(work, Recorder([0]))


def test_workers_share_the_arrays_and_nothing_is_left_of_them(tmp_path):
    numbers = np.arange(2**19)
    (tmp_path / "logs/shared").mkdir(parents=True)
    (tmp_path / "logs/shared/9.npy").touch()  # of a search that was killed

    def work(job, report):
        shared = [path.name for path in tmp_path.glob("logs/shared/*")]
        return shared, type(numbers.base).__name__, numbers.flags.writeable, int(numbers.sum())

    driver = Recorder([0, 1])
    Processes(2, logs=tmp_path / "logs").run(work, driver)
    assert driver.results == dict.fromkeys([0, 1], (["0.npy"], "memmap", False, numbers.sum()))
    assert not (tmp_path / "logs/shared").exists()


def test_nothing_is_left_of_shared_arrays_after_an_exception(tmp_path):
    numbers = np.arange(2**19)

    def work(job, report):
        raise ValueError(numbers.sum())

    with pytest.raises(ValueError, match=str(numbers.sum())):
        Processes(1, logs=tmp_path / "logs").run(work, Recorder([0]))
    assert not (tmp_path / "logs/shared").exists()


def test_each_worker_gets_a_gpu_of_its_own(tmp_path, monkeypatch):
    smi = tmp_path / "nvidia-smi"
    smi.write_text("#!/bin/sh\necho 0, GPU-a, 8192\necho 1, GPU-b, 8192\n")
    smi.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    def work(job, report):
        if job == 0 and not (tmp_path / "killed").exists():
            (tmp_path / "killed").touch()
            os._exit(1)
        (tmp_path / f"job_{job}").touch()
        while not (tmp_path / "job_0").exists():
            time.sleep(0.01)
        return os.environ["CUDA_VISIBLE_DEVICES"]

    driver = Recorder([0, 1], retries=1)
    Processes(2, logs=tmp_path / "logs").run(work, driver)
    assert driver.results == {0: "0", 1: "1"}
