"""A search over the recipe: policy, MixUp and CutMix, wherever trials run."""

import json

import pandas as pd

from hypermodels import ConvNet
from kt_tuning import Recipe

RECIPE = Recipe(batch_size=(8, 16), augment="search", mixup=(0.0, 0.4), cutmix=(1.0, 0.0))


def search(make_tuner, stripes, workers):
    hypermodel = ConvNet(stripes.input_shape, stripes.classes, stages=1, filters=4)
    tuner = make_tuner(hypermodel, recipe=RECIPE, project_name=f"workers_{workers}", seed=2)
    tuner.search(stripes, workers=workers)
    return tuner


def test_a_searched_recipe_is_found_again_by_workers(make_tuner, stripes):
    tuners = [search(make_tuner, stripes, workers) for workers in (1, 2)]
    one, two = (tuner.results() for tuner in tuners)
    pd.testing.assert_frame_equal(
        one.drop(columns="seconds"), two.drop(columns="seconds"), rtol=1e-4
    )
    assert list(one["status"]) == ["COMPLETED"] * 2
    # trial 0 has the defaults: the first of each
    assert one[["hp/batch_size", "hp/mixup", "hp/cutmix"]].iloc[0].tolist() == [8, 0.0, 1.0]
    assert any(name.startswith("hp/augment_") for name in one.columns)
    for record in tuners[0].run_directory.glob("trial_*/result.json"):
        values = json.loads(record.read_text())["values"]
        assert {"mixup", "cutmix", "batch_size"} <= values.keys()
    history = tuners[1].history()
    assert len(history) == 2 * 2
    assert history["data_wait"].between(0, 1).all()
    assert history["accuracy"].between(0, 1).all()
