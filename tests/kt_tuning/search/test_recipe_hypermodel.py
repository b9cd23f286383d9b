"""The wrapper of hypermodels, and finding their search space with few builds."""

import keras
import keras_tuner
import pytest
from keras_tuner.oracles import RandomSearchOracle
from tiny_models import tiny

from hypermodels import MLP, ConvNet, Families
from kt_tuning import Recipe
from kt_tuning.core.records import SearchRecord
from kt_tuning.search.recipe_hypermodel import RecipeHyperModel, discover_space

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


def listed(oracle):
    return [(type(entry), entry.get_config()) for entry in oracle.get_space().space]


def by_name(oracle):
    return sorted(listed(oracle), key=lambda entry: str(entry[1]))


def stock(hypermodel, tmp_path):
    """The oracle of KerasTuner's own tuner."""
    oracle = RandomSearchOracle(objective="val_loss", seed=0)
    keras_tuner.Tuner(oracle, hypermodel, directory=tmp_path)
    return oracle


def ours(hypermodel):
    oracle = RandomSearchOracle(objective="val_loss", seed=0)
    discover_space(hypermodel, oracle)
    return oracle


class Counted(keras_tuner.HyperModel):
    """A function as a hypermodel; counts its builds."""

    def __init__(self, function):
        super().__init__()
        self.function = function
        self.builds = 0

    def build(self, hp):
        self.builds += 1
        self.function(hp)
        return keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])


def guarded(hp):
    """What is asked for under a condition comes to light only where that holds."""
    if hp.Boolean("deep"):
        with hp.conditional_scope("deep", [True]):
            hp.Int("depth", 2, 5)
            if hp.Choice("kind", ["a", "b", "c"]) == "c":
                with hp.conditional_scope("kind", ["c"]):
                    hp.Float("share", 0.0, 1.0)
            else:
                with hp.conditional_scope("kind", ["c"]):
                    pass
    else:
        with hp.conditional_scope("deep", [True]):
            pass
    optimizer = hp.Choice("optimizer", ["sgd", "adam", "lion"])
    for name in ("sgd", "adam", "lion"):
        with hp.conditional_scope("optimizer", [name]):
            if optimizer == name:
                hp.Float(f"{name}_rate", 1e-4, 1e-1, sampling="log")


def test_a_conditional_function_has_the_space_that_keras_tuner_finds(tmp_path):
    expected = stock(Counted(guarded), tmp_path)
    model = Counted(guarded)
    assert by_name(ours(model)) == by_name(expected)
    assert {entry.name for entry in expected.get_space().space} >= {"share", "lion_rate"}
    # with the defaults; adam, deep; lion, deep and c
    assert model.builds == 3


def test_many_independent_conditions_take_two_builds(tmp_path):
    def build(hp):
        for number in range(6):
            if hp.Boolean(f"with_{number}"):
                with hp.conditional_scope(f"with_{number}", [True]):
                    hp.Int(f"size_{number}", 1, 9)
            else:
                with hp.conditional_scope(f"with_{number}", [True]):
                    pass

    model = Counted(build)
    assert by_name(ours(model)) == by_name(stock(Counted(build), tmp_path))
    assert model.builds == 2


def test_conditions_that_do_not_go_together_are_tried_one_by_one(tmp_path):
    def build(hp):
        on = [hp.Boolean(f"with_{number}") for number in range(3)]
        if sum(on) > 1:
            raise ValueError("one at a time")
        for number, chosen in enumerate(on):
            with hp.conditional_scope(f"with_{number}", [True]):
                if chosen:
                    hp.Int(f"size_{number}", 1, 9)

    assert by_name(ours(Counted(build))) == by_name(stock(Counted(build), tmp_path))


def test_a_build_that_always_fails_says_so():
    def build(hp):
        raise ValueError("no such backbone")

    with pytest.raises(ValueError, match="no such backbone"):
        ours(Counted(build))


@pytest.mark.parametrize(
    "hypermodel",
    [
        MLP((4, 4, 1), 2, space="wide"),
        ConvNet((8, 8, 1), 2, stages=1, filters=4, loss="cross_entropy", regularizer="l2"),
        Families({"one": MLP((4, 4, 1), 2, optimizer="sgd"), "two": MLP((4, 4, 1), 2)}),
    ],
    ids=lambda hypermodel: type(hypermodel).__name__,
)
def test_a_hypermodel_that_asks_for_everything_is_built_once(hypermodel, tmp_path):
    wrapped = RecipeHyperModel(hypermodel, Recipe(batch_size=(16, 32)))
    assert hypermodel.asks_everything
    assert listed(ours(wrapped)) == listed(stock(wrapped, tmp_path))


def test_families_with_a_member_that_asks_for_some_are_explored(tmp_path):
    def make():
        return Families({"mlp": MLP((4, 4, 1), 2, optimizer="sgd"), "own": Counted(guarded)})

    assert not make().asks_everything
    assert by_name(ours(make())) == by_name(stock(make(), tmp_path))


def test_what_was_fixed_in_advance_stays(tmp_path):
    hp = keras_tuner.HyperParameters()
    hp.Fixed("stages", 1)
    oracle = RandomSearchOracle(objective="val_loss", hyperparameters=hp)
    discover_space(MLP((4, 4, 1), 2), oracle)
    assert type(oracle.get_space().space[0]).__name__ == "Fixed"
    assert sum(entry.name == "stages" for entry in oracle.get_space().space) == 1
