"""Windows and macOS stand-ins: nothing that only POSIX or Linux has is needed for one worker."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]


@pytest.mark.parametrize("system", ["windows", "macos"])
def test_a_search_with_one_worker_runs_from_data_to_report(system, tmp_path):
    script = TESTS / "kt_tuning" / "whole_search.py"
    done = subprocess.run(
        [
            *(sys.executable, "-X", "warn_default_encoding"),
            *(TESTS / "other_system.py", system, script),
        ],
        cwd=tmp_path,
        # Beside `other_system.py` there is a folder `kt_tuning`, that of the tests.
        env={**os.environ, "PYTHONIOENCODING": "cp1252", "PYTHONPATH": str(TESTS.parent)},
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr.decode("cp1252")[-3000:]
    assert (tmp_path / "exported" / "saved_model.pb").is_file()
    assert (tmp_path / "runs/cli/export/1/saved_model.pb").is_file()
    assert (tmp_path / "runs/cli/report.html").is_file()
