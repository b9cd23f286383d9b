"""Hostile input gives a value that is right, or one of our errors; `benchmarks/fuzz.py` has more.

The kind that needs a run directory is in `test_damaged_runs.py`, which makes one.
"""

from __future__ import annotations

import pytest
from fuzz_kinds import KINDS

from kt_tuning.core.errors import KtTuningError

INPUTS = 40


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"runs"}))
def test_hostile_input_is_read_or_refused(kind, tmp_path):
    outcomes = set()

    def note(case, error):
        if error is not None and not isinstance(error, KtTuningError):
            raise error
        outcomes.add("value" if error is None else "refused")

    (tmp_path / "own").mkdir()
    KINDS[kind](tmp_path / "own").feed_many(INPUTS, tmp_path / "input", note)
    assert outcomes == {"value", "refused"}
