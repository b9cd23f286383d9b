"""What is kept of a hypermodel and compared, without a search."""

import re

import keras
import pytest
from keras_tuner.engine import hyperparameters as hps
from keras_tuner.oracles import RandomSearchOracle

from hypermodels import MLP, ConvNet, Families
from kt_tuning import Recipe
from kt_tuning.core.errors import StorageError
from kt_tuning.core.records import TrialRecord
from kt_tuning.run import Run
from kt_tuning.run.layout import DEFINITION
from kt_tuning.search.definition import SearchDefinition, read_definition, space_differences
from kt_tuning.search.descriptions import (
    as_stored,
    describe_code,
    describe_hypermodel,
    describe_model,
    structure_difference,
)
from kt_tuning.search.recipe_hypermodel import RecipeHyperModel, discover_space

SHAPE = (8, 8, 1)


def definition(hypermodel):
    oracle = RandomSearchOracle("val_loss", seed=0)
    wrapped = RecipeHyperModel(hypermodel, Recipe())
    model, values = discover_space(wrapped, oracle)
    return SearchDefinition(
        hypermodel=as_stored(describe_hypermodel(hypermodel)),
        space=oracle.get_space().get_config()["space"],
        values=values,
        model=as_stored(describe_model(model)),
    )


def differences(before, now):
    """Between two hypermodels, after a trial of the first one's defaults."""
    was, here = definition(before), definition(now)
    trial = TrialRecord("0", 0, "COMPLETED", was.values, {"val_loss": 0.5}, 0, 1, 1.0, 9)
    return was.differences(here, [trial], lambda values: here.model)


def families(**members):
    return Families(members)


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        (MLP(SHAPE, 2, units=8), MLP(SHAPE, 2, units=16), "units: was fixed at 8, now fixed at 16"),
        (MLP(SHAPE, 2), MLP(SHAPE, 2, units=8), "units: was searched from .*, now fixed at 8"),
        (MLP(SHAPE, 2, units=8), MLP(SHAPE, 2), "units: was fixed at 8, now searched from"),
        (MLP(SHAPE, 2), MLP(SHAPE, 3), "classes of the hypermodel: was 2, now 3"),
        (MLP(SHAPE, 2), MLP(SHAPE, 2, space="wide"), "space of the hypermodel: was default"),
        (MLP(SHAPE, 2), ConvNet(SHAPE, 2), "hypermodel: was MLP, now ConvNet"),
        (
            families(one=MLP(SHAPE, 2), two=MLP(SHAPE, 2)),
            families(one=MLP(SHAPE, 2)),
            "family: was searched from {one, two}, now searched from {one}",
        ),
        (
            families(one=MLP(SHAPE, 2, units=8)),
            families(one=MLP(SHAPE, 2, units=16)),
            "one/units: was fixed at 8, now fixed at 16",
        ),
    ],
)
def test_another_hypermodel_is_told_by_what_differs(before, now, expected):
    found = differences(before, now)
    assert re.search(expected, found[0]), found


def test_the_same_hypermodel_made_anew_is_the_same():
    # Keras has counted its layers' names up meanwhile.
    assert differences(ConvNet(SHAPE, 2), ConvNet(SHAPE, 2)) == []


def test_a_family_more_leaves_earlier_trials_true():
    one, two = families(one=MLP(SHAPE, 2)), families(one=MLP(SHAPE, 2), two=MLP(SHAPE, 2))
    assert differences(one, two) == []


@pytest.mark.parametrize(
    ("before", "now", "wider"),
    [
        (hps.Int("n", 8, 64, step=8), hps.Int("n", 4, 64, step=4), True),
        (hps.Int("n", 8, 64, step=8), hps.Int("n", 8, 64, step=16), False),
        (hps.Int("n", 8, 64, step=8), hps.Int("n", 8, 72, step=8, sampling="linear"), True),
        (hps.Int("n", 1, 64), hps.Int("n", 1, 64, sampling="log"), True),
        (hps.Int("n", 1, 4), hps.Choice("n", [1, 2, 3, 4, 9]), True),
        (hps.Choice("n", [16, 32]), hps.Int("n", 16, 64, step=16), True),
        (hps.Choice("n", [16, 33]), hps.Int("n", 16, 64, step=16), False),
        (hps.Choice("n", ["a", "b"]), hps.Choice("n", ["b", "a", "c"]), True),
        (hps.Choice("n", [1, 2]), hps.Choice("n", [1.0, 2.0]), False),
        (hps.Boolean("n"), hps.Choice("n", [0, 1]), False),
        (hps.Float("n", 0.0, 1.0), hps.Float("n", 0.0, 1.0, step=0.1), False),
        (hps.Float("n", 0.0, 1.0, step=0.5), hps.Float("n", 0.0, 2.0), True),
        (hps.Float("n", 0.1, 1.0, sampling="log"), hps.Float("n", 0.2, 1.0, sampling="log"), False),
        (hps.Fixed("n", 8), hps.Choice("n", [4, 8]), True),
        (hps.Choice("n", [4, 8]), hps.Fixed("n", 8), False),
    ],
)
def test_wider_is_what_has_all_earlier_values(before, now, wider):
    assert (space_differences([before], [now], {}) == {}) == wider


def test_a_layer_that_cannot_tell_its_settings_is_known_by_its_class():
    class Silent(keras.layers.Layer):
        def get_config(self):
            raise NotImplementedError

        def call(self, inputs):
            return inputs

    model = keras.Sequential([keras.Input((2,)), Silent(), keras.layers.Dense(1)])
    assert [row["class"] for row in describe_model(model)] == [
        "Silent",
        "Dense",
        "optimizer NoneType",
        "loss NoneType",
    ]


def compiled(metrics=("accuracy",), loss="mse", **options):
    inputs = keras.Input((2,), name="in")
    model = keras.Model(inputs, {name: keras.layers.Dense(1, name=name)(inputs) for name in "ab"})
    model.compile("sgd", loss, metrics={"a": list(metrics)}, **options)
    return describe_model(model)


AREA, TOP = keras.metrics.AUC, keras.metrics.TopKCategoricalAccuracy


@pytest.mark.parametrize(
    ("before", "now", "difference"),
    [
        (
            {"metrics": [AREA(name="m")]},
            {"metrics": [AREA(name="m", curve="PR")]},
            "curve was ROC, now PR",
        ),
        (
            {"metrics": [AREA(name="m")]},
            {"metrics": [TOP(name="m")]},
            "class was AUC, now TopKCategoricalAccuracy",
        ),
        ({"metrics": [TOP(3, "m")]}, {"metrics": [TOP(5, "m"), "mae"]}, "k was 3, now 5"),
        ({"loss": {"a": "mse", "b": "mse"}}, {"loss": {"a": "mae", "b": "mse"}}, "a was mse, now"),
        ({"loss_weights": {"a": 1.0, "b": 1.0}}, {"loss_weights": {"a": 1.0, "b": 9.0}}, "b was 1"),
        ({}, {"metrics": ["accuracy", AREA(name="m")]}, None),
        ({"metrics": ["mae"]}, {"metrics": [keras.metrics.MeanAbsoluteError(name="mae")]}, None),
        ({"metrics": [AREA(name="m")]}, {"metrics": [AREA(name="m")]}, None),
    ],
)
def test_what_a_model_is_compiled_with_is_compared(before, now, difference):
    found = structure_difference(as_stored(compiled(**before)), as_stored(compiled(**now)))
    assert found is None if difference is None else difference in found


def test_the_code_of_a_hypermodel_is_known_without_its_comments():
    def versions():
        def build(hp):
            return hp.Int("n", 1, 2)

        first = build

        def build(hp):
            # Another comment.
            return hp.Int(
                "n", 1, 2
            )  # fmt: skip

        second = build

        def build(hp):
            return hp.Int("n", 1, 3)

        return first, second, build

    first, second, third = map(describe_code, versions())
    assert first == second != third
    assert describe_code(MLP(SHAPE, 2)) is None
    assert describe_code(eval("lambda hp: None")) is None
    assert describe_code(Own(SHAPE, 2)) is not None


class Own(MLP):
    def fit(self, hp, model, *args, **options):
        return super().fit(hp, model, *args, **options)


@pytest.mark.parametrize("wrong", [{"name": "ConvNet", "state": []}, {"name": "ConvNet"}, {}])
def test_a_damaged_hypermodel_is_refused_by_its_file(wrong, tmp_path):
    SearchDefinition(hypermodel=wrong).save(tmp_path / DEFINITION)
    with pytest.raises(StorageError, match=rf"{DEFINITION} is damaged"):
        read_definition(Run(tmp_path))
