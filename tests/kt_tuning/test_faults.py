"""A job that is hit by faults again and again ends like one without, or says why it cannot go on.

`KT_TUNING_FAULT_SCHEDULES` is the number of random schedules that are tried, by default a few:

    KT_TUNING_FAULT_SCHEDULES=1000 python -m pytest -s tests/kt_tuning/test_faults.py
"""

from __future__ import annotations

import collections
import contextlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from faults import KINDS, POWER_LOSS, CrashError, Fault, Faults, Image, read, write
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from stub_job import EPOCHS, TRIALS, Job, stubbed

from kt_tuning.core.errors import KtTuningError

FEW = 10
SCHEDULES = int(os.environ.get("KT_TUNING_FAULT_SCHEDULES", FEW))
SNAPSHOTS = 8
"""Power losses at equal distances in a run."""
FAULTS = st.builds(
    Fault,
    st.sampled_from(KINDS),
    at=st.integers(0, 999).map(lambda thousandths: thousandths / 1000),
    seed=st.integers(0, 999),
)
seen: collections.Counter[str] = collections.Counter()


class Schedule:
    """Starts the job again after each fault.

    Args:
        folder: Each start has a folder of its own in it, a copy of what the one before left.
        expected: Results of a job without faults.
        instants: Of such a job.
        calls: Of such a job.
    """

    def __init__(self, folder: Path, expected: dict[str, str], instants: int, calls: int) -> None:
        self._folder = folder
        self._expected = expected
        self._total = {"instants": instants, "calls": calls}
        self._image: Image = {}
        self._starts = 0
        self.epochs = 0

    def start(self, fault: Fault | None = None) -> dict[str, str] | None:
        """Start the job; return its results, or None if the fault has ended it."""
        self._starts += 1
        place = self._folder / str(self._starts)
        write(self._image, place)
        before = finished(self._image)
        job, result = Job(place), None

        def second() -> None:
            with contextlib.suppress(KtTuningError):
                assert Job(place)() == self._expected

        faults = Faults(place, fault, **self._total, second=second)
        expected_errors = (CrashError, KeyboardInterrupt, KtTuningError)
        with contextlib.suppress(*expected_errors if fault else ()), faults.injected():
            result = job()
        assert result == self._expected or (result is None and faults.struck)
        self._image = read(place) if faults.image is None else faults.image
        shutil.rmtree(place)
        after = finished(self._image)
        for trial, content in before.items():
            assert after.get(trial) == content, f"trial {trial} is lost or has changed"
            assert trial not in dict(job.epochs), f"trial {trial} was trained again"
        begun = list(dict.fromkeys(trial for trial, _ in job.epochs))
        assert after.keys() >= set(begun if job.searched else begun[:-1]), "a trial is lost"
        self.epochs += len(job.epochs)
        if fault is not None:
            ended = "not struck" if not faults.struck else "ended" if result is None else "survived"
            seen[f"{fault.kind}: {ended}"] += 1
        return result


def finished(image: Image) -> dict[str, bytes]:
    """Return the readable results of trials by their ids."""
    found = {}
    for name, content in image.items():
        path = Path(name)
        if path.name == "result.json" and content is not None:
            with contextlib.suppress(ValueError):
                assert json.loads(content)["status"] == "COMPLETED", content
                found[path.parent.name.removeprefix("trial_")] = content
    return found


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Iterator[tuple[dict[str, str], int, int]]:
    """Results, instants and calls of a job without faults."""
    with stubbed():
        Job(tmp_path_factory.mktemp("first"))()
        folder = tmp_path_factory.mktemp("whole")
        faults = Faults(folder)
        with faults.injected():
            results = Job(folder)()
        yield results, faults.instants, faults.calls


@pytest.fixture
def make_schedule(whole, tmp_path_factory):
    return lambda: Schedule(tmp_path_factory.mktemp("faults"), *whole)


def run(schedule: Schedule, faults: Sequence[Fault]) -> None:
    """Start the job again after each fault, and to its end."""
    for fault in faults:
        schedule.start(fault)
    assert schedule.start() is not None
    lost = sum(EPOCHS if fault.kind == POWER_LOSS else 1 for fault in faults)
    assert schedule.epochs <= TRIALS * EPOCHS + lost, "more than the running epochs was lost"


@settings(
    max_examples=SCHEDULES,
    deadline=None,
    derandomize=SCHEDULES == FEW,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(faults=st.lists(FAULTS, min_size=1, max_size=3))
def test_the_job_goes_on_after_any_faults(make_schedule, faults):
    run(make_schedule(), faults)
    seen["schedules"] += 1


@pytest.mark.parametrize("number", range(SNAPSHOTS))
def test_a_power_loss_costs_at_most_the_running_epochs(make_schedule, number):
    run(make_schedule(), [Fault(POWER_LOSS, (number + 0.5) / SNAPSHOTS, seed=number)])


def teardown_module():
    print(*(f"{count:6} {what}" for what, count in sorted(seen.items())), sep="\n")
