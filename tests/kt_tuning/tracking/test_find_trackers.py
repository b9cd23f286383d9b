import importlib.util

import pytest
from tracked_runs import Recorder

from kt_tuning.core.errors import MissingExtraError, OptionError
from kt_tuning.tracking import TRACKERS, find_trackers


def test_names_and_trackers_are_found_in_order():
    mine = Recorder()
    assert [tracker.name for tracker in find_trackers(["csv", mine])] == ["csv", "recorder"]
    assert [tracker.name for tracker in find_trackers("tensorboard")] == ["tensorboard"]
    assert find_trackers(None) == []
    assert find_trackers(mine) == [mine]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("neptune", "Unknown tracker 'neptune'. Known: tensorboard, csv, mlflow, wandb"),
        (["csv", "csv"], "'csv' is passed twice"),
    ],
)
def test_wrong_names_are_refused(asked, message):
    with pytest.raises(OptionError, match=message):
        find_trackers(asked)


@pytest.mark.parametrize("name", ["mlflow", "wandb"])
def test_a_missing_extra_is_named(name, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda package: None)
    with pytest.raises(MissingExtraError, match=rf"pip install 'kt-tuning\[{name}\]'"):
        find_trackers(name)


@pytest.mark.parametrize("name", TRACKERS)
def test_each_has_the_name_of_its_row(name):
    if name in ("mlflow", "wandb"):
        pytest.importorskip(name, reason=f"the extra {name} is not installed")
    (tracker,) = find_trackers(name)
    assert tracker.name == name
