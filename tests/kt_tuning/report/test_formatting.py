from __future__ import annotations

import pytest

from kt_tuning.report.formatting import (
    duration,
    large_number,
    metric_label,
    milliseconds,
    number,
    percent,
    shorten,
    value_text,
)


def test_shorten_leaves_one_line_of_the_width() -> None:
    assert shorten("one\n  two", 7) == "one two"
    assert shorten("one two three", 8) == "one two…"


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("accuracy", "Accuracy"),
        ("val_balanced_accuracy", "Validation balanced accuracy"),
        ("val_roc_auc", "Validation ROC AUC"),
        ("val_f1", "Validation F1"),
        ("log_loss", "Log-loss (nats)"),
    ],
)
def test_metric_label(name: str, label: str) -> None:
    assert metric_label(name) == label


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.71234, "0.7123"),
        (0, "0.0000"),
        (-12.5, "-12.5000"),
        (0.00002, "2.000e-05"),
        (3e9, "3.000e+09"),
        (None, "–"),
        (float("nan"), "–"),
    ],
)
def test_number(value: float | None, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (8.34, "8.3 s"),
        (59.98, "1 min 00 s"),
        (250.2, "4 min 10 s"),
        (3599.9, "1 h 00 min"),
        (7500, "2 h 05 min"),
    ],
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_percent_and_value_text() -> None:
    assert percent(0.7128) == "71.3%"
    assert [value_text(0.00123456789), value_text(64), value_text(None), value_text(True)] == [
        "0.00123457",
        "64",
        "None",
        "True",
    ]


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.4217, "0.42 ms"), (12.34, "12.3 ms"), (1234.4, "1,234 ms")],
)
def test_milliseconds(value: float, expected: str) -> None:
    assert milliseconds(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [(812, "812"), (1250, "1.2 k"), (24.5e6, "24.5 M"), (3.2e9, "3.2 G"), (4e13, "40,000.0 G")],
)
def test_large_number(value: float, expected: str) -> None:
    assert large_number(value) == expected
