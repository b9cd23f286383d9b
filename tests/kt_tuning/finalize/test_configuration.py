"""What is trained again."""

import dataclasses

import pytest
from stripe_models import RECIPE, configured
from tiny_models import tiny

from kt_tuning import Recipe
from kt_tuning.core.errors import OptionError, SearchError
from kt_tuning.finalize.configuration import Configuration


def test_the_best_trial_of_a_search(make_tuner, stripes):
    tuner = make_tuner(recipe=RECIPE, objective="val_loss", epochs=3, seed=5, strategy="random")
    with pytest.raises(SearchError, match="at least 1 completed trial"):
        Configuration.of(tuner)
    tuner.search(stripes, verbose=False)
    for rank in range(2):
        found = Configuration.of(tuner, rank)
        assert dict(found.values) == tuner.get_best_hyperparameters(2)[rank].values
    assert (found.epochs, found.seed, found.objective.name) == (3, 5, "val_loss")
    assert found.recipe is RECIPE
    assert found.hypermodel is tuner.hypermodel
    with pytest.raises(SearchError, match="at least 3 completed trials"):
        Configuration.of(tuner, 2)


def test_values_go_into_the_build():
    configuration = configured(values={"units": 7})
    hp = configuration.hyperparameters(**{"bag/member": 3})
    assert configuration.hypermodel.build(hp).layers[2].units == 7
    assert hp.values["rate"] == 0.003, "the default"
    assert hp.values["bag/member"] == 3


def test_another_recipe_may_replace_the_first():
    found = dataclasses.replace(configured(), recipe=Recipe(mixup=0.2))
    assert found.hypermodel.recipe.mixes
    assert found.hypermodel.wrapped is not found.hypermodel


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "epochs"),
        ({"seed": -1}, "seed"),
        ({"objective": "val_acuracy"}, "val_acuracy"),
        ({"hypermodel": 3}, "hypermodel"),
    ],
)
def test_what_is_refused(options, message):
    with pytest.raises(OptionError, match=message):
        Configuration(**{"hypermodel": tiny, **options})
