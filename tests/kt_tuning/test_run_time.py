"""How a run's time limit is divided."""

import pytest

from kt_tuning.pipeline import timing
from kt_tuning.pipeline.refitted import RunTime


@pytest.fixture
def now(monkeypatch):
    """The clock stands at 110 seconds; the runs began at 100."""
    monkeypatch.setattr(timing.time, "monotonic", lambda: 110.0)


@pytest.mark.parametrize(
    ("limit", "search", "refit"),
    [
        (None, None, None),
        # 60 less 10 before and 24 after the search.
        (60.0, 26.0, 26.0),
        # 40% of the 266 that are left are for training the winner again.
        (300.0, 0.6 * 266, 266.0),
        # What comes after the search takes longer than that: a third is left in any case.
        (20.0, 7.0, 0.0),
    ],
)
def test_the_search_leaves_time_for_what_comes_after_it(now, limit, search, refit):
    clock = RunTime(began=100.0, limit=limit, finishing=24.0)
    assert clock.for_search() == pytest.approx(search)
    assert clock.for_refit() == pytest.approx(refit)
