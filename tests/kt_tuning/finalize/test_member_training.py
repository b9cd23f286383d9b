"""Members are kept, taken up again, and not mistaken for others."""

import logging

import numpy as np
import pytest
from stripe_models import configured

from kt_tuning import Recipe
from kt_tuning.core.errors import OptionError, SearchError, StorageError
from kt_tuning.data import ImageData
from kt_tuning.finalize import bag, boost, member_training


@pytest.fixture
def interrupt(monkeypatch):
    """A function that has the user press Ctrl-C after so many epochs."""
    shown = member_training.SearchDisplay.epoch_ended

    def after(epochs):
        heard = []

        def epoch_ended(self, number, progress):
            shown(self, number, progress)
            heard.append(progress)
            if len(heard) == epochs:
                raise KeyboardInterrupt

        monkeypatch.setattr(member_training.SearchDisplay, "epoch_ended", epoch_ended)

    return after


def predictions(candidates):
    return {member.name: member.predictions for member in candidates.members}


def test_an_interrupted_member_goes_on_where_it_was(stripes, tmp_path, interrupt, caplog):
    whole = predictions(bag(configured(), stripes, tmp_path / "whole", members=2, verbose=False))
    interrupt(3)
    with caplog.at_level(logging.WARNING), pytest.raises(KeyboardInterrupt):
        bag(configured(), stripes, tmp_path / "cut", members=2, verbose=False)
    assert "1 finished members are kept" in caplog.text
    interrupt(None)
    again = predictions(bag(configured(), stripes, tmp_path / "cut", members=2, verbose=False))
    assert again.keys() == whole.keys() == {"bag/0000", "bag/0001"}
    for name, expected in whole.items():
        np.testing.assert_array_equal(again[name], expected)

    # What is done is not done again.
    interrupt(1)
    found = predictions(bag(configured(), stripes, tmp_path / "cut", members=1, verbose=False))
    assert found.keys() == {"bag/0000"}

    # Anything else is not mistaken for it.
    others = ImageData.from_arrays(255 - stripes.pixels, stripes.labels)
    for data, configuration, message in (
        (others, configured(), "other data"),
        (stripes, configured(epochs=3), "epochs=2, now 3"),
        (stripes, configured(values={"rate": 0.01}), "rate=0.03, now 0.01"),
        (stripes, configured(seed=2), "seed=1, now 2"),
        (stripes, configured(recipe=Recipe(batch_size=6)), 'recipe="Recipe'),
    ):
        with pytest.raises(StorageError, match=message):
            bag(configuration, data, tmp_path / "cut", verbose=False)
    with pytest.raises(StorageError, match="kind='bag', now 'boost'"):
        boost(configured(), stripes, tmp_path / "cut", verbose=False)


def test_an_interruption_before_the_first_member_is_done(stripes, tmp_path, interrupt):
    interrupt(1)
    with pytest.raises(KeyboardInterrupt):
        bag(configured(), stripes, tmp_path, members=2, verbose=False)
    assert (tmp_path / "trial_0000" / "checkpoint").is_dir()


def test_members_do_not_mix_with_a_search(stripes, make_tuner):
    tuner = make_tuner(max_trials=1, epochs=1)
    tuner.search(stripes, verbose=False)
    with pytest.raises(StorageError, match="a folder of their own"):
        bag(configured(), stripes, tuner.run_directory, verbose=False)


def test_members_that_fail(stripes, tmp_path):
    import keras_tuner
    from tiny_models import tiny

    class Failing(keras_tuner.HyperModel):
        faulty = True

        def build(self, hp):
            return tiny(hp)

        def fit(self, hp, model, *args, **kwargs):
            if self.faulty:
                raise ValueError("out of luck")
            return super().fit(hp, model, *args, **kwargs)

    with pytest.raises(SearchError, match=r"All 2 members failed.*out of luck"):
        bag(configured(Failing()), stripes, tmp_path, members=2, verbose=False)
    # Once the fault is mended they are trained again.
    Failing.faulty = False
    found = bag(configured(Failing()), stripes, tmp_path, members=2, verbose=False)
    assert sorted(member.name for member in found.members) == ["bag/0000", "bag/0001"]
    assert (tmp_path / "trial_0000" / "failed_1.json").exists()


def test_a_model_for_other_images(tmp_path):
    rng = np.random.default_rng(0)
    wide = ImageData.from_arrays(rng.integers(0, 255, (30, 8, 9, 1), np.uint8), np.arange(30) % 2)
    with pytest.raises(OptionError, match="the data need"):
        bag(configured(), wide, tmp_path, verbose=False)
