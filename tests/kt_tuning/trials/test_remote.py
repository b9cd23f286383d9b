"""Trials that travel, by an executor that is nothing but a post office."""

import contextlib
import time
from pathlib import Path

import cloudpickle
import keras_tuner
import pytest

from kt_tuning.execution import Executor
from kt_tuning.trials import Decision, TrialSpec
from kt_tuning.trials.remote import RemoteExecutor, Storage


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
        initial_epoch=0,
        origin=None,
        seed=0,
        directory=directory,
        deadline=None,
        least_epochs=0,
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
