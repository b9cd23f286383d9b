"""Trials side by side, each in a process of its own."""

import os
import signal

import keras
import keras_tuner
import pandas as pd
import pytest
from tiny_models import tiny

from kt_tuning.errors import OptionError, SearchError


def test_two_workers_find_what_one_finds(make_tuner, stripes):
    frames = []
    for name, workers in (("serial", 1), ("parallel", 2)):
        tuner = make_tuner(project_name=name, max_trials=3, seed=4)
        tuner.search(stripes, workers=workers)
        frames.append(tuner.results().drop(columns="seconds"))
    pd.testing.assert_frame_equal(*frames, rtol=1e-4)


def test_a_hypermodel_from_a_notebook_cell_is_sent_by_value(make_tuner, stripes):
    cell = {}
    source = "import keras\ndef build(hp):\n    return tiny(hp)\n"
    exec(source, {"__name__": "__main__", "tiny": tiny}, cell)
    tuner = make_tuner(cell["build"], max_trials=2)
    tuner.search(stripes, workers=2)
    assert list(tuner.results()["status"]) == ["COMPLETED"] * 2


class KillOnce(keras.callbacks.Callback):
    """Kills its process the first time."""

    def __init__(self, mark):
        super().__init__()
        self.mark = mark

    def on_epoch_begin(self, epoch, logs=None):
        if not os.path.exists(self.mark):
            open(self.mark, "w").close()
            os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_worker_costs_its_trial_one_retry(make_tuner, stripes, tmp_path):
    tuner = make_tuner(max_trials=3)
    tuner.search(stripes, workers=2, callbacks=[KillOnce(str(tmp_path / "mark"))])
    assert list(tuner.results()["status"]) == ["COMPLETED"] * 3
    assert sorted(tuner.results()["number"]) == [0, 1, 2]


def test_a_trial_that_always_kills_its_worker_is_failed(make_tuner, stripes):
    class Deadly(keras_tuner.HyperModel):
        def build(self, hp):
            return tiny(hp)

        def fit(self, hp, model, *args, **kwargs):
            if hp.get("units") == 4:
                os._exit(9)
            return model.fit(*args, **kwargs)

    tuner = make_tuner(Deadly(), max_trials=2)
    tuner.search(stripes, workers=2)
    assert sorted(tuner.results()["status"]) == ["COMPLETED", "FAILED"]
    assert tuner.results()["message"].iloc[0] == "its process ended with status 9, twice"


def test_if_every_trial_fails_in_workers_the_cause_is_shown(make_tuner, stripes):
    class Late(keras_tuner.HyperModel):
        def build(self, hp):
            return tiny(hp)

        def fit(self, hp, model, *args, **kwargs):
            raise RuntimeError("no such device")

    with pytest.raises(SearchError, match="no such device"):
        make_tuner(Late()).search(stripes, workers=2)


@pytest.mark.parametrize("workers", [0, -1, 1.5, "many", True])
def test_wrong_numbers_of_workers_are_refused(workers, make_tuner, stripes):
    with pytest.raises(OptionError, match="workers"):
        make_tuner().search(stripes, workers=workers)
