"""The suite for every executor, on a cluster of this machine, and what only clusters go through."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
from recorder import PATIENCE, Recorder, alive, wait_for
from test_executors import (  # noqa: F401
    test_a_driver_without_jobs_ends_at_once,
    test_a_job_that_must_wait_for_another_is_asked_for_again,
    test_every_job_is_run_once,
    test_reports_reach_the_driver_and_its_answer_the_job,
    test_what_work_raises_is_raised,
)
from tiny_models import tiny

from kt_tuning import Tuner
from kt_tuning.core.errors import OptionError
from kt_tuning.execution import Ray, RayExecutor

pytest.importorskip("ray", reason="Ray is not installed: it is the extra `ray`")

STORE = 100 * 2**20
"""Bytes of each node's object store: 100 MiB."""


@pytest.fixture(scope="module")
def cluster():
    """A head with one processor."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        # Ray has its workers wait for whatever else the machine does, which may be for ever.
        patch.setenv("RAY_worker_niceness", "0")
        from ray.cluster_utils import Cluster

        head = {"num_cpus": 1, "object_store_memory": STORE, "include_dashboard": False}
        cluster = Cluster(initialize_head=True, head_node_args=head)
        yield cluster
        cluster.shutdown()


@pytest.fixture
def executor(cluster):
    return RayExecutor(Ray(cluster.address))


def test_a_worker_has_its_threads_and_a_view_of_the_arrays_and_leaves_nothing(executor, tmp_path):
    numbers = np.arange(2**18)
    mapped = np.memmap(tmp_path / "mapped", np.uint8, "w+", shape=2**20)
    mapped[:] = 7

    def work(job, report):
        assert not numbers.flags.writeable, "a copy"
        assert not mapped.flags.writeable, "a copy"
        names = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "CUDA_VISIBLE_DEVICES")
        environment = [os.environ[name] for name in names]
        return environment, int(numbers.sum()), int(mapped.sum()), os.getpid(), tempfile.mkdtemp()

    driver = Recorder([0])
    executor.run(work, driver)
    environment, total, sevens, pid, scratch = driver.results[0]
    assert environment == ["1", "1", "-1"]
    assert (total, sevens) == (2**18 * (2**18 - 1) // 2, 7 * 2**20)
    wait_for(lambda: not alive(pid))
    assert not Path(scratch).exists()


def test_a_worker_that_dies_costs_one_retry_and_always_dying_ends_it(executor, tmp_path):
    def work(job, report):
        if job == "always":
            sys.exit("no more")
        if not (tmp_path / "killed").exists():
            (tmp_path / "killed").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return job

    driver = Recorder(["once", "always"])
    driver.crashed = lambda job, reason: (
        driver.crashes.append((job, reason)) or (driver.crashes.count((job, reason)) < 2)
    )
    executor.run(work, driver)
    assert driver.results == {"once": "once"}
    assert [job for job, _ in driver.crashes] == ["once", "always", "always"]
    assert {reason for _, reason in driver.crashes} == {
        "its worker was lost (The actor is dead because its worker process has died)"
    }


class Unreceivable:
    """Arrives nowhere."""

    def __reduce__(self):
        return int, ("nothing",)


def test_work_that_cannot_be_received_is_an_error_and_not_a_crash(executor):
    unreceivable, driver = Unreceivable(), Recorder([0])
    with pytest.raises(ValueError, match="invalid literal") as caught:
        executor.run(lambda job, report: unreceivable, driver)
    assert driver.crashes == []
    assert "In a worker process" in caught.value.__notes__[0]


def test_work_that_cannot_be_sent_is_an_error(tmp_path):
    with open(tmp_path / "file", "w") as file, pytest.raises(OptionError, match="workers=1"):
        RayExecutor(Ray()).run(lambda job, report: file.name, Recorder([0]))


def test_a_cluster_that_is_not_there_is_an_error():
    with pytest.raises(OptionError, match="ray start --head"):
        RayExecutor(Ray("no address")).run(lambda job, report: job, Recorder([0]))


def test_without_ray_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ImportError, match=r"kt-tuning\[ray\]"):
        RayExecutor(Ray()).run(lambda job, report: job, Recorder([0]))


def test_a_node_that_joins_is_used_and_one_that_is_lost_costs_its_job_a_retry(
    cluster, executor, tmp_path
):
    import ray

    def work(job, report):
        node = ray.get_runtime_context().get_node_id()
        while not (tmp_path / "over").exists():
            report()
            time.sleep(0.05)
        return node

    class Changing(Recorder):
        """Adds a node when job 0 has begun, and removes it when job 1 has begun there."""

        def reported(self, job):
            if not nodes:
                nodes.append(cluster.add_node(num_cpus=1, object_store_memory=STORE))
            if job == 1 and not nodes[1:]:
                nodes.append(None)
                cluster.remove_node(nodes[0], allow_graceful=False)

        def crashed(self, job, reason):
            (tmp_path / "over").touch()
            return super().crashed(job, reason)

    head, nodes = cluster.head_node.node_id, []
    driver = Changing([0, 1], retries=1)
    executor.run(work, driver)
    assert driver.results == {0: head, 1: head}
    assert [job for job, _ in driver.crashes] == [1]


ORPHANS = """
import signal, sys, time
sys.path[:0] = [{here!r}]
# Who runs the tests in the background ignores it.
signal.signal(signal.SIGINT, signal.default_int_handler)
from pathlib import Path
from recorder import Recorder
from kt_tuning.execution import Ray, RayExecutor

def work(job, report):
    import os
    Path({folder!r}, f"{{job}}_{{os.getpid()}}").touch()
    time.sleep(300)

with RayExecutor(Ray({address!r}, cpus=0.5), jobs=1).started() as executor:
    executor.run(work, Recorder([{name!r}]))
"""


def test_workers_end_with_their_driver_however_it_ends(cluster, tmp_path):
    drivers = {}
    for sign in (signal.SIGKILL, signal.SIGINT):
        script = ORPHANS.format(
            here=str(Path(__file__).parent),
            folder=str(tmp_path),
            address=cluster.address,
            name=sign.name,
        )
        drivers[sign] = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.DEVNULL)
    wait_for(lambda: len(list(tmp_path.iterdir())) == 2)
    workers = [int(path.name.rpartition("_")[2]) for path in tmp_path.iterdir()]
    for sign, driver in drivers.items():
        driver.send_signal(sign)
    for driver in drivers.values():
        driver.wait(PATIENCE)
    wait_for(lambda: not any(map(alive, workers)))


class KillOnce(keras.callbacks.Callback):
    """Kills its process at the beginning of a trial's second epoch, once."""

    def __init__(self, mark):
        super().__init__()
        self.mark = mark

    def on_epoch_begin(self, epoch, logs=None):
        with open(f"{self.mark}_epochs", "a") as file:
            file.write(f"{epoch}\n")
        if epoch == 1 and not os.path.exists(self.mark):
            open(self.mark, "w").close()
            os.kill(os.getpid(), signal.SIGKILL)


def test_a_search_finds_what_it_finds_without_a_cluster_though_a_worker_is_killed(
    cluster, stripes, tmp_path
):
    options = {"epochs": 2, "max_trials": 2, "strategy": "random", "seed": 4}
    frames = []
    for name, workers in (("serial", 1), ("ray", Ray(cluster.address))):
        tuner = Tuner(tiny, directory=tmp_path, project_name=name, **options)
        callbacks = [KillOnce(str(tmp_path / "mark"))] if name == "ray" else []
        tuner.search(stripes, workers=workers, callbacks=callbacks, verbose=False)
        frames.append(tuner.results().drop(columns="seconds"))
        assert len(tuner.history()) == 4
    pd.testing.assert_frame_equal(*frames, rtol=1e-4)
    # Not from its beginning.
    assert (tmp_path / "mark_epochs").read_text().split() == ["0", "1", "1", "0", "1"]
    assert not list((tmp_path / "ray").glob("trial_*/checkpoint"))


def test_trials_pause_on_a_cluster_and_the_best_go_on_as_without_one(cluster, stripes, tmp_path):
    options = {"epochs": 9, "max_trials": 9, "strategy": "asha", "seed": 4}
    frames = []
    for name, workers in (("serial", 1), ("ray", Ray(cluster.address))):
        tuner = Tuner(tiny, directory=tmp_path, project_name=name, **options)
        tuner.search(stripes, workers=workers, verbose=False)
        frames.append(tuner.results().drop(columns="seconds"))
    pd.testing.assert_frame_equal(*frames, rtol=1e-4)
    assert set(frames[1]["status"]) == {"COMPLETED", "PRUNED"}
    assert sorted(frames[1]["epochs"])[-1] == 9
