"""Whole trials: interrupted and resumed, over folds, repeated, and refused."""

import dataclasses
import time
from types import SimpleNamespace

import keras
import keras_tuner
import numpy as np
import pandas as pd
import pytest
from tiny_models import tiny

from hypermodels import ConvNet
from kt_tuning import Recipe
from kt_tuning.search.recipe_hypermodel import RecipeHyperModel
from kt_tuning.trials import Decision, ImageTask, TrialSpec, load_weights, run_trial
from kt_tuning.trials.trial_files import TrainingKey

OBJECTIVES = [keras_tuner.Objective("val_loss", "min")]
RECIPE = Recipe(batch_size=8, augment="standard")
MIXING = Recipe(batch_size=8, augment="standard", mixup=0.4, cutmix=(1.0, 0.0), balance="weights")


def small(stripes):
    """Dropout, a schedule and momentum: all that a resumed training must find again."""
    return ConvNet(
        stripes.input_shape, stripes.classes, stages=1, filters=4, dropout=0.3, dense_units=8
    )


def tasks(stripes, hypermodel, folds=None, recipe=RECIPE):
    wrapped = RecipeHyperModel(hypermodel, recipe)
    parts = [stripes] if folds is None else stripes.folds(folds)
    return [ImageTask(wrapped, part, recipe, objectives=["val_loss"]) for part in parts]


def specify(directory, **options):
    directory.mkdir(exist_ok=True)
    arguments = {
        "trial_id": "0",
        "number": 0,
        "hp": keras_tuner.HyperParameters(),
        "epochs": 4,
        "seed": 3,
        "directory": directory,
    }
    return TrialSpec(**{**arguments, **options})


class Reports(list):
    """Hears of progress; the power fails after so many reports."""

    def __init__(self, fails_after=None):
        super().__init__()
        self.fails_after = fails_after

    def __call__(self, progress):
        self.append(progress)
        if len(self) == self.fails_after:
            raise KeyboardInterrupt
        return Decision.CONTINUE


def train(directory, made, *, interrupted_after=(), **options):
    for reports in interrupted_after:
        with pytest.raises(KeyboardInterrupt):
            run_trial(
                specify(directory, **options), Reports(reports), tasks=made, objectives=OBJECTIVES
            )
        assert not (directory / "result.json").exists()
    reports = Reports()
    record = run_trial(specify(directory, **options), reports, tasks=made, objectives=OBJECTIVES)
    return record, reports


@pytest.mark.parametrize(
    ("recipe", "folds", "interrupted_after"),
    # After the first and the third of four epochs; in the first and in the second fold.
    [(RECIPE, None, [1, 2]), (MIXING, 2, [3, 4])],
    ids=["plain", "mixing in folds"],
)
def test_interrupted_and_resumed_it_ends_as_if_nothing_had_happened(
    recipe, folds, interrupted_after, tmp_path, stripes
):
    made = tasks(stripes, small(stripes), folds, recipe)
    whole, _ = train(tmp_path / "whole", made)
    resumed, reports = train(tmp_path / "resumed", made, interrupted_after=interrupted_after)
    assert resumed.metrics == pytest.approx(whole.metrics, rel=1e-5)
    assert (resumed.epochs, resumed.best_epoch) == (whole.epochs, whole.best_epoch)
    assert len(reports) < (4 if folds is None else 10)
    curves = [
        pd.read_csv(tmp_path / name / "history.csv").drop(columns=["seconds", "data_wait"])
        for name in ("whole", "resumed")
    ]
    pd.testing.assert_frame_equal(*curves, rtol=1e-5)
    kept = [np.load(tmp_path / name / "val_predictions.npy") for name in ("whole", "resumed")]
    assert np.allclose(*kept, atol=1e-6)
    assert not (tmp_path / "resumed" / "checkpoint").exists()


def test_the_curve_tells_how_long_training_waited_for_data(tmp_path, stripes):
    record, _ = train(tmp_path / "trial", tasks(stripes, tiny))
    waits = pd.read_csv(tmp_path / "trial" / "history.csv")["data_wait"]
    assert waits.between(0, 1).all()
    assert "data_wait" not in record.metrics


def test_a_trial_interrupted_before_its_first_epoch_ends_begins_anew(tmp_path, stripes):
    directory = tmp_path / "trial"
    (directory / "checkpoint").mkdir(parents=True)
    (directory / "checkpoint" / "writing.last.npz").write_bytes(b"torn")
    record, reports = train(directory, tasks(stripes, tiny))
    assert record.epochs == len(reports) == 4


def test_folds_are_averaged_and_predicted_out_of_fold(tmp_path, stripes):
    record, reports = train(tmp_path / "trial", tasks(stripes, tiny, 3))
    assert len(record.scores) == 3
    assert record.metrics["val_loss"] == pytest.approx(np.mean(record.scores))
    assert record.epochs == 12
    # 36 train and 12 validation images
    assert np.load(tmp_path / "trial" / "val_predictions.npy").shape == (48, 2)
    weights = sorted(path.name for path in (tmp_path / "trial").glob("*.weights.h5"))
    assert weights == [f"fold_{fold}.weights.h5" for fold in range(3)]
    # a pruner is asked after each fold, not after each epoch
    assert [news.step for news in reports if news.step is not None] == [0, 1, 2]
    assert [news.value for news in reports if news.step is not None] == list(record.scores)
    assert reports[-1].epoch == reports[-1].epochs == 12


def test_a_bad_configuration_stops_after_its_first_fold(tmp_path, stripes):
    record = run_trial(
        specify(tmp_path / "trial"),
        lambda news: Decision.CONTINUE if news.step is None else Decision.STOP,
        tasks=tasks(stripes, tiny, 3),
        objectives=OBJECTIVES,
    )
    assert record.status == "PRUNED"
    assert record.message == "pruned after 1 of 3 trainings"
    assert len(record.scores) == 1
    assert np.load(tmp_path / "trial" / "val_predictions.npy").shape == (16, 2)


def test_executions_start_from_different_weights_and_are_traced_once(tmp_path, stripes):
    traced = []

    def counting(hp):
        model = small(stripes).build(hp)
        original = model.train_step

        def train_step(data):
            traced.append(1)
            return original(data)

        model.train_step = train_step
        return model

    record, _ = train(tmp_path / "trial", tasks(stripes, counting), executions=3)
    assert len(set(record.scores)) == 3
    # the first trace has the schedule's real length already
    assert len(traced) == 1
    labels = stripes.validation.labels
    every = np.load(tmp_path / "trial" / "execution_predictions.npy")
    losses = -np.log(every[:, np.arange(len(labels)), labels]).mean(axis=1)
    assert losses == pytest.approx(record.scores, rel=1e-4)
    # What is reported is the mean, and what is returned was not chosen by its score.
    assert record.metrics["val_loss"] == np.mean(record.scores)
    kept = np.load(tmp_path / "trial" / "val_predictions.npy")
    assert np.array_equal(kept, every[0])
    model = small(stripes).build(keras_tuner.HyperParameters())
    load_weights(model, tmp_path / "trial" / "model.weights.h5")
    assert np.array_equal(model.predict(stripes.validation.images, verbose=0), kept)


class InTwoPhases(keras_tuner.HyperModel):
    """Trains a head on a frozen body, then both, as Keras' guide to transfer learning does."""

    moved = None

    def build(self, hp):
        return tiny(hp)

    def fit(self, hp, model, *args, **kwargs):
        body, loss = model.layers[-2], "sparse_categorical_crossentropy"
        body.trainable = False
        model.compile("adam", loss)
        model.fit(*args, **{**kwargs, "epochs": 2})
        frozen = body.get_weights()[0]
        body.trainable = True
        metrics = ["sparse_top_k_categorical_accuracy"]
        model.compile(keras.optimizers.SGD(0.5), loss, metrics=metrics)
        history = model.fit(*args, **kwargs)
        type(self).moved = np.abs(body.get_weights()[0] - frozen).max()
        return history


def test_a_fit_in_two_phases_trains_in_both(tmp_path, stripes):
    made = tasks(stripes, InTwoPhases())
    record, _ = train(tmp_path / "trial", made, executions=2)
    assert (record.status, record.epochs) == ("COMPLETED", 12)
    assert InTwoPhases.moved > 1e-3
    # Epochs are counted on: two, and then four in either execution.
    curve = pd.read_csv(tmp_path / "trial" / "history.csv")
    assert curve["epoch"].tolist() == [*range(6), *range(6)]
    in_first_phase = [True, True, *[False] * 4] * 2
    assert curve["accuracy"].notna().tolist() == in_first_phase
    assert curve["sparse_top_k_categorical_accuracy"].isna().tolist() == in_first_phase
    assert len(set(record.scores)) == 2


@pytest.mark.parametrize(("advice", "status"), [("STOP", "PRUNED"), ("PAUSE", "COMPLETED")])
def test_a_fit_that_is_compiled_anew_is_pruned_and_never_paused(advice, status, tmp_path, stripes):
    spec, made = specify(tmp_path / "trial"), tasks(stripes, InTwoPhases())
    record = run_trial(spec, lambda news: Decision[advice], tasks=made, objectives=OBJECTIVES)
    assert record.status == status
    # A second fit is not begun after the first one was pruned.
    assert record.epochs == (1 if status == "PRUNED" else 6)


def test_a_fit_that_is_compiled_anew_begins_anew_after_an_interruption(tmp_path, stripes):
    made = tasks(stripes, InTwoPhases())
    record, _ = train(tmp_path / "trial", made, interrupted_after=[3])
    assert (record.status, record.epochs) == ("COMPLETED", 6)
    assert pd.read_csv(tmp_path / "trial" / "history.csv")["epoch"].tolist() == list(range(6))


def test_a_fit_that_trains_another_model_fails(tmp_path, stripes):
    class Another(InTwoPhases):
        def fit(self, hp, model, *args, **kwargs):
            other = keras.Sequential([*model.layers[:-2], keras.layers.Dense(2, "softmax")])
            other.compile("adam", model.loss)
            return other.fit(*args, **kwargs)

    record, _ = train(tmp_path / "trial", tasks(stripes, Another()))
    assert record.status == "FAILED"
    assert "has trained another model than the one that `build` returned" in record.message


def test_over_a_limit_it_is_infeasible_and_never_trained(tmp_path, stripes):
    made = tasks(stripes, tiny)
    # 64·4 + 4 + 4·2 + 2 parameters
    record, reports = train(tmp_path / "parameters", made, limits={"parameters": 269})
    assert (record.status, record.parameters, reports) == ("INFEASIBLE", 270, [])
    assert record.message == "Oversized model: 270 parameters, more than max_parameters=269"
    record, _ = train(tmp_path / "flops", made, limits={"flops": 500})
    assert record.status == "INFEASIBLE"
    assert "FLOPs per image, more than max_flops=500" in record.message
    record, _ = train(tmp_path / "latency", made, limits={"latency": 1e-6})
    assert record.status == "INFEASIBLE"
    assert record.message.endswith(" ms per image, more than max_latency=1e-06")
    enough = {"parameters": 270, "flops": 10_000, "latency": 60_000.0}
    assert train(tmp_path / "small", made, limits=enough)[0].status == "COMPLETED"


def test_out_of_memory_is_infeasible(tmp_path, stripes):
    def greedy(hp):
        raise MemoryError("cannot allocate 8 TiB")

    record, _ = train(tmp_path / "trial", tasks(stripes, greedy))
    assert (record.status, record.message) == ("INFEASIBLE", "out of memory: cannot allocate 8 TiB")


def test_with_its_time_up_a_trial_ends_after_the_folds_it_has(tmp_path, stripes, monkeypatch):
    made = tasks(stripes, tiny, 3)
    spec = specify(tmp_path / "trial", deadline=1e12)
    late = []

    def report(news):
        late.append(news.step == 1)
        return Decision.CONTINUE

    def monotonic():
        return time.monotonic() + (2e12 if any(late) else 0)

    clock = SimpleNamespace(monotonic=monotonic, time=time.time)
    monkeypatch.setattr("kt_tuning.trials.trial.time", clock)
    record = run_trial(spec, report, tasks=made, objectives=OBJECTIVES)
    assert record.status == "COMPLETED"
    assert record.message == "2 of 3 trainings within the time limit"
    assert len(record.scores) == 2


def test_a_failure_between_trainings_counts_each_epoch_once(tmp_path, stripes):
    built = []

    def fails_the_second_time(hp):
        built.append(1)
        if len(built) > 1:
            raise RuntimeError("no more")
        return tiny(hp)

    record, _ = train(tmp_path / "trial", tasks(stripes, fails_the_second_time), executions=2)
    assert (record.status, record.epochs) == ("FAILED", 4)
    assert record.message == "RuntimeError: no more"


def test_all_folds_come_before_any_is_repeated():
    runs = TrainingKey.all(folds=2, executions=2)
    assert [(run.index, run.fold, run.execution) for run in runs] == [
        (0, 0, 0),
        (1, 1, 0),
        (2, 0, 1),
        (3, 1, 1),
    ]
    assert [run.fold for run in TrainingKey.all(folds=1, executions=2)] == [None, None]


def test_costs_are_measured_when_they_are_objectives(tmp_path, stripes):
    objectives = [
        *OBJECTIVES,
        *(keras_tuner.Objective(name, "min") for name in ("parameters", "flops", "latency")),
    ]
    spec = dataclasses.replace(specify(tmp_path / "trial"), epochs=1)
    record = run_trial(
        spec, lambda news: Decision.CONTINUE, tasks=tasks(stripes, tiny), objectives=objectives
    )
    assert record.metrics["parameters"] == 270
    # two matrix products, a multiply-add counting twice; biases and activations are small beside
    assert 2 * (64 * 4 + 4 * 2) <= record.metrics["flops"] < 2 * (64 * 4 + 4 * 2) + 300
    assert record.metrics["latency"] > 0
