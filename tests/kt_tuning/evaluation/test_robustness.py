"""The table of a metric under corruptions."""

import numpy as np
import pytest

from kt_tuning.core.errors import DataError, OptionError
from kt_tuning.evaluation import corrupt, robustness
from kt_tuning.evaluation.corruptions import CORRUPTIONS
from kt_tuning.evaluation.robustness import Robustness


def model(images):
    """Is the image bright?"""
    bright = images.mean(axis=(1, 2, 3)) > 120
    return np.eye(2)[bright.astype(int)]


@pytest.fixture
def split():
    """20 images, grey levels 100 to 138; those above 120 are bright."""
    levels = 100 + 2 * np.arange(20)
    images = np.repeat(levels.astype(np.uint8), 64).reshape(20, 8, 8, 1)
    return images, (levels > 120).astype(int)


def test_every_cell_is_the_metric_on_corrupted_images(split):
    images, labels = split
    found = robustness(model, images, labels, corruptions=["brightness", "fog"], seed=4)
    assert found.clean == 1.0
    assert (found.images, found.severities) == (20, (1, 2, 3, 4, 5))
    for name, values in found.corrupted.items():
        for severity, value in zip(found.severities, values, strict=True):
            changed = corrupt(images, name, severity, seed=4)
            assert value == (model(changed).argmax(axis=1) == labels).mean()
    # Brightness 5 lifts each level by 76: all 20 seem bright, 9 are.
    assert found.corrupted["brightness"][-1] == 9 / 20


def test_all_corruptions_and_another_metric(split):
    found = robustness(model, *split, severities=[2], metric="log_loss")
    assert list(found.corrupted) == list(CORRUPTIONS)
    assert found.metric == "log_loss"
    assert found.clean == 0.0


def test_means():
    found = Robustness("accuracy", 4, 1.0, (1, 2), {"fog": (0.8, 0.6), "snow": (0.5, 0.1)})
    assert found.mean("fog") == pytest.approx(0.7)
    assert found.mean() == pytest.approx(0.5)


def test_round_trip_and_text(tmp_path):
    found = Robustness(
        "accuracy", 4, 1.0, (1, 2), {"fog": (0.8, 0.6)}, {"pgd": {1.0: 0.5, 8.0: 0.0}}
    )
    found.save(tmp_path / "robustness.json")
    assert Robustness.load(tmp_path / "robustness.json") == found
    assert str(found).splitlines() == [
        "accuracy on 4 images: 1.0000 clean, 0.7000 corrupted on average",
        "corruption       1       2    mean",
        "fog         0.8000  0.6000  0.7000",
        "pgd         accuracy 0.5000 at 1/255, 0.0000 at 8/255",
    ]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"corruptions": ["rain"]}, OptionError, "'rain'"),
        ({"severities": [0]}, OptionError, "Received: 0"),
        ({"corruptions": []}, OptionError, "at least one"),
        ({"metric": "acuracy"}, OptionError, "'acuracy'"),
        ({"labels": np.zeros(3, int)}, DataError, "20 images, 3 labels"),
        ({"images": np.zeros((0, 8, 8, 1), np.uint8), "labels": []}, DataError, "0 images"),
    ],
)
def test_refused(split, options, error, message):
    images, labels = split
    with pytest.raises(error, match=message):
        robustness(model, **{"images": images, "labels": labels, **options})


CORRUPTED = Robustness("accuracy", 20, 0.9, (1,), {"fog": (0.5,)})
ATTACKED = Robustness("accuracy", 20, 0.9, (), {}, {"fgsm": {8.0: 0.25}})


def test_tables_of_the_same_images_complete_each_other():
    both = Robustness("accuracy", 20, 0.9, (1,), {"fog": (0.5,)}, {"fgsm": {8.0: 0.25}})
    assert CORRUPTED.completed_by(ATTACKED) == both
    assert ATTACKED.completed_by(CORRUPTED) == both


def test_what_was_measured_later_counts():
    old = Robustness("accuracy", 20, 0.9, (1,), {"fog": (0.1,)}, {"fgsm": {8.0: 0.0}})
    assert CORRUPTED.completed_by(old).corrupted == {"fog": (0.5,)}
    assert ATTACKED.completed_by(old).adversarial == {"fgsm": {8.0: 0.25}}


@pytest.mark.parametrize("other", [None, Robustness("accuracy", 30, 0.9, (1,), {"fog": (0.5,)})])
def test_other_images_complete_nothing(other):
    assert ATTACKED.completed_by(other) == ATTACKED


def test_attacks_alone_have_no_mean_and_no_table():
    assert np.isnan(ATTACKED.mean())
    assert str(ATTACKED).splitlines() == [
        "accuracy on 20 images: 0.9000 clean",
        "fgsm        accuracy 0.2500 at 8/255",
    ]
