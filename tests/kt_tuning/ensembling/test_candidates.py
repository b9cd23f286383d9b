"""Candidates from runs, other models and test-time augmentation."""

import dataclasses

import keras
import keras_tuner
import numpy as np
import pytest
from member_cases import CLASSES, make_members, softmax
from tiny_models import tiny

from kt_tuning.augment import Policy, Step, augment
from kt_tuning.core.errors import DataError, OptionError, StorageError
from kt_tuning.core.records import DataCard, PixelFormat, SearchRecord, TrialRecord
from kt_tuning.ensembling import (
    AugmentedPredictor,
    Ensemble,
    candidates_of,
    join_candidates,
    read_candidates,
)
from kt_tuning.evaluation import evaluate

LABELS = make_members([0.0], rows=60)[1]
CARD = DataCard("f00d", ("a", "b", "c", "d"), PixelFormat(6, 6, 3), {"train": [1, 1, 1, 1]})
SEARCH = SearchRecord("val_accuracy", "max", "random", 0, 3, None, None, "ConvNet", {})


def write_trial(directory, number, score, rows, *, status="COMPLETED", seed=0):
    folder = directory / f"trial_{number:04d}"
    folder.mkdir()
    metrics = {} if score is None else {"val_accuracy": score}
    TrialRecord(
        f"{number:04d}", number, status, {"filters": number % 2}, metrics, 1, 3, 1.0, 10
    ).save(folder / "result.json")
    if rows:
        logits = np.random.default_rng([seed, number]).normal(size=(rows, CLASSES))
        np.save(folder / "val_predictions.npy", softmax(logits).astype(np.float32))
    return folder


@pytest.fixture
def make_run(tmp_path):
    """A function that writes a run directory with trials of the scores given."""

    def make(name, scores, predicted, card=CARD, search=SEARCH):
        directory = tmp_path / name
        directory.mkdir()
        card.save(directory / "data.json")
        search.save(directory / "search.json")
        np.savez(directory / "split.npz", labels=LABELS, predicted=np.asarray(predicted))
        for number, score in enumerate(scores):
            write_trial(directory, number, score, len(predicted), seed=len(name))
        return directory

    return make


def test_trials_best_first(make_run):
    directory = make_run("run", [0.2, 0.9, 0.5], range(40, 60))
    found = read_candidates(directory)
    assert [member.name for member in found.members] == ["0001", "0002", "0000"]
    assert [member.score for member in found.members] == [0.9, 0.5, 0.2]
    assert found.members[0].configuration == {"filters": 1}
    np.testing.assert_array_equal(found.labels, LABELS[40:])
    saved = np.load(directory / "trial_0001" / "val_predictions.npy")
    np.testing.assert_array_equal(found.members[0].predictions, saved)


def test_lower_is_better(make_run):
    search = dataclasses.replace(SEARCH, direction="min")
    found = read_candidates(make_run("run", [0.2, 0.9, 0.5], range(20), search=search))
    assert [member.name for member in found.members] == ["0000", "0002", "0001"]


def test_failed_and_short_trials_are_left_out(make_run):
    directory = make_run("run", [0.2], range(20))
    write_trial(directory, 1, None, 0, status="FAILED")
    write_trial(directory, 2, 0.9, 10, status="PRUNED")
    write_trial(directory, 3, 0.9, 0)
    assert [member.name for member in read_candidates(directory).members] == ["0000"]


def test_a_run_without_a_whole_trial(make_run):
    directory = make_run("run", [], range(20))
    with pytest.raises(StorageError, match="all 20 validation images"):
        read_candidates(directory)


def test_a_damaged_split(make_run):
    directory = make_run("run", [0.1], range(20))
    np.savez(directory / "split.npz", labels=LABELS)
    with pytest.raises(StorageError, match="predicted"):
        read_candidates(directory)


def test_a_folder_that_is_no_run(tmp_path):
    with pytest.raises(StorageError, match=r"search\.json"):
        read_candidates(tmp_path)


def test_models_are_loaded_by_trial(make_run):
    found = read_candidates(
        make_run("run", [0.2, 0.9], range(20)), load=lambda record: record.number
    )
    assert [member.load() for member in found.members] == [1, 0]
    assert read_candidates(make_run("other", [0.2], range(20))).members[0].load is None


def test_runs_join_on_the_rows_that_both_predicted(make_run):
    first = read_candidates(make_run("plain", [0.9, 0.2], [7, 3, 5, 50, 1]))
    folds = read_candidates(make_run("folds", [0.5], [1, 2, 3, 4, 5, 6, 7]), prefix="folds/")
    found = join_candidates([first, folds])
    np.testing.assert_array_equal(found.rows, [1, 3, 5, 7])
    np.testing.assert_array_equal(found.labels, LABELS[[1, 3, 5, 7]])
    by_name = {member.name: member.predictions for member in found.members}
    assert sorted(by_name) == ["0000", "0001", "folds/0000"]
    np.testing.assert_array_equal(by_name["folds/0000"], folds.members[0].predictions[[0, 2, 4, 6]])
    np.testing.assert_array_equal(by_name["0000"], first.members[0].predictions[[4, 1, 2, 0]])


def test_joined_members_are_in_the_order_of_log_loss(make_run):
    runs = [
        read_candidates(make_run(name, [0.5, 0.4], range(20)), prefix=f"{name}/")
        for name in ("a", "bb")
    ]
    found = join_candidates(runs)
    rows = np.arange(20)
    losses = [-np.log(m.predictions[rows, found.labels]).mean() for m in found.members]
    assert losses == sorted(losses)
    assert len(losses) == 4


def test_one_run_stays_as_it_is(make_run):
    run = read_candidates(make_run("run", [0.2, 0.9], [9, 3, 5]))
    found = join_candidates([run])
    assert [member.name for member in found.members] == ["0001", "0000"]
    np.testing.assert_array_equal(found.rows, [9, 3, 5])


def test_runs_on_other_images(make_run):
    other = dataclasses.replace(CARD, fingerprint="beef")
    runs = [
        read_candidates(make_run("a", [0.5], range(20))),
        read_candidates(make_run("b", [0.5], range(20), card=other)),
    ]
    with pytest.raises(DataError, match="f00d and beef"):
        join_candidates(runs)


def test_runs_without_common_rows(make_run):
    runs = [
        read_candidates(make_run("a", [0.5], range(20))),
        read_candidates(make_run("b", [0.5], range(18, 40))),
    ]
    with pytest.raises(DataError, match="have 2 in common"):
        join_candidates(runs)


def model_of(seed):
    keras.utils.set_random_seed(seed)
    return tiny(keras_tuner.HyperParameters())


@pytest.fixture(scope="module")
def models():
    return [model_of(0), model_of(1)]


def test_all_kinds_of_models(stripes, models, tmp_path):
    first, second = models
    first.save(tmp_path / "first.keras")
    images = stripes.validation.images
    given = {
        "model": first,
        "file": tmp_path / "first.keras",
        "ensemble": Ensemble([first, second], [0.5, 0.5]),
        "function": lambda pixels: np.full((len(pixels), 2), 0.5),
        "predictions": np.eye(2)[stripes.validation.labels] * 0.8 + 0.1,
    }
    found = candidates_of(given, stripes)
    assert found.members[0].name == "predictions", "the best one comes first"
    members = {member.name: member for member in found.members}
    plain = first.predict(images, verbose=0)
    np.testing.assert_allclose(members["model"].predictions, plain, atol=1e-6)
    np.testing.assert_allclose(members["file"].predictions, plain, atol=1e-6)
    mean = (plain + second.predict(images, verbose=0)) / 2
    np.testing.assert_allclose(members["ensemble"].predictions, mean, atol=1e-6)
    loads = {name for name, member in members.items() if member.load is not None}
    assert loads == {"model", "file", "ensemble"}
    for name in loads:
        predicted = members[name].load().predict(images, verbose=0)
        np.testing.assert_allclose(predicted, members[name].predictions, atol=1e-6)
    np.testing.assert_array_equal(found.labels, stripes.validation.labels)
    np.testing.assert_array_equal(found.rows, stripes.indices["validation"])


def test_they_join_others_and_are_combined(stripes, models):
    one = candidates_of({"first": models[0]}, stripes)
    other = candidates_of({"second": models[1]}, stripes)
    both = join_candidates([one, other])
    assert {member.name for member in both.members} == {"first", "second"}
    ensemble = Ensemble.from_members(both.members, both.labels, solver="mean")
    assert len(ensemble) == 2


def test_what_is_refused(stripes, tmp_path):
    (tmp_path / "text.keras").write_text("no model")
    with pytest.raises(StorageError, match=r"text\.keras should be a Keras model"):
        candidates_of({"text": tmp_path / "text.keras"}, stripes)
    with pytest.raises(StorageError, match="missing"):
        candidates_of({"gone": tmp_path / "missing.keras"}, stripes)
    with pytest.raises(OptionError, match="callable"):
        candidates_of({"number": 3}, stripes)
    with pytest.raises(DataError, match="probabilities"):
        candidates_of({"logits": lambda pixels: np.full((len(pixels), 2), 3.0)}, stripes)
    with pytest.raises(DataError):
        candidates_of({"short": np.full((5, 2), 0.5)}, stripes)
    with pytest.raises(DataError, match="Expected predictions"):
        candidates_of({}, stripes)


POLICY = Policy((Step("flip", 1.0, 0.5), Step("rotate", 20.0), Step("brightness", 0.4)))


def left_brightness(images):
    """Probabilities from the brightness of the left half."""
    share = images[:, :, : images.shape[2] // 2].mean(axis=(1, 2, 3)) / 255
    return np.stack([share, 1 - share], axis=1)


def test_the_mean_of_the_image_and_its_versions(stripes):
    images = stripes.validation.images
    predictor = AugmentedPredictor(left_brightness, POLICY, draws=5, seed=3)
    expected = []
    for image in images:
        answers = [left_brightness(image[None])[0]]
        for uniforms in predictor.uniforms:
            answers.append(left_brightness(augment(POLICY, image[None], uniforms[None]))[0])
        expected.append(np.mean(answers, axis=0))
    assert len(answers) == 6
    found = predictor.predict(images)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert found.dtype == np.float32


def test_an_image_is_predicted_alike_in_any_company(stripes):
    images = stripes.train.images
    predictor = AugmentedPredictor(left_brightness, "standard", draws=3)
    together = predictor.predict(images)
    np.testing.assert_array_equal(together[7:9], predictor.predict_on_batch(images[7:9]))
    again = AugmentedPredictor(left_brightness, "standard", draws=3).predict(images)
    np.testing.assert_array_equal(together, again)
    other = AugmentedPredictor(left_brightness, "standard", draws=3, seed=1).predict(images)
    assert not np.array_equal(together, other)


def test_nothing_drawn_nothing_changed(stripes):
    images = stripes.validation.images
    found = AugmentedPredictor(left_brightness, "none", draws=2).predict(images)
    np.testing.assert_allclose(found, left_brightness(images), atol=1e-6)


def test_each_slice_of_each_dimension_has_one_point():
    points = AugmentedPredictor(left_brightness, POLICY, draws=8).uniforms
    assert points.shape == (8, POLICY.draws)
    for column in points.T:
        assert sorted(np.floor(column * 8)) == list(range(8))
    assert len({tuple(np.argsort(column)) for column in points.T}) == POLICY.draws


def test_it_is_judged_and_weighed_like_a_model(stripes):
    predictor = AugmentedPredictor(left_brightness, POLICY, draws=2)
    scores = evaluate(predictor, stripes.test, bootstrap=10)
    assert scores.images == 12
    member = candidates_of({"varied": predictor}, stripes).members[0]
    assert member.load is None
    np.testing.assert_array_equal(member.predictions, predictor.predict(stripes.validation.images))


@pytest.mark.parametrize("draws", [0, 1.5, True])
def test_draws_is_a_number_of_versions(draws):
    with pytest.raises(OptionError, match="draws"):
        AugmentedPredictor(left_brightness, POLICY, draws=draws)
