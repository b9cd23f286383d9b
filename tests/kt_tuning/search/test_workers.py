"""Trials side by side, each in a process of its own.

To start one takes as long as many trials, so that most tests are about the same two searches.
"""

import contextlib
import functools
import os
import signal
from types import SimpleNamespace

import keras
import keras_tuner
import numpy as np
import pandas as pd
import pytest
from test_tuner_tracker import Diary
from tiny_models import tiny

from kt_tuning import Recipe, Tuner
from kt_tuning.core.errors import OptionError
from kt_tuning.execution import Serial
from kt_tuning.search import session
from kt_tuning.search.options import make_executor

RECIPE = Recipe(batch_size=(8, 16), augment="search", mixup=(0.0, 0.4), cutmix=(1.0, 0.0))
CELL = """
from hypermodels import ConvNet
class Mine(ConvNet):
    pass
"""


class KillOnce(keras.callbacks.Callback):
    """Notes the epochs that begin, and kills its process in the first second one."""

    def __init__(self, folder):
        super().__init__()
        self.folder = folder

    def on_epoch_begin(self, epoch, logs=None):
        with open(self.folder / "epochs", "a") as file:
            file.write(f"{epoch}\n")
        if epoch == 1:
            with contextlib.suppress(FileExistsError):
                (self.folder / "killed").touch(exist_ok=False)
                os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture(scope="module")
def searches(tmp_path_factory, stripes):
    """The same trials one by one, and halved by two workers of which one is killed.

    The hypermodel is from a notebook's cell: workers cannot import it.
    """
    cell, folder = {"__name__": "__main__"}, tmp_path_factory.mktemp("workers")
    exec(CELL, cell)
    hypermodel = cell["Mine"](stripes.input_shape, stripes.classes, stages=1, filters=4)
    options = {"recipe": RECIPE, "max_trials": 3, "epochs": 3, "seed": 2, "directory": folder}
    serial = Tuner(hypermodel, strategy="random", project_name="serial", **options)
    serial.search(stripes)
    diary = Diary()
    halved = Tuner(hypermodel, strategy="asha", project_name="halved", tracker=diary, **options)
    halved.search(stripes, workers=2, callbacks=[KillOnce(folder)])
    return SimpleNamespace(serial=serial, halved=halved, folder=folder, diary=diary)


def test_workers_train_as_one_process_does(searches):
    one, two = (
        tuner.history().set_index(["number", "epoch"]).drop(columns=["seconds", "data_wait"])
        for tuner in (searches.serial, searches.halved)
    )
    pd.testing.assert_frame_equal(one.loc[two.index], two, rtol=1e-4)


def test_workers_pause_too(searches):
    # Which of them ends first decides whether the best one of two goes on, or of three as well.
    epochs = searches.halved.results()["epochs"]
    assert sorted(epochs) in ([1, 1, 3], [1, 3, 3])


def test_a_killed_worker_costs_its_trial_the_epoch_that_it_was_in(searches):
    begun = (searches.folder / "epochs").read_text().split()
    assert len(begun) == searches.halved.results()["epochs"].sum() + 1
    assert set(searches.halved.results()["status"]) == {"COMPLETED", "PRUNED"}


def test_a_recipe_is_searched(searches):
    results = searches.halved.results()
    first = results.loc[results["number"] == 0, ["hp/batch_size", "hp/mixup", "hp/cutmix"]]
    # Trial 0 has the defaults: the first of each.
    assert first.to_numpy().tolist() == [[8, 0.0, 1.0]]
    assert results[["hp/batch_size", "hp/mixup", "hp/cutmix"]].notna().to_numpy().all()
    assert any(name.startswith("hp/augment_") for name in results.columns)


def test_workers_tell_how_long_they_waited_for_data(searches):
    assert searches.halved.history()["data_wait"].between(0, 1).all()


def test_a_tracker_hears_of_every_epoch_and_trial_once(searches):
    told, history = searches.diary.of("epoch"), searches.halved.history()
    assert sorted(told) == sorted(
        zip(history["number"], history["epoch"], history["val_accuracy"], strict=True)
    )
    results = searches.halved.results()
    assert sorted(number for number, _ in searches.diary.of("began")) == [0, 1, 2]
    assert dict(searches.diary.of("ended")) == dict(
        zip(results["number"], results["status"], strict=True)
    )


class Death(BaseException):
    pass


class Mortal(Serial):
    """Runs trials here; where their process would have died, they raise `Death`."""

    def run(self, work, driver):
        while (job := driver.next_job()) is not None:
            again = True
            while again:
                try:
                    driver.finished(job, work(job, functools.partial(driver.reported, job)))
                    again = False
                except Death:
                    again = driver.crashed(job, "its process ended with status 9")


def test_a_trial_that_always_kills_its_worker_is_failed(make_tuner, stripes, monkeypatch):
    class Deadly(keras_tuner.HyperModel):
        def build(self, hp):
            return tiny(hp)

        def fit(self, hp, model, *args, **kwargs):
            if hp.get("units") == 4:
                raise Death
            return model.fit(*args, **kwargs)

    monkeypatch.setattr(session, "make_executor", lambda *_: Mortal())
    tuner = make_tuner(Deadly(), max_trials=2)
    tuner.search(stripes)
    assert list(tuner.results()["status"]) == ["FAILED", "COMPLETED"]
    message = tuner.results()["message"].iloc[0]
    assert message.startswith("its process ended with status 9, 3 times. Memory may have run out")
    assert np.isfinite(tuner.results()["val_accuracy"].iloc[1])


@pytest.mark.parametrize(("jobs", "workers"), [(0, 1), (2, 2), (7, 3), (None, 3)])
def test_there_are_no_more_workers_than_trials(jobs, workers, tmp_path):
    assert make_executor(3, SimpleNamespace(path=tmp_path), jobs).workers == workers


@pytest.mark.parametrize("workers", [0, -1, 1.5, "many", True])
def test_wrong_numbers_of_workers_are_refused(workers, make_tuner, stripes):
    with pytest.raises(OptionError, match="workers"):
        make_tuner().search(stripes, workers=workers)


class AsksInFit(keras_tuner.HyperModel):
    """Asks for a hyperparameter in `fit`, which trains or returns a number."""

    def __init__(self, trains):
        super().__init__()
        self.trains = trains

    def build(self, hp):
        return tiny(keras_tuner.HyperParameters())

    def fit(self, hp, model, *args, **kwargs):
        hp.Choice("order", ["a", "b"])
        return model.fit(*args, **kwargs) if self.trains else 1.0


def test_workers_search_what_only_fit_asks_for_or_say_that_they_do_not(make_tuner, stripes, caplog):
    tuner = make_tuner(AsksInFit(trains=True), strategy="grid", max_trials=4, epochs=1)
    tuner.search(stripes, workers=2)
    assert set(tuner.results()["hp/order"]) == {"a", "b"}
    assert "Not searched" not in caplog.text
    other = make_tuner(AsksInFit(trains=False), max_trials=2, epochs=1, project_name="number")
    other.search(stripes, workers=2)
    assert "Not searched: order. Only the hypermodel's `fit` asks for them" in caplog.text
