"""A slice of `benchmarks/crash_matrix.py`: a training step that crashed, or computed nonsense."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
STEP = """
from crash_matrix import Case, error_of, gradients
case = Case("convnet", 3, 72, "float32", "AVX2")
print(error_of(gradients(case), gradients(case.reference)))
"""


def test_a_training_step_on_photos_computes_the_gradient():
    paths = [ROOT / "benchmarks", ROOT, *filter(None, sys.path)]
    environment = {
        **os.environ,
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "PYTHONPATH": os.pathsep.join(map(str, paths)),
    }
    found = subprocess.run(
        [sys.executable, "-c", STEP], env=environment, capture_output=True, text=True
    )
    assert found.returncode == 0, found.stderr[-3000:]
    assert float(found.stdout) < 0.01
