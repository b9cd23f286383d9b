"""Two devices train as one does. They are virtual: no machine with several GPUs has run this."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hypermodels.space import missing_before

HERE = Path(__file__).parent
ROOT = HERE.parents[2]


@pytest.fixture(scope="module", params=["tensorflow", "jax"])
def found(request, tmp_path_factory):
    """What `virtual_devices.py` found."""
    backend = request.param
    if backend == "jax":
        pytest.importorskip("jax")
    folder = tmp_path_factory.mktemp(backend)
    path = os.pathsep.join(map(str, (ROOT, ROOT / "tests")))
    result = subprocess.run(
        [sys.executable, HERE / "virtual_devices.py", backend, folder],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return backend, json.loads((folder / "found.json").read_text())


def test_both_devices_are_found_and_used(found):
    backend, said = found
    assert len(said["devices"]) == 2
    assert f"2 processors, on {backend}" in said["text"]
    assert (said["devices of 1"], said["devices of 2"]) == ("1 processor", "2 processors")


def test_two_devices_have_the_loss_curve_of_one(found):
    backend, said = found
    one, two = said["losses"]["1"], said["losses"]["2"]
    assert len(one) == 3
    assert one[-1] < one[0]
    if backend != "tensorflow" or not missing_before("3.10", "loss"):
        # Keras 3.9 averages the losses of several devices wrongly; the weights are the same.
        assert np.allclose(one, two, rtol=0, atol=1e-4)
    assert np.allclose(said["predicted by 1"], said["predicted by 2"], rtol=0, atol=1e-3)


def test_a_tpu_that_is_not_there_is_told(found):
    backend, said = found
    told = {"tensorflow": "Received: 'local', where none answers", "jax": "leave `tpu` out"}
    assert told[backend] in said["tpu"]
