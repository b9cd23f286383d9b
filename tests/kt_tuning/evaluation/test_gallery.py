"""Pictures of mistakes, and of where a model looks."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from kt_tuning.evaluation import make_gallery
from kt_tuning.evaluation.diagnostics import worst_mistakes
from kt_tuning.evaluation.explanations import Gallery


class Corner:
    """24 grey images; one of class 1 is bright in its upper left corner. The last two are mixed."""

    def __init__(self, side=16, channels=1):
        self.labels = np.arange(24) % 2
        self.pixels = np.full((24, side, side, channels), 90, np.uint8)
        self.pixels[self.labels == 1, : side // 4, : side // 4] = 230
        self.labels[-2:] = [1, 0]

    def __len__(self):
        return len(self.labels)

    def take(self, indices):
        return self.pixels[indices]


def predict(images):
    side = images.shape[1] // 4
    bright = images[:, :side, :side].mean(axis=(1, 2, 3)) / 255
    return np.stack([1 - bright, bright], axis=1)


def picture(uri):
    kind, _, content = uri.partition(";base64,")
    return kind, np.asarray(Image.open(io.BytesIO(base64.b64decode(content))))


@pytest.fixture(scope="module")
def gallery():
    split = Corner()
    return make_gallery(predict, split, worst_mistakes(split.labels, predict(split.pixels)))


def test_mistakes_the_worst_first(gallery):
    assert [(one.index, one.label, one.predicted) for one in gallery.mistakes] == [
        (23, 0, 1),
        (22, 1, 0),
    ]


def test_one_of_each_class(gallery):
    assert [(one.index, one.label, one.predicted) for one in gallery.examples] == [
        (0, 0, 0),
        (1, 1, 1),
    ]
    assert gallery.examples[1].confidence == pytest.approx(230 / 255)


def test_a_model_without_convolutions_is_explained_by_occlusion(gallery):
    assert gallery.method == "occlusion"
    _, heat = picture(gallery.examples[1].heat)
    # Orange where the corner is, grey elsewhere.
    assert heat[2, 2, 0] > heat[2, 2, 2] + 50
    assert np.ptp(heat[-1, -1]) == 0


def test_small_images_are_enlarged_by_a_whole_factor(gallery):
    kind, image = picture(gallery.examples[1].image)
    assert kind == "data:image/png"
    assert (image == np.kron(Corner().pixels[1, ..., 0], np.ones((4, 4)))).all()


def test_large_images_are_made_smaller():
    found = make_gallery(predict, Corner(side=400, channels=3), ())
    kind, image = picture(found.examples[1].image)
    assert (kind, image.shape) == ("data:image/jpeg", (192, 192, 3))


def test_no_mistakes():
    found = make_gallery(predict, Corner(), ())
    assert found.mistakes == ()
    assert len(found.examples) == 2


def test_a_convolutional_model_is_explained_by_grad_cam():
    import keras

    model = keras.Sequential(
        [
            keras.Input((16, 16, 1), dtype="uint8"),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(4, 3, activation="relu"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(2, activation="softmax"),
        ]
    )
    assert make_gallery(model, Corner(), ()).method == "grad_cam"


def test_round_trip(gallery, tmp_path):
    gallery.save(tmp_path / "gallery.json")
    assert Gallery.load(tmp_path / "gallery.json") == gallery
