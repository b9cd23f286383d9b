"""Trials on other machines, snapshots of their folders, and storages."""

import contextlib
import os
import time
from pathlib import Path

import cloudpickle
import keras_tuner
import pytest

from kt_tuning.core.errors import MissingExtraError, OptionError, StorageError
from kt_tuning.execution import Executor
from kt_tuning.trials import Decision, TrialSpec
from kt_tuning.trials.remote import (
    Changes,
    RemoteExecutor,
    Storage,
    Watch,
    open_storage,
    read_folder,
)


class WorkerLostError(BaseException):
    """What `work` raises to have its worker die."""


class PostOffice(Executor):
    """Runs jobs here, one after the other, but sends everything by pickle."""

    workers = 3

    def run(self, work, driver):
        work = cloudpickle.loads(cloudpickle.dumps(work))
        post = lambda thing: cloudpickle.loads(cloudpickle.dumps(thing))  # noqa: E731
        while (job := driver.next_job()) is not None:
            again = True
            while again:
                report = lambda *news, job=job: post(driver.reported(job, *post(news)))  # noqa: E731
                try:
                    result = post(work(post(job), report))
                except WorkerLostError as error:
                    again = driver.crashed(job, str(error))
                else:
                    driver.finished(job, result)
                    again = False


class Decider:
    """A driver of one trial."""

    def __init__(self, spec, retries=0):
        self.specs, self.retries = [spec], retries
        self.news, self.results, self.crashes = [], [], []

    def next_job(self):
        return self.specs.pop() if self.specs else None

    def reported(self, job, *news):
        home = {path.name: path.read_text() for path in sorted(job.directory.glob("*.txt"))}
        self.news.append((*news, home))
        return Decision.STOP if news == (3,) else Decision.CONTINUE

    def finished(self, job, result):
        self.results.append((job, result))

    def crashed(self, job, reason):
        self.crashes.append(reason)
        return len(self.crashes) <= self.retries


@pytest.fixture
def spec(tmp_path):
    directory = tmp_path / "trial_7"
    directory.mkdir()
    return TrialSpec(
        trial_id="7",
        number=7,
        hp=keras_tuner.HyperParameters(),
        epochs=9,
        seed=0,
        directory=directory,
    )


@pytest.fixture(params=[False, True], ids=["at home", "in a storage"])
def storage(request, tmp_path):
    if not request.param:
        return None
    pytest.importorskip("fsspec", reason="fsspec is not installed: it is in the extra `ray`")
    return Storage(str(tmp_path / "storage"))


def count(spec, report):
    """Write a file an epoch until it is told to stop; goes on where it was."""
    done = len(list(spec.directory.glob("*.txt")))
    advice = Decision.CONTINUE
    while advice is Decision.CONTINUE:
        done += 1
        (spec.directory / f"{done}.txt").write_text("done")
        advice = report(done)
    return str(spec.directory)


def test_files_come_home_with_each_report_and_the_answer_arrives(spec):
    driver = Decider(spec)
    RemoteExecutor(PostOffice()).run(count, driver)
    files = {f"{n}.txt": "done" for n in (1, 2, 3)}
    assert [news for news, _ in driver.news] == [1, 2, 3]
    assert driver.news[1][1] == {"1.txt": "done", "2.txt": "done"}
    ((job, where),) = driver.results
    assert job is spec
    assert {path.name: path.read_text() for path in spec.directory.iterdir()} == files
    assert where != str(spec.directory)
    assert not Path(where).exists()


def test_with_a_storage_files_come_home_at_the_end_and_leave_nothing_there(spec, tmp_path):
    driver = Decider(spec)
    RemoteExecutor(PostOffice(), Storage(str(tmp_path / "storage"))).run(count, driver)
    assert [home for _, home in driver.news] == [{}, {}, {}]
    assert sorted(path.name for path in spec.directory.iterdir()) == ["1.txt", "2.txt", "3.txt"]
    assert not list((tmp_path / "storage").iterdir())


def test_a_second_attempt_goes_on_where_the_first_one_was_lost(spec, storage, tmp_path):
    mark = tmp_path / "lost"

    def work(spec, report):
        def tell(done):
            advice = report(done)
            if done == 2 and not mark.exists():
                mark.touch()
                raise WorkerLostError("gone")
            return advice

        return count(spec, tell)

    driver = Decider(spec, retries=1)
    RemoteExecutor(PostOffice(), storage).run(work, driver)
    assert [news for news, _ in driver.news] == [1, 2, 3]
    assert (driver.crashes, len(driver.results)) == (["gone"], 1)


def test_an_interrupted_search_goes_on_where_it_was(spec, storage):
    def interrupted(spec, report):
        count(spec, lambda done: report(done) if done < 3 else Decision.STOP)
        raise KeyboardInterrupt

    with contextlib.suppress(KeyboardInterrupt):
        RemoteExecutor(PostOffice(), storage).run(interrupted, Decider(spec))
    driver = Decider(spec)
    RemoteExecutor(PostOffice(), storage).run(count, driver)
    assert [news for news, _ in driver.news] == [3]


def test_a_trial_that_is_given_up_leaves_nothing_in_the_storage(spec, tmp_path):
    def work(spec, report):
        (spec.directory / "1.txt").write_text("done")
        report(1)
        raise WorkerLostError("gone")

    driver = Decider(spec)
    RemoteExecutor(PostOffice(), Storage(str(tmp_path / "storage"))).run(work, driver)
    assert (driver.crashes, driver.results) == (["gone"], [])
    assert not list((tmp_path / "storage").iterdir())


def test_the_origin_and_the_time_that_is_left_travel_along(spec, tmp_path):
    import dataclasses

    origin = tmp_path / "trial_1"
    origin.mkdir()
    (origin / "model.weights.h5").write_text("weights")
    driver = Decider(dataclasses.replace(spec, origin=origin, deadline=time.monotonic() + 1000))

    def work(spec, report):
        left = spec.deadline - time.monotonic()
        return left, str(spec.origin), (spec.origin / "model.weights.h5").read_text()

    RemoteExecutor(PostOffice()).run(work, driver)
    left, where, content = driver.results[0][1]
    assert 990 < left <= 1000
    assert where != str(origin)
    assert content == "weights"


def test_it_has_as_many_workers_as_who_runs_them():
    assert RemoteExecutor(PostOffice()).workers == 3


@pytest.fixture(params=["directory", "file", "memory"])
def place(request, tmp_path):
    pytest.importorskip("fsspec", reason="fsspec is not installed: it is in the extra `ray`")
    if request.param == "directory":
        return str(tmp_path / "shared")
    return f"file://{tmp_path}/shared" if request.param == "file" else f"memory://{tmp_path}"


def test_a_folder_is_kept_changed_and_removed(place, tmp_path):
    storage = open_storage(place, tmp_path)
    assert storage.read("trial_0") == {}
    storage.write("trial_0", Changes({"history.csv": b"1", "checkpoint/last.npz": b"a"}))
    storage.write("trial_0", Changes({"history.csv": b"2"}, ("checkpoint/last.npz", "no such")))
    storage.write("trial_1", Changes({"other": b""}))
    assert storage.read("trial_0") == {"history.csv": b"2"}
    storage.remove("trial_0")
    storage.remove("trial_0")
    assert storage.read("trial_0") == {}
    assert storage.read("trial_1") == {"other": b""}


def test_a_run_finds_its_part_again_and_a_new_run_of_that_name_has_another(place, tmp_path):
    old, new = tmp_path / "old/run", tmp_path / "new/run"
    old.mkdir(parents=True)
    new.mkdir(parents=True)
    open_storage(place, old).write("trial_0", Changes({"a": b""}))
    assert open_storage(place, old).read("trial_0") == {"a": b""}
    assert open_storage(place, new).read("trial_0") == {}


def test_a_place_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="Choose another"):
        open_storage(str(tmp_path / "file"), tmp_path)


def test_urls_that_fsspec_does_not_know_are_errors(tmp_path):
    pytest.importorskip("fsspec", reason="fsspec is not installed: it is in the extra `ray`")
    with pytest.raises(OptionError, match="nonsense://bucket"):
        open_storage("nonsense://bucket", tmp_path)


def test_a_url_that_needs_another_package_says_which(tmp_path, monkeypatch):
    pytest.importorskip("fsspec", reason="fsspec is not installed: it is in the extra `ray`")
    monkeypatch.setitem(__import__("sys").modules, "s3fs", None)
    with pytest.raises(MissingExtraError, match="s3fs"):
        open_storage("s3://bucket/folder", tmp_path)


def tree(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_what_is_written_changed_and_removed_happens_elsewhere(tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    (here / "checkpoint").mkdir(parents=True)
    (here / "history.csv").write_bytes(b"1")
    (here / "checkpoint/last.npz").write_bytes(b"a")
    Changes(read_folder(here)).apply(there)
    watch = Watch(here)
    (here / "history.csv").write_bytes(b"1 2")
    (here / "result.json").write_bytes(b"{}")
    (here / "checkpoint/last.npz").unlink()
    changes = watch.changes()
    assert changes.written == {"history.csv": b"1 2", "result.json": b"{}"}
    changes.apply(there)
    assert tree(there) == {"history.csv": b"1 2", "result.json": b"{}"}
    assert not (there / "checkpoint").exists()
    assert watch.changes() == Changes()


def test_a_file_that_is_replaced_within_a_tick_of_the_clock_has_changed(tmp_path):
    path, new = tmp_path / "last.npz", tmp_path / "new"
    path.write_bytes(b"a")
    watch = Watch(tmp_path)
    status = path.stat()
    new.write_bytes(b"b")
    os.utime(new, ns=(status.st_atime_ns, status.st_mtime_ns))
    os.replace(new, path)
    assert watch.changes().written == {"last.npz": b"b"}


def test_files_come_in_the_order_in_which_they_were_written_and_commits_last(tmp_path):
    (tmp_path / "checkpoint").mkdir()
    names = [
        "result.json",
        "checkpoint/runs.json",
        "checkpoint/last.npz",
        "z",
        "checkpoint/best.npz",
    ]
    for moment, name in enumerate(names):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, ns=(moment, moment))
    expected = ["z", "checkpoint/best.npz", "checkpoint/last.npz", "checkpoint/runs.json"]
    assert list(read_folder(tmp_path)) == [*expected, "result.json"]


def test_what_is_not_whole_yet_stays(tmp_path):
    (tmp_path / "writing.last.npz").touch()
    assert read_folder(tmp_path) == {}
    assert read_folder(tmp_path / "missing") == {}
