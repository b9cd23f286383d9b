"""Optional parts of an evaluation, and the images that they are measured on."""

import importlib

import numpy as np
import pytest

from kt_tuning.core.errors import OptionError
from kt_tuning.evaluation import PARTS, Parts, evaluate
from kt_tuning.evaluation import predict as predict_module
from kt_tuning.evaluation.predict import Predicted, affordable, stratified_sample

# The package has a function of this name.
evaluate_module = importlib.import_module("kt_tuning.evaluation.evaluate")


class Bright:
    """40 images of 8 × 8 pixels, levels 60 to 216; those above 138 are class 1."""

    def __init__(self, seed):
        levels = np.random.default_rng(seed).permutation(np.arange(60, 220, 4))
        self.labels = (levels > 138).astype(int)
        self.pixels = np.repeat(levels.astype(np.uint8), 64).reshape(40, 8, 8, 1)

    def __len__(self):
        return len(self.labels)

    def take(self, indices):
        return self.pixels[indices]


class Data:
    class_names = ("dark", "bright")

    def __init__(self):
        self.train, self.validation, self.test = Bright(0), Bright(1), Bright(2)


def predict(images):
    bright = 1 / (1 + np.exp(138 - images.mean(axis=(1, 2, 3))))
    return np.stack([1 - bright, bright], axis=1)


def test_of_all_data_the_test_split_is_judged():
    scores = evaluate(predict, Data(), bootstrap=5)
    assert scores["accuracy"] == 1.0
    assert (scores.class_names, scores.images, scores.split) == (("dark", "bright"), 40, "test")
    assert (scores.cost, scores.robustness, scores.generalization) == (None, None, None)


def test_reliability_is_of_the_predictions():
    assert sum(evaluate(predict, Bright(0), bootstrap=5).reliability.count) == 40


def test_generalization_goes_from_train_to_test():
    scores = evaluate(predict, Data(), parts=["generalization"], bootstrap=5)
    assert list(scores.generalization.scores) == ["train", "validation", "test"]
    assert list(scores.generalization.gaps) == ["train to validation", "validation to test"]


def test_a_model_that_was_trained_on_validation_images_has_no_validation_figures():
    # Out of fold one of two rows is right; the model itself has seen both splits.
    out_of_fold = Predicted(np.array([0, 1]), np.array([[0.9, 0.1], [0.9, 0.1]]))
    scores = evaluate(
        predict, Data(), parts=["generalization"], bootstrap=5, seen=True, out_of_fold=out_of_fold
    )
    found = scores.generalization
    assert list(found.scores) == ["train", "out-of-fold", "test"]
    assert list(found.gaps) == ["train to out-of-fold", "out-of-fold to test"]
    assert found.scores["out-of-fold"]["accuracy"].value == 0.5


def test_without_out_of_fold_predictions_there_are_train_and_test():
    scores = evaluate(predict, Data(), parts=["generalization"], bootstrap=5, seen=True)
    assert list(scores.generalization.gaps) == ["train to test"]


def test_generalization_of_one_split_is_refused():
    with pytest.raises(OptionError, match=r"evaluate\(model, data"):
        evaluate(predict, Bright(0), parts=["generalization"])


def test_corruptions_are_of_images_drawn_by_the_seed():
    few = Parts(("corruptions",), images=10)
    first, again, other = (
        evaluate(predict, Bright(2), parts=few, seed=seed, bootstrap=5).robustness
        for seed in (3, 3, 4)
    )
    assert first == again
    assert first != other
    assert first.images == 10
    assert len(first.corrupted) == 15
    assert first.adversarial == {}


def slow(seconds):
    """Return a stand-in for the timing of a batch: seconds for each image."""
    return lambda *_, **options: seconds


def test_corruptions_are_measured_on_as_many_images_as_fit_into_the_time(monkeypatch, caplog):
    caplog.set_level("INFO", logger="kt_tuning")
    monkeypatch.setattr(evaluate_module, "seconds_per_changed_image", slow(0.5))
    monkeypatch.setattr(predict_module, "FEWEST", 5)
    found = evaluate(
        predict, Bright(2), parts=Parts(("corruptions",), seconds=12.0), bootstrap=5
    ).robustness
    # 12 s are enough for 24 images, which is rounded down to 20.
    assert (found.images, found.available, found.sample) == (20, 40, "20 of 40 images")
    assert "Corruptions: on 20 of 40 images, chosen by class, about 0:10; on all" in caplog.text


def test_all_images_whatever_they_cost(monkeypatch):
    monkeypatch.setattr(evaluate_module, "seconds_per_changed_image", slow(1e9))
    found = evaluate(predict, Bright(2), parts=Parts(("corruptions",), images="all"), bootstrap=5)
    assert found.robustness.sample == "40 images"


def test_generalization_of_some_images_of_each_earlier_split(monkeypatch):
    monkeypatch.setattr(evaluate_module, "seconds_per_image", slow(1.0))
    monkeypatch.setattr(predict_module, "FEWEST", 5)
    parts = Parts(("generalization",), seconds=21.0)
    found = evaluate(predict, Data(), parts=parts, bootstrap=5).generalization
    # Two splits share the time: 10 images of each; the test images are predicted in any case.
    assert found.images == {"train": 10, "validation": 10, "test": 40}
    assert found.sample == "train on 10 of 40 images, validation on 10 of 40 images"
    assert str(found).endswith(found.sample)


@pytest.mark.parametrize("images", ["some", "0", -1])
def test_a_number_of_images_that_is_none(images):
    with pytest.raises(OptionError, match=f"1 or more, or 'all'. Received: '?{images}"):
        Parts(images=images)


def test_attacks_and_cost_of_a_keras_model():
    import keras

    model = keras.Sequential(
        [
            keras.Input((8, 8, 1), dtype="uint8"),
            keras.layers.Rescaling(1 / 255),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(2, activation="softmax"),
        ]
    )
    # The border is at 138: 100 · 138 / 255 = 54.12.
    model.layers[-1].set_weights([np.array([[-50.0, 50.0]]), np.array([27.06, -27.06])])
    scores = evaluate(model, Bright(2), parts=Parts(("cost", "attacks"), images=40), bootstrap=5)
    assert scores.cost.parameters == 4
    table = scores.robustness
    assert (table.clean, table.corrupted, table.severities) == (1.0, {}, ())
    # Within 8 of the border are 132, 136, 140 and 144, and nothing within 1.
    assert table.adversarial["fgsm"][8.0] == pytest.approx(36 / 40)
    assert table.adversarial["fgsm"][1.0] == 1.0
    assert set(table.adversarial) == {"fgsm", "pgd"}


def test_an_unknown_part():
    with pytest.raises(OptionError, match=r"'speed'\. Known: generalization, cost, corrup"):
        evaluate(predict, Data(), parts=["speed"])


def test_no_images():
    with pytest.raises(OptionError, match="Received: 0"):
        Parts(images=0)


def test_one_name_is_one_part():
    assert Parts.of("cost").names == ("cost",)
    assert Parts.of(list(PARTS)).names == tuple(PARTS)


def test_bars_are_drawn_on_standard_error(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    evaluate(predict, Data(), parts=Parts(("generalization",), progress=True), bootstrap=5)
    out, err = capsys.readouterr()
    assert out == ""
    assert "Generalization" in err


@pytest.mark.parametrize(
    ("available", "each", "seconds", "expected"),
    [
        (400, 0.1, 60, 400),  # 40 s for all
        (400, 0.2, 60, 200),  # 300 fit
        (400, 0.4, 60, 100),  # 150 fit
        (10_000, 0.1, 60, 500),  # 600 fit
        (400, 100.0, 60, 50),  # none fits
        (30, 100.0, 60, 30),
        (55, 1.0, 52, 50),
    ],
)
def test_affordable_images(available, each, seconds, expected):
    assert affordable(available, each, seconds) == expected


def test_a_sample_has_each_class_by_its_share():
    labels = np.repeat([0, 1, 2], [60, 30, 10])
    chosen = stratified_sample(labels, 20, seed=1)
    assert np.bincount(labels[chosen]).tolist() == [12, 6, 2]
    assert len(set(chosen.tolist())) == 20
    assert (np.diff(chosen) > 0).all()


def test_a_sample_depends_on_the_seed_alone():
    labels = np.repeat([0, 1], 50)
    first, again, other = (stratified_sample(labels, 10, seed=seed).tolist() for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_a_sample_of_more_images_than_there_are_is_all():
    assert stratified_sample([1, 0, 1], 5, seed=0).tolist() == [0, 1, 2]
