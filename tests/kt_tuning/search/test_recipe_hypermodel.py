import pytest
from tiny_models import tiny

from hypermodels import MLP, ConvNet, Families
from kt_tuning import Recipe
from kt_tuning.core.records import SearchRecord
from kt_tuning.search.recipe_hypermodel import RecipeHyperModel

FAMILIES = Families({"wide": MLP((8, 8, 1), 2), "convnet": ConvNet((8, 8, 1), 2)})


@pytest.mark.parametrize(
    ("hypermodel", "title"),
    [(ConvNet((8, 8, 1), 2), "ConvNet"), (FAMILIES, "Families(wide, convnet)"), (tiny, "tiny")],
)
def test_a_hypermodel_is_called_by_its_class_function_or_families(hypermodel, title):
    assert RecipeHyperModel(hypermodel, Recipe()).title == title


def test_the_runs_record_says_which_families(make_tuner, stripes):
    small = Families({name: MLP((8, 8, 1), 2, stages=1, units=4) for name in ("one", "two")})
    tuner = make_tuner(small, max_trials=1, epochs=1)
    tuner.search(stripes, verbose=False)
    record = SearchRecord.load(tuner.run_directory / "search.json")
    assert record.hypermodel == "Families(one, two)"
