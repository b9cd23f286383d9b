import random

import keras
import keras_tuner
import numpy as np
import pytest

from hypermodels import LinearProbe
from hypermodels.backbone import BackboneError
from hypermodels.catalogue import random_configuration
from hypermodels.families import Families
from hypermodels.mlp import MLP


class Counted(keras_tuner.HyperModel):
    """Has one hyperparameter of its own, and one more that depends on it."""

    def build(self, hp):
        size = hp.Int("size", 1, 3, default=2)
        with hp.conditional_scope("size", [3]):
            hp.Int("extra", 0, 9)
        return ("counted", size)

    def fit(self, hp, model, *args, **kwargs):
        return hp.get("size"), model, args, kwargs


class Named(keras_tuner.HyperModel):
    """Has a hyperparameter of the same name, with other values, and one for `fit`."""

    def declare_hyperparameters(self, hp):
        hp.Choice("batch", [8, 16])

    def build(self, hp):
        return ("named", hp.Choice("size", ["small", "large"]))


def families():
    return Families({"counted": Counted(), "named": Named()})


def chosen(**values):
    hp = keras_tuner.HyperParameters()
    hp.values = {name.replace("__", "/"): value for name, value in values.items()}
    return hp


def test_the_chosen_family_builds_from_its_own_values():
    assert families().build(chosen(family="counted", counted__size=3)) == ("counted", 3)
    assert families().build(chosen(family="named", named__size="large")) == ("named", "large")


def test_the_first_family_is_the_default():
    assert families().build(keras_tuner.HyperParameters()) == ("counted", 2)


def test_the_chosen_family_fits_and_reads_its_own_values():
    hp = chosen(family="counted", counted__size=3)
    result = families().fit(hp, "model", 1, 2, epochs=4)
    assert result == (3, "model", (1, 2), {"epochs": 4})


def test_every_hyperparameter_depends_on_its_family():
    space = families().hyperparameters().space
    found = {hp.name: [(c.name, c.values) for c in hp.conditions] for hp in space}
    assert found == {
        "family": [],
        "counted/size": [("family", ["counted"])],
        "counted/extra": [("family", ["counted"]), ("counted/size", [3])],
        "named/batch": [("family", ["named"])],
        "named/size": [("family", ["named"])],
    }


def test_only_values_of_the_default_family_exist():
    assert families().hyperparameters().values == {"family": "counted", "counted/size": 2}


def test_declaring_twice_changes_nothing():
    hp = families().hyperparameters()
    families().declare_hyperparameters(hp)
    assert hp.get_config() == families().hyperparameters().get_config()


def test_stock_random_search_tries_every_family_with_its_own_values_only(tmp_path):
    tuner = keras_tuner.Tuner(
        keras_tuner.oracles.RandomSearchOracle("val_loss", max_trials=12, seed=1),
        families(),
        directory=tmp_path,
    )
    tuner.oracle.verbose = 0
    tried = [tuner.oracle.create_trial(f"tuner{n}").hyperparameters.values for n in range(8)]
    assert {values["family"] for values in tried} == {"counted", "named"}
    for values in tried:
        prefixes = {name.split("/")[0] for name in values}
        assert prefixes == {"family", values["family"]}


def test_real_families_train(tmp_path):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (24, 8, 8, 1), dtype=np.uint8)
    labels = rng.integers(0, 2, 24)
    fixed = {"convnet/filters": 4, "convnet/stages": 1, "mlp/units": 8, "label_smoothing": 0.0}
    hypermodel = Families.named(["mlp", "convnet"], (8, 8, 1), 2, fixed)
    for family in ("mlp", "convnet"):
        hp = chosen(family=family)
        model = hypermodel.build(hp)
        hypermodel.fit(hp, model, images, labels, batch_size=8, epochs=2, verbose=0)
        # The family's own schedule has been stretched over this training, and has ended.
        assert float(model.optimizer.learning_rate) == pytest.approx(0, abs=1e-7)


def test_random_configurations_build():
    rng = random.Random(0)
    hypermodel = Families.named(["mlp", "resnet"], (12, 12, 1), 2)
    hp = hypermodel.hyperparameters()
    families_drawn = set()
    for _ in range(6):
        configuration = random_configuration(hp, rng)
        family = configuration.values["family"]
        assert hypermodel.build(configuration).name == family
        families_drawn.add(family)
    assert families_drawn == {"mlp", "resnet"}


def test_a_name_with_a_family_is_fixed_there_alone():
    hypermodel = Families.named(["mlp", "resnet"], (8, 8, 1), 2, {"resnet/activation": "silu"})
    names = {hp.name for hp in hypermodel.hyperparameters().space}
    assert "mlp/activation" in names
    assert "resnet/activation" not in names


def test_a_name_without_a_family_is_fixed_in_every_one():
    hypermodel = Families.named(["mlp", "resnet"], (8, 8, 1), 2, {"optimizer": "adamw"})
    assert not any(hp.name.endswith("optimizer") for hp in hypermodel.hyperparameters().space)
    model = hypermodel.build(chosen(family="mlp"))
    assert isinstance(model.optimizer, keras.optimizers.AdamW)


def test_an_unknown_hyperparameter_is_named_with_its_family():
    hypermodel = Families.named(["mlp"], (8, 8, 1), 2, {"mlp/widht": 3})
    with pytest.raises(ValueError, match="MLP has no hyperparameter 'widht'"):
        hypermodel.hyperparameters()


@pytest.mark.parametrize(
    ("names", "fixed", "message"),
    [
        (["mlp", "resnat"], {}, "Received: mlp, resnat"),
        (["mlp", "mlp"], {}, "Received: mlp, mlp"),
        ([], {}, "at least one"),
        (["mlp"], {"resnet/filters": 8}, "'resnet/filters' is fixed for a family"),
    ],
)
def test_wrong_names_are_refused(names, fixed, message):
    with pytest.raises(ValueError, match=message):
        Families.named(names, (8, 8, 1), 2, fixed)


@pytest.mark.parametrize("members", [{"a/b": Counted()}, {"mlp": MLP}, {"mlp": print}])
def test_wrong_members_are_refused(members):
    with pytest.raises(ValueError, match="Received: "):
        Families(members)


def test_a_family_without_a_network_at_hand_is_left_out_and_the_others_go_on(monkeypatch, caplog):
    monkeypatch.setattr("hypermodels.backbone_family.at_hand", dict)
    found = Families.named(["linearprobe", "mlp"], (8, 8, 1), 2)
    assert list(found.members) == ["mlp"]
    (message,) = caplog.messages
    assert message.startswith("linearprobe is left out: No pre-trained network is available")
    with pytest.raises(BackboneError, match="No pre-trained network is available"):
        Families.named(["linearprobe"], (8, 8, 1), 2)


def test_a_network_that_was_named_is_missed(monkeypatch):
    monkeypatch.setattr("hypermodels.download.unreachable", lambda url: "no such host")
    with pytest.raises(BackboneError, match="MobileNetV2 cannot be downloaded"):
        Families.named(
            ["mlp", "linearprobe"], (8, 8, 1), 2, {"linearprobe/backbone": "MobileNetV2"}
        )


def test_only_a_configuration_on_a_pretrained_network_has_an_origin():
    network = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten()])
    found = Families(
        {"mlp": MLP((8, 8, 1), 2), "probe": LinearProbe((8, 8, 1), 2, backbone=network)}
    )
    assert found.backbone_origin(chosen(family="mlp")) is None
    assert found.backbone_origin(chosen(family="probe")).name == network.name
