from __future__ import annotations

import operator
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kt_tuning.core.errors import KtTuningError
from kt_tuning.data.worker_pool import map_in_order


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
