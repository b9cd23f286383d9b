"""A search killed with SIGKILL goes on where it was, with every finished trial kept."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

SCRIPT = """
import sys
sys.path[:0] = [{tests!r}, {here!r}]
import keras, logging, time
from striped import striped_images
from tiny_models import tiny
from kt_tuning import ImageData, Tuner

class Slow(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        time.sleep({pause})

data = ImageData.from_arrays(*striped_images(60))
tuner = Tuner(tiny, max_trials=4, epochs=3, directory={directory!r}, project_name="run", seed=2)
tuner.search(data, callbacks=[Slow()])
"""


def start(directory: Path, pause: float) -> subprocess.Popen:
    here = Path(__file__).parent
    script = SCRIPT.format(
        tests=str(here.parents[1]), here=str(here), directory=str(directory), pause=pause
    )
    return subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.DEVNULL)


def results(directory: Path) -> dict[str, bytes]:
    return {
        path.parent.name: path.read_bytes()
        for path in sorted((directory / "run").glob("trial_*/result.json"))
    }


def test_killed_in_the_second_trial_it_keeps_the_first_and_finishes(tmp_path):
    killed = start(tmp_path, pause=1.0)
    patience = time.monotonic() + 120
    while len(results(tmp_path)) < 1:
        assert killed.poll() is None
        assert time.monotonic() < patience
        time.sleep(0.1)
    time.sleep(1.5)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    before = results(tmp_path)
    assert 1 <= len(before) < 4
    assert start(tmp_path, pause=0.0).wait() == 0
    after = results(tmp_path)
    assert sorted(after) == ["trial_0", "trial_1", "trial_2", "trial_3"]
    assert {name: after[name] for name in before} == before
