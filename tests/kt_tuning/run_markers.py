"""What makes a folder a run directory, for tests that need no more of a run."""

from __future__ import annotations

import json
from pathlib import Path

from kt_tuning.run.layout import RUN_MARKERS


def write_marker(folder: Path, name: str = "search.json") -> None:
    """Write one of the files by which a run directory is known."""
    folder.mkdir(parents=True, exist_ok=True)
    keys = RUN_MARKERS[name]
    content = json.dumps(dict.fromkeys(keys)) if keys else "SQLite format 3\0 objectives"
    (folder / name).write_text(content)
