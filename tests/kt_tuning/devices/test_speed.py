"""The speed of the machine beside the one that estimates are of."""

import pytest

from kt_tuning.devices import speed


@pytest.mark.parametrize(
    ("limit", "expected"), [(None, 1.0), (900.0, 1.0), (899.0, 3.0), (10.0, 3.0)]
)
def test_only_for_short_limits_is_it_measured(limit, expected, monkeypatch):
    monkeypatch.setattr(speed, "_measured", lambda: 3.0)
    monkeypatch.setattr(speed, "_network_measured", lambda: 3.0)
    assert speed.slowness(limit) == speed.network_slowness(limit) == expected


@pytest.mark.parametrize("measured", [speed._measured, speed._network_measured])
def test_a_faster_machine_counts_as_equally_fast(measured, monkeypatch):
    monkeypatch.setattr(speed.time, "monotonic", lambda: 110.0)
    assert measured.__wrapped__() == 1.0
