"""KerasTuner's JSON files, for the tools that read them; a search itself reads its study."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def write_state(path: str | Path, state: Mapping[str, Any]) -> None:
    """Write a state of KerasTuner's atomically: a kill in mid-write leaves the old file.

    In its own format, which is one line (indenting would take most of the time) and has NaN.

    Args:
        path: Of the file; its folder is there.
        state: From `get_state` of an oracle or a trial.
    """
    partial = Path(f"{path}.tmp")
    partial.write_text(json.dumps(state, default=float), encoding="utf-8")
    os.replace(partial, path)
