import numpy as np
import pytest

from kt_tuning.core.errors import OptionError
from kt_tuning.core.units import check_count, check_share, clock, count, seconds


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90s", 90),
        ("10m", 600),
        ("1h30m", 5400),
        ("2 d", 172_800),
        ("1.5 hours", 5400),
        ("10 min", 600),
        ("45", 45),
        (12.5, 12.5),
        (None, None),
    ],
)
def test_durations(text, expected):
    assert seconds(text) == expected


@pytest.mark.parametrize(
    "text", ["10 bananas", "", "m10", "-5m", "0s", 0, -3, "nan", "inf", "1h x"]
)
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(OptionError, match="time_limit"):
        seconds(text)


@pytest.mark.parametrize(("duration", "text"), [(59.6, "1:00"), (3661, "1:01:01"), (7, "0:07")])
def test_clock(duration, text):
    assert clock(duration) == text


def test_count_agrees_in_number():
    assert [count(1, "trial"), count(1200, "trial"), count(2, "class", "classes")] == [
        "1 trial",
        "1,200 trials",
        "2 classes",
    ]


@pytest.mark.parametrize("value", [3, np.int64(3), np.uint8(3)])
def test_whole_numbers_of_numpy_become_ints(value):
    assert type(check_count("max_trials", value)) is int
    assert check_count("max_trials", value) == 3


@pytest.mark.parametrize("value", [3.0, np.float64(3), True, np.bool_(True), "3", None, 0])
def test_other_values_are_no_counts(value):
    with pytest.raises(OptionError, match="`max_trials` is a whole number, at least 1"):
        check_count("max_trials", value)


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan"), "0.5", True, None])
def test_a_share_is_a_number_from_0_to_1(value):
    assert check_share("part", 0) == 0.0
    with pytest.raises(OptionError, match="`part` should be a number from 0 to 1"):
        check_share("part", value)
