"""evaluate: what it calls, what it returns, what it refuses."""

from types import SimpleNamespace

import numpy as np
import pytest

from kt_tuning.core.errors import DataError, OptionError
from kt_tuning.evaluation import evaluate, metrics_for


class Images:
    """A split whose first pixel is what `oracle` predicts."""

    def __init__(self, labels, predicted=None):
        self.labels = np.asarray(labels)
        self.pixels = np.zeros((len(self.labels), 2, 2, 1), dtype=np.uint8)
        self.pixels[:, 0, 0, 0] = self.labels if predicted is None else predicted
        self.taken = []

    def __len__(self):
        return len(self.labels)

    def take(self, indices):
        self.taken.append(len(indices))
        return self.pixels[indices]


def oracle(images):
    return np.eye(3)[images[:, 0, 0, 0]] * 0.7 + 0.1


def test_a_callable():
    scores = evaluate(oracle, Images([0, 0, 1, 2], [0, 1, 1, 2]), bootstrap=50)
    assert scores["accuracy"] == 0.75
    assert scores["log_loss"] == pytest.approx(-(3 * np.log(0.8) + np.log(0.1)) / 4)
    assert scores.confusion == [[1, 1, 0], [0, 1, 0], [0, 0, 1]]
    assert tuple(scores.metrics) == metrics_for(3)
    assert (scores.images, scores.parameters, scores.split) == (4, None, "test")
    assert scores.class_names == ("0", "1", "2")
    assert 0 < scores.latency_ms["p50"] <= scores.latency_ms["p95"] <= scores.latency_ms["p99"]


def test_curves_and_mistakes():
    scores = evaluate(oracle, Images([0, 0, 1, 2], [0, 1, 1, 2]), bootstrap=5)
    assert [curve.label for curve in scores.curves] == [0, 1, 2]
    (mistake,) = scores.mistakes
    assert (mistake.index, mistake.label, mistake.predicted) == (1, 0, 1)


def test_class_names_and_the_name_of_the_split():
    images = Images([0, 1, 2])
    images.name = "validation"
    scores = evaluate(oracle, images, bootstrap=5, class_names=["cat", "dog", "eel"])
    assert scores.class_names == ("cat", "dog", "eel")
    assert scores.split == "validation"


def test_class_names_of_the_card():
    model = Recorder("predict")
    model.card = SimpleNamespace(class_names=("cat", "dog", "eel"))
    assert evaluate(model, Images([0, 1]), bootstrap=5).class_names == ("cat", "dog", "eel")
    named = evaluate(model, Images([0, 1]), bootstrap=5, class_names=["a", "b", "c"])
    assert named.class_names == ("a", "b", "c")


class Recorder:
    """A model that has what `methods` names."""

    def __init__(self, *methods):
        self.sizes = []
        for name in methods:
            setattr(self, name, self._predict)

    def _predict(self, images):
        self.sizes.append(len(images))
        return oracle(images)

    def __call__(self, images):
        raise AssertionError("a method should be preferred")


@pytest.mark.parametrize("methods", [["predict"], ["predict_on_batch"]])
def test_a_model_is_called_through_its_method(methods):
    model = Recorder(*methods)
    evaluate(model, Images([0, 1, 2]), bootstrap=5)
    assert model.sizes[0] == 3
    assert set(model.sizes[1:]) == {1}


def test_the_compiled_path_is_preferred():
    model = Recorder("predict_on_batch")
    model.predict = lambda images: pytest.fail("predict prints and sets up an epoch")
    evaluate(model, Images([0, 1, 2]), bootstrap=5)


def test_parameters_are_counted():
    model = Recorder("predict")
    model.count_params = lambda: np.int64(42442)
    scores = evaluate(model, Images([0, 1, 2]), bootstrap=5)
    assert scores.parameters == 42442
    assert isinstance(scores.parameters, int)


def test_images_are_taken_in_batches():
    images = Images(np.zeros(600, dtype=int))
    evaluate(oracle, images, bootstrap=5)
    # The first one shows how large they are, the last one is for the latency.
    assert images.taken == [1, 200, 200, 200, 1]


def test_same_seed_same_intervals():
    images = Images([0, 1, 2] * 20, [0, 1, 1] * 20)
    first, again, other = (evaluate(oracle, images, seed=seed).metrics for seed in (1, 1, 2))
    assert first == again
    assert first != other


@pytest.mark.parametrize(
    ("predict", "message"),
    [
        (lambda images: images[:, 0, 0, 0], r"Received: shape \(3,\)"),
        (lambda images: oracle(images)[:2], r"Received: shape \(2, 3\)"),
        (lambda images: oracle(images) * np.nan, "diverged"),
        (lambda images: oracle(images) * 2, "a row summing to 2"),
        (lambda images: np.tile([1.5, -0.5, 0.0], (3, 1)), "smallest value -0.5"),
        (lambda images: np.full((3, 1), 0.6), "two or more classes"),
        (lambda images: np.full((3, 2), 0.5), r"labels in 0\.\.2"),
    ],
)
def test_predictions_that_are_no_distributions(predict, message):
    with pytest.raises(DataError, match=message):
        evaluate(predict, Images([0, 1, 2]))


def test_sums_within_a_thousandth_are_taken():
    assert evaluate(lambda images: oracle(images) * 1.0009, Images([0, 1, 2]), bootstrap=5)


def test_empty_split():
    with pytest.raises(DataError, match="split is empty"):
        evaluate(oracle, Images(np.empty(0, dtype=int)))


def test_not_a_model():
    with pytest.raises(OptionError, match="Received: str"):
        evaluate("model.keras", Images([0, 1, 2]))


@pytest.mark.parametrize(
    ("options", "message"),
    [({"bootstrap": 0}, "Received: 0"), ({"class_names": ["cat"]}, "3 names. Received: 1")],
)
def test_options(options, message):
    with pytest.raises(OptionError, match=message.replace(".", r"\.")):
        evaluate(oracle, Images([0, 1, 2]), **options)
