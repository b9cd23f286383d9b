"""A search killed with SIGKILL goes on where it was, with every finished trial kept."""

import os
import signal
import sqlite3
import subprocess
import sys

SCRIPT = """
import os, signal, sys
import keras
from striped import striped_images
from tiny_models import tiny
from kt_tuning import ImageData, Tuner

class Kill(keras.callbacks.Callback):
    # In the second epoch of the second trial.
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 1 and os.path.exists(sys.argv[1] + "/run/trial_0/result.json"):
            os.kill(os.getpid(), signal.SIGKILL)

data = ImageData.from_arrays(*striped_images(60), class_names=("lying", "standing"))
tuner = Tuner(tiny, max_trials=3, epochs=2, directory=sys.argv[1], project_name="run", seed=2)
tuner.search(data, callbacks=[Kill()])
"""


def test_killed_in_the_second_trial_it_keeps_the_first_and_finishes(tmp_path, make_tuner, stripes):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", SCRIPT, str(tmp_path)]
    killed = subprocess.run(command, env=environment, capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    database = sqlite3.connect(tmp_path / "run" / "study.db")
    assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    database.close()
    (first,) = (tmp_path / "run").glob("trial_*/result.json")
    before = first.read_bytes()

    tuner = make_tuner(max_trials=3, seed=2)
    tuner.search(stripes)
    assert first.read_bytes() == before
    assert list(tuner.results()["number"]) == [0, 1, 2]
    assert list(tuner.results()["status"]) == ["COMPLETED"] * 3
    assert [trial.state.name for trial in tuner.study.trials] == ["COMPLETE"] * 3
    assert list(tuner.history()["epoch"]) == [0, 1] * 3
