import random

import keras_tuner
import pytest

from hypermodels.catalogue import Row, describe, random_configuration


def test_a_family_is_described_by_its_hyperparameters_and_sizes():
    found = describe("convnet", sample=2)
    assert found.summary == "Stages of convolution blocks; each stage halves height and width."
    assert found.default == 514_866
    assert found.smallest <= found.default <= found.largest
    assert found.smallest < found.largest
    rows = {row.name: row for row in found.rows}
    assert rows["stages"] == Row("stages", "1 to 4", 3, "")
    assert rows["filters"] == Row("filters", "16, 32, 64, 128", 32, "")
    assert rows["residual"] == Row("residual", "True, False", False, "")
    assert rows["padding"] == Row("padding", "same, valid", "same", "residual is False")
    assert rows["dropout"].values == "0 to 0.5 in steps of 0.1"
    assert rows["sgd_learning_rate"].values == "0.01 to 0.5 (log)"
    assert rows["weight_decay"].condition == "optimizer is sgd, adamw"


def test_the_same_seed_gives_the_same_sizes():
    sizes = [
        (found.smallest, found.largest)
        for found in (describe("mlp", (8, 8, 1), 2, sample=2, seed=4) for _ in range(2))
    ]
    assert sizes[0] == sizes[1]


def test_an_unknown_family_is_refused():
    with pytest.raises(ValueError, match="`family` is one of convnet"):
        describe("convnext")


def test_a_random_configuration_has_values_for_what_is_active():
    hp = keras_tuner.HyperParameters()
    hp.Choice("optimizer", ["sgd", "adam"])
    with hp.conditional_scope("optimizer", ["sgd"]):
        hp.Float("momentum", 0.5, 0.9)
    rng, seen = random.Random(0), set()
    for _ in range(20):
        values = random_configuration(hp, rng).values
        assert ("momentum" in values) == (values["optimizer"] == "sgd")
        assert 0.5 <= values.get("momentum", 0.7) <= 0.9
        seen.add(values["optimizer"])
    assert seen == {"sgd", "adam"}
    assert hp.values == {"optimizer": "sgd", "momentum": 0.5}
