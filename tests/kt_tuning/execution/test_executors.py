"""One suite for every executor."""

import logging

import pytest
from recorder import Recorder

from kt_tuning.core.errors import SearchError
from kt_tuning.execution import Processes, Serial, crash_hint


@pytest.fixture(params=["serial", "processes"])
def executor(request, tmp_path):
    return Serial() if request.param == "serial" else Processes(2, logs=tmp_path / "logs")


def test_every_job_is_run_once(executor):
    driver = Recorder(range(5))
    executor.run(lambda job, report: job**2, driver)
    assert driver.results == {0: 0, 1: 1, 2: 4, 3: 9, 4: 16}


def test_reports_reach_the_driver_and_its_answer_the_job(executor):
    def count(job, report):
        done = 0
        while done < 10 and report(done, "so far"):
            done += 1
        return done

    driver = Recorder(["a"], go_on=lambda job, done, text: done < 3)
    executor.run(count, driver)
    assert driver.results == {"a": 3}
    assert driver.news == [("a", n, "so far") for n in range(4)]


def test_what_work_raises_is_raised(executor):
    def fail(job, report):
        raise SearchError(f"no luck with {job}")

    with pytest.raises(SearchError, match="no luck with 7"):
        executor.run(fail, Recorder([7]))


def test_warnings_are_logged_here_wherever_work_is_done(executor, caplog):
    def warn(job, report):
        logging.getLogger("kt_tuning").warning("beware of %s", job, extra={"once": "beware"})

    executor.run(warn, Recorder(["a"]))
    (record,) = caplog.records
    assert (record.getMessage(), record.name, record.once) == ("beware of a", "kt_tuning", "beware")


def test_a_driver_without_jobs_ends_at_once(executor):
    driver = Recorder([])
    executor.run(lambda job, report: job, driver)
    assert driver.results == {}


def test_a_job_that_must_wait_for_another_is_asked_for_again(executor):
    driver = Recorder([0])
    after = {0: [1, 2], 1: [3]}

    def finished(job, result):
        driver.results[job] = result
        driver.jobs += after.get(job, [])

    driver.finished = finished
    executor.run(lambda job, report: -job, driver)
    assert sorted(driver.results) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("reason", "memory", "native"),
    [
        ("its process was killed by SIGKILL", True, False),
        ("its process was killed by SIGSEGV", False, True),
        ("its process was killed by SIGILL", False, True),
        ("its process was killed by SIGABRT", False, True),
        ("its process was killed by SIGBUS", False, True),
        ("its process ended with status 1", True, True),
    ],
)
def test_crash_hint_depends_on_the_signal(reason, memory, native):
    text = crash_hint(reason)
    assert ("fewer workers" in text) is memory
    assert ("TF_ENABLE_ONEDNN_OPTS=0" in text) is native
    assert text[0].isupper()
    assert text.endswith(".")
