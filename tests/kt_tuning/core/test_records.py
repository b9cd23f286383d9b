import dataclasses
import json
import math

import numpy as np
import pytest

from kt_tuning.core.errors import StorageError
from kt_tuning.core.json_record import read_json, write_json
from kt_tuning.core.records import (
    DataCard,
    PixelFormat,
    SearchRecord,
    TrialRecord,
    first_trial_failure,
    pareto_records,
)
from kt_tuning.ensembling import EnsembleRecord

CARD = DataCard("abc", ("a", "b"), PixelFormat(8, 9, 3), {"train": [1, 2]}, "photos")
TRIAL = TrialRecord("0", 0, "FAILED", {"x": 1}, {"val_loss": 0.5}, 0, 1, 2.5, 10, "why")
SEARCH = SearchRecord("val_loss", "min", "random", 0, 1, 1, None, "ConvNet", {})
ENSEMBLE = EnsembleRecord(("0", "1"), (0.5, 0.5), "mean", {"mean": 0.1}, (0.9, 0.8))


@pytest.mark.parametrize(
    "record", [CARD, TRIAL, ENSEMBLE], ids=lambda record: type(record).__name__
)
def test_round_trip(record, tmp_path):
    record.save(tmp_path / "record.json")
    assert type(record).load(tmp_path / "record.json") == record


def test_fields_of_later_versions_are_ignored():
    content = {**TRIAL.to_json(), "from_the_future": 1}
    assert TrialRecord.from_json(content) == TRIAL


def test_a_missing_field_is_named(tmp_path):
    write_json(tmp_path / "trial.json", {"trial_id": "0"})
    with pytest.raises(StorageError, match=r"trial\.json is not a TrialRecord.*number"):
        TrialRecord.load(tmp_path / "trial.json")


def test_not_a_number_becomes_null(tmp_path):
    write_json(tmp_path / "a.json", {"a": math.nan, "b": [np.float32(math.inf), np.int64(3)]})
    assert json.loads((tmp_path / "a.json").read_text()) == {"a": None, "b": [None, 3]}


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})

    def fail(*args):
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_json(path, {"a": 2})
    assert read_json(path) == {"a": 1}
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("text", ["{", "[1]", ""])
def test_what_is_no_json_object_is_refused(text, tmp_path):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(StorageError, match=r"a\.json"):
        read_json(tmp_path / "a.json")


@pytest.mark.parametrize(
    ("defaults_first", "expected"),
    [
        (
            True,
            "Trial 0, the default configuration, failed: why\n"
            "The best trial cannot be compared with the defaults.",
        ),
        (
            False,
            "Trial 0, the first of the starting points for these images, failed: why\n"
            "The search continued with the others.",
        ),
    ],
)
def test_the_failure_of_trial_0_is_told_for_what_it_was(defaults_first, expected):
    search = dataclasses.replace(SEARCH, defaults_first=defaults_first)
    assert first_trial_failure([TRIAL], search) == expected


def test_a_later_trial_may_fail():
    assert first_trial_failure([dataclasses.replace(TRIAL, number=1)], SEARCH) is None


def test_the_pareto_set_are_the_records_that_none_dominates():
    def record(trial_id, **metrics):
        return dataclasses.replace(TRIAL, trial_id=trial_id, metrics=metrics)

    records = [
        record("best", accuracy=0.9, flops=30.0),
        record("slower", accuracy=0.9, flops=31.0),
        record("small", accuracy=0.5, flops=10.0),
        record("equal", accuracy=0.5, flops=10.0),
        record("worse", accuracy=0.4, flops=20.0),
        record("unmeasured", accuracy=1.0),
    ]
    found = pareto_records(records, [("accuracy", "max"), ("flops", "min")])
    assert [one.trial_id for one in found] == ["best", "small", "equal"]
