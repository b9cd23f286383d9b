"""A search of five trials."""

from __future__ import annotations

import pytest
from figure_cases import ROWS, with_records

from kt_tuning.report.run_summary import RunSummary


@pytest.fixture
def few(make_summary) -> RunSummary:
    """Five trials: completed, completed, failed, pruned with the best value, completed."""
    values = [
        {"rate": rate, "units": units, "kind": kind, **({} if depth is None else {"depth": depth})}
        for rate, units, kind, depth, *_ in ROWS
    ]
    run = make_summary([row[4] for row in ROWS], values=values)
    return with_records(run, *({"status": row[5]} for row in ROWS))
