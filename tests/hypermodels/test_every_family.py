"""What every family of `HYPERMODELS` does, in its smallest form where size plays no part.

`HYPERMODELS_CONFIGURATIONS=200 pytest tests/hypermodels/test_every_family.py -k random` builds that
many random configurations of each family.
"""

import copy
import importlib.util
import os
import random
import subprocess
import sys
from pathlib import Path

import keras
import keras_tuner
import numpy as np
import pytest
import tensorflow as tf
from pointwise import strided_pointwise
from striped import striped_images
from tiny_families import TINY, tiny

from hypermodels import HYPERMODELS
from hypermodels.catalogue import random_configuration

CONFIGURATIONS = int(os.environ.get("HYPERMODELS_CONFIGURATIONS", "4"))
# The smallest image with the fewest classes, and so on; the classes change the last layer only.
IMAGES = [((8, 8, 1), 2), ((28, 28, 1), 10), ((32, 32, 3), 10), ((96, 96, 3), 2)]


PRETRAINED, SOLVED = ("finetune", "linearprobe"), ("linearprobe",)


def test_every_family_has_a_tiny_form():
    assert TINY.keys() == HYPERMODELS.keys()


@pytest.mark.parametrize("family", HYPERMODELS)
@pytest.mark.parametrize(("shape", "classes"), IMAGES)
def test_builds_for_images_of_every_size(family, shape, classes):
    fixed = {"backbone": "MobileNet"} if family in PRETRAINED else {}
    hypermodel = HYPERMODELS[family].sketch(shape, classes, **fixed)
    model = hypermodel.build(keras_tuner.HyperParameters())
    assert model.input.dtype == "uint8"
    assert model.input_shape == (None, *shape)
    assert model.output_shape == (None, classes)


@pytest.mark.parametrize("family", HYPERMODELS)
@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 9, 4)])
def test_the_smallest_images_are_trained_on_or_refused(family, shape):
    hypermodel = tiny(family, shape, 2, **({"patch_size": 1} if family == "vit" else {}))
    hp = keras_tuner.HyperParameters()
    if family in PRETRAINED and shape[-1] == 4:
        with pytest.raises(ValueError, match=r"takes images of 3 channels\. Received: images of 4"):
            hypermodel.build(hp)
        return
    model = hypermodel.build(hp)
    model.run_eagerly = True  # a graph would take longer to trace
    images = np.random.default_rng(0).integers(0, 256, (16, *shape), np.uint8)
    history = hypermodel.fit(hp, model, images, np.arange(16) % 2, batch_size=16, verbose=0)
    assert np.isfinite(history.history["loss"]).all()


@pytest.fixture(scope="module", params=HYPERMODELS)
def drawn(request):
    """A family's space and some random configurations with their models."""
    fixed = {"backbone": "MobileNet"} if request.param in PRETRAINED else {}
    hypermodel = HYPERMODELS[request.param].sketch((16, 16, 3), 3, space="wide", **fixed)
    hp, rng = hypermodel.hyperparameters(), random.Random(5)
    configurations = [random_configuration(hp, rng) for _ in range(CONFIGURATIONS)]
    return hp, [(each, hypermodel.build(each)) for each in configurations]


def test_random_configurations_build(drawn):
    hp, made = drawn
    for configuration, model in made:
        assert model.output_shape == (None, 3), configuration.values
        # Any build asks for everything, so that one shows the whole space.
        assert [entry.name for entry in configuration.space] == [entry.name for entry in hp.space]


def test_random_configurations_have_no_strided_pointwise_convolution(drawn):
    _, made = drawn
    for configuration, model in made:
        assert strided_pointwise(model) == [], configuration.values


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("family", "fixed"),
    [
        ("convnet", {}),
        ("convnet", {"kernel_size": 1, "pooling": "strides"}),
        ("convnet", {"kernel_size": 1, "pooling": "strides", "separable": True}),
        ("convnet", {"kernel_size": 1, "pooling": "strides", "residual": False}),
        ("convnet", {"strides": 4, "groups": 2}),
        ("resnet", {"stem": "small", "filters": 4}),
        ("resnet", {"depth": 50, "filters": 4, "preactivation": True}),
        ("xception", {"kernel_size": 1, "width": 0.01}),
    ],
)
def test_no_configuration_has_a_strided_pointwise_convolution(family, fixed, channels):
    hypermodel = HYPERMODELS[family]((64, 48, channels), 2, **fixed)
    assert strided_pointwise(hypermodel.build(keras_tuner.HyperParameters())) == []


@pytest.fixture(scope="module")
def striped():
    return striped_images(64)


class Keep(keras.callbacks.Callback):
    """Keeps the model and its losses, though Keras Tuner trains with a copy of this."""

    def __init__(self):
        super().__init__()
        self.models, self.losses = [], []

    def __deepcopy__(self, memo):
        return copy.copy(self)

    def on_epoch_end(self, epoch, logs=None):
        self.losses.append(logs["loss"])

    def on_train_end(self, logs=None):
        self.models.append(self.model)


@pytest.fixture(scope="module")
def trained(striped, tmp_path_factory):
    """The tiny model of a family and its losses, of a stock tuner that trains once."""
    made = {}

    def make(family):
        if family not in made:
            keras.utils.set_random_seed(2)
            tuner = keras_tuner.RandomSearch(
                tiny(family, (8, 8, 1), 2),
                objective=keras_tuner.Objective("loss", "min"),
                max_trials=1,
                # The default configuration
                hyperparameters=keras_tuner.HyperParameters(),
                tune_new_entries=False,
                directory=tmp_path_factory.mktemp(family),
            )
            keep = Keep()
            tuner.search(*striped, batch_size=16, epochs=6, verbose=0, callbacks=[keep])
            made[family] = keep.models[0], keep.losses, tuner
        return made[family]

    return make


@pytest.mark.parametrize("family", HYPERMODELS)
def test_the_loss_falls_on_a_few_images(family, trained):
    _, losses, _ = trained(family)
    # What is solved for has no epochs: two classes of equal size have a loss of log(2) before.
    before = np.log(2) if family in SOLVED else losses[0]
    assert len(losses) == (1 if family in SOLVED else 6)
    assert np.isfinite(losses).all()
    assert losses[-1] < 0.9 * before


@pytest.mark.parametrize("family", HYPERMODELS)
def test_runs_under_stock_random_search(family, trained):
    _, losses, tuner = trained(family)
    (trial,) = tuner.oracle.get_best_trials()
    assert trial.status == "COMPLETED"
    assert trial.score == pytest.approx(min(losses))


@pytest.mark.parametrize("family", HYPERMODELS)
def test_a_saved_model_predicts_the_same(family, trained, striped, tmp_path):
    model, *_ = trained(family)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    expected = model.predict_on_batch(striped[0])
    assert np.allclose(expected.sum(axis=1), 1, atol=1e-5)
    assert np.abs(again.predict_on_batch(striped[0]) - expected).max() < 1e-6
    assert type(again.optimizer) is type(model.optimizer)
    assert int(again.optimizer.iterations) == int(model.optimizer.iterations)


@pytest.mark.parametrize("family", HYPERMODELS)
def test_an_exported_model_predicts_the_same(family, trained, striped, tmp_path):
    model, *_ = trained(family)
    model.export(tmp_path / "saved_model", verbose=False)
    exported = tf.saved_model.load(str(tmp_path / "saved_model"))
    served = exported.serve(tf.constant(striped[0])).numpy()
    assert np.abs(served - model.predict_on_batch(striped[0])).max() < 1e-5


@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="jax is not installed")
def test_every_family_trains_on_jax():
    here = Path(__file__).parent
    paths = [here, here.parent, here.parents[1], *filter(None, sys.path)]
    environment = {
        **os.environ,
        "KERAS_BACKEND": "jax",
        "JAX_PLATFORMS": "cpu",
        # Compiling takes all the time.
        "XLA_FLAGS": "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true",
        "PYTHONPATH": os.pathsep.join(map(str, paths)),
    }
    found = subprocess.run(
        [sys.executable, here / "train_tiny_families.py"],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert found.returncode == 0, found.stderr[-3000:]
    assert found.stdout.split() == ["jax", *HYPERMODELS]
