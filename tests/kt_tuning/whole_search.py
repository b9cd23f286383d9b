"""A script for `other_system.py`: every module, then a search with one worker and what follows it.

It writes into the working directory.
"""

import importlib
import os
import pkgutil
import sys
import warnings

import numpy as np
import pytest
from striped import striped_images
from tiny_models import tiny

import hypermodels
import kt_tuning as kt
from kt_tuning import cli


def check_system() -> None:
    """Fail if Windows' rules do not hold."""
    assert "fcntl" in sys.modules
    assert sys.modules["fcntl"] is None
    assert not hasattr(os, "fork")
    with open("open.txt", "w", encoding="utf-8"):
        for action in (os.unlink, lambda name: os.replace(name, "other.txt")):
            with pytest.raises(PermissionError):
                action("open.txt")
    os.unlink("open.txt")


def start(**options: object) -> kt.Tuner:
    data = kt.ImageData.from_arrays(images, labels, class_names=("lying", "standing"))
    return kt.Tuner(tiny, data=data, max_trials=2, epochs=1, project_name="python", **options)


warnings.filterwarnings("error", category=EncodingWarning, module="kt_tuning|hypermodels")
if sys.platform == "win32":
    check_system()
for package in (hypermodels, kt):
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if not found.name.endswith("__main__"):
            importlib.import_module(found.name)

images, labels = striped_images(60)
tuner = start()
tuner.search(verbose=False)
tuner.export("exported")
if sys.platform == "win32":
    resumed = start()
    resumed.search(verbose=False)
    assert list(resumed.results()["val_loss"]) == list(tuner.results()["val_loss"])
    start(overwrite=True).search(verbose=False)
    with pytest.raises(kt.KtTuningError, match="pass workers=1 on Windows"):
        start().search(workers=2)

np.savez("images.npz", x=images, y=labels)
options = "--hypermodel mlp --max-trials 2 --epochs 1 --workers auto --augment none"
verbs = [f"run images.npz --out runs/cli {options}", "finalize runs/cli", "report runs/cli"]
for verb in verbs if sys.platform == "win32" else verbs[:1]:
    sys.argv = ["kt-tuning", *verb.split()]
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert not stop.value.code, verb
