"""What KerasTuner's users asked for, with KerasTuner's tuners and one changed import."""

import keras
import keras_tuner
import numpy as np
import pandas as pd
import pytest
from small_tables import TRAIN, VALIDATION, dense
from tiny_models import tiny

import kt_tuning as kt


def tuner_of(folder, kind=kt.RandomSearch, **options):
    arguments = {"objective": "val_loss", "max_trials": 2, "seed": 1, "directory": folder}
    return kind(options.pop("hypermodel", dense), **{**arguments, **options})


def search(tuner, **options):
    tuner.search(*TRAIN, **{"validation_data": VALIDATION, "verbose": 0, "epochs": 1, **options})
    return tuner


def values(tuner):
    return [trial.hyperparameters.values for trial in tuner.oracle.trials.values()]


def test_results_and_curves_are_data_frames(tmp_path):
    tuner = search(tuner_of(tmp_path), epochs=2)
    assert isinstance(tuner.results(), pd.DataFrame)
    assert list(tuner.results()["hp/units"]) == [v["units"] for v in values(tuner)]
    assert len(tuner.history()) == 4


def test_the_best_model_needs_no_second_training(tmp_path):
    tuner = search(tuner_of(tmp_path), epochs=3)
    best = tuner.results()["val_loss"].min()
    measured = tuner.best_model().evaluate(*VALIDATION, verbose=0, return_dict=True)
    assert measured["loss"] == pytest.approx(best, abs=1e-6)


@pytest.mark.parametrize("seed", [0, 5])
def test_a_seed_reproduces_trials_and_scores(seed, tmp_path):
    first, second = (search(tuner_of(tmp_path / name, seed=seed)) for name in "ab")
    assert values(first) == values(second)
    assert list(first.results()["val_loss"]) == list(second.results()["val_loss"])


def test_a_search_that_was_run_again_keeps_its_trials(tmp_path):
    before = list(search(tuner_of(tmp_path)).results()["val_loss"])
    again = search(tuner_of(tmp_path, max_trials=3))
    assert list(again.results()["val_loss"])[:2] == before
    assert len(again.oracle.trials) == 3


def test_a_grid_goes_on_after_a_restart_where_it_stopped(tmp_path):
    class Grid(kt.GridSearch):
        def run_trial(self, trial):
            hp = trial.hyperparameters
            return float(hp.Int("x", 0, 1) + hp.Choice("y", [2, 3, 4]))

    def start(folder, limit):
        tuner = Grid(max_trials=limit, directory=tmp_path / folder)
        tuner.search()
        return sorted(values(tuner), key=str)

    start("stopped", 2)
    assert start("stopped", None) == start("whole", None)
    assert len(start("whole", None)) == 6


def test_an_interrupted_training_goes_on_after_its_last_epoch(tmp_path):
    class Interrupt(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(tuner_of(tmp_path, max_trials=1), epochs=4, callbacks=[Interrupt()])
    begun = []

    class Note(keras.callbacks.Callback):
        def __deepcopy__(self, memo):
            return self

        def on_epoch_begin(self, epoch, logs=None):
            begun.append(epoch)

    tuner = search(tuner_of(tmp_path, max_trials=1), epochs=4, callbacks=[Note()])
    assert begun == [2, 3]
    assert list(tuner.history()["epoch"]) == [0, 1, 2, 3]


def test_a_trial_without_memory_is_skipped_and_counted(tmp_path):
    def build(hp):
        if hp.Choice("size", ["small", "huge"]) == "huge":
            raise MemoryError
        return dense(keras_tuner.HyperParameters())

    tuner = search(tuner_of(tmp_path, kt.GridSearch, hypermodel=build, max_trials=None))
    assert list(tuner.results()["status"]) == ["COMPLETED", "INFEASIBLE"]


def test_the_best_of_several_objectives_has_the_best_sum(tmp_path):
    objectives = [kt.Objective("val_loss", "min"), kt.Objective("val_accuracy", "max")]
    tuner = search(tuner_of(tmp_path, objective=objectives, max_trials=3))
    sums = tuner.results()["val_loss"] - tuner.results()["val_accuracy"]
    assert tuner.oracle.get_best_trials(1)[0].trial_id == sums.idxmin()


def test_a_score_of_a_cross_validation_is_the_mean_of_its_folds(stripes, tmp_path):
    tuner = kt.RandomSearch(tiny, "val_loss", max_trials=1, folds=2, directory=tmp_path)
    tuner.search(stripes, epochs=1, verbose=0)
    trial = tuner.results().iloc[0]
    assert trial["deviation"] > 0
    assert len(tuner.history()) == 2


def test_a_search_ends_when_nothing_improves(tmp_path):
    class Worse(keras_tuner.HyperModel):
        scores = iter(range(100))

        def build(self, hp):
            hp.Float("x", 0, 1)
            return dense(keras_tuner.HyperParameters())

        def fit(self, hp, model, *args, **kwargs):
            return next(self.scores)

    tuner = search(tuner_of(tmp_path, hypermodel=Worse(), max_trials=10), max_stale_trials=2)
    # the first one is the best
    assert len(tuner.results()) == 3


def test_a_search_ends_when_its_time_is_up(tmp_path, clock):
    class Slow(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            clock.sleep(40)

    tuner = search(tuner_of(tmp_path, max_trials=9), time_limit=100, callbacks=[Slow()])
    assert len(tuner.results()) < 9


@pytest.mark.parametrize(
    ("kind", "limit"),
    [
        (kt.RandomSearch, {"max_trials": 6}),
        (kt.GridSearch, {"max_trials": 6}),
        (kt.BayesianOptimization, {"max_trials": 6}),
        (kt.Hyperband, {"max_epochs": 4}),
    ],
)
def test_a_conditional_hyperparameter_is_tried_under_its_condition_only(kind, limit, tmp_path):
    class Conditional(kind):
        def run_trial(self, trial):
            hp = trial.hyperparameters
            if hp.Choice("kind", ["a", "b"]) == "a":
                with hp.conditional_scope("kind", ["a"]):
                    return hp.Float("x", 0, 1, step=0.5)
            return 2.0

    tuner = Conditional(objective=None, seed=1, directory=tmp_path, **limit)
    tuner.search()
    for found in values(tuner):
        assert ("x" in found) == (found["kind"] == "a")


class Flags(keras_tuner.HyperModel):
    """Asks for booleans in `build`, in `fit` and below a condition; trains nothing."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def build(self, hp):
        self.seen.append(hp.Choice("bias", [True, False]))
        with hp.conditional_scope("bias", [False]):
            self.seen.append(hp.Choice("scale", [False, True]) or False)
        return dense(keras_tuner.HyperParameters())

    def fit(self, hp, model, *args, **kwargs):
        self.seen.append(hp.Choice("shuffle", [False, True]))
        return {"val_loss": float(hp.get("bias") + hp.get("shuffle"))}


@pytest.mark.parametrize(
    ("kind", "limits"),
    [
        (kt.RandomSearch, [{"max_trials": 2}, {"max_trials": 4}]),
        (kt.GridSearch, [{"max_trials": 2}, {"max_trials": 8}]),
        (kt.BayesianOptimization, [{"max_trials": 2}, {"max_trials": 4}]),
        (kt.Hyperband, [{"max_epochs": 2}, {"max_epochs": 2}]),
        (kt.Tuner, [{"max_trials": 2}, {"max_trials": 4}]),
    ],
)
def test_a_choice_of_booleans_is_boolean_also_after_a_restart(kind, limits, tmp_path):
    def start(limit):
        made = Flags()
        common = {"objective": "val_loss", "directory": tmp_path, "seed": 1}
        return made, search(kind(made, **common, **limit))

    start(limits[0])
    hypermodel, tuner = start(limits[1])
    for name in ("hp/bias", "hp/scale", "hp/shuffle"):
        assert {type(value) for value in tuner.results()[name].dropna()} == {bool}
    best = tuner.get_best_hyperparameters()[0]
    hypermodel.build(best)
    assert {type(value) for value in [*hypermodel.seen, best.get("bias")]} == {bool}


def test_a_choice_of_booleans_has_the_default_and_the_errors_of_keras_tuner():
    hp = kt.HyperParameters()
    assert hp.Choice("first", [True, False]) is True
    assert hp.Choice("given", [True, False], default=False) is False
    assert hp.Choice("single", [True]) is True
    with pytest.raises(ValueError, match="default value should be one of the choices"):
        hp.Choice("wrong", [True], default=False)
    with pytest.raises(TypeError, match="only one type"):
        hp.Choice("mixed", [True, 1])
    assert [hp.Choice(name, [2, 1]) for name in "ab"] == [2, 2]
    copied = hp.copy()
    assert copied.Choice("late", [False, True]) is False
    assert "late" not in hp


def test_trials_run_in_parallel_on_one_machine(tmp_path):
    alone, together = (
        search(tuner_of(tmp_path / str(workers)), workers=workers) for workers in (1, 2)
    )
    assert values(alone) == values(together)
    assert np.allclose(alone.results()["val_loss"], together.results()["val_loss"], atol=1e-5)
