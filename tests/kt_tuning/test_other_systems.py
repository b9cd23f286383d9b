"""A stand-in for Windows: nothing that only POSIX or Linux has is needed for one worker.

What macOS lacks is a part of what is taken away here; `python tests/other_system.py macos SCRIPT`
takes away that part alone.
"""

import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]


def test_a_search_with_one_worker_runs_from_data_to_report(tmp_path):
    script = TESTS / "kt_tuning" / "whole_search.py"
    done = subprocess.run(
        [
            *(sys.executable, "-X", "warn_default_encoding"),
            *(TESTS / "other_system.py", "windows", script),
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
