"""KerasTuner's JSON files, written for other tools; a search reads its study."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def write_state(path: str | Path, state: Mapping[str, Any]) -> None:
    """Write a state of KerasTuner atomically, in its format: one line of JSON with NaN.

    Args:
        path: The file; its folder exists.
        state: Result of `get_state` of an oracle or a trial.
    """
    partial = Path(f"{path}.tmp")
    partial.write_text(json.dumps(state, default=float), encoding="utf-8")
    os.replace(partial, path)
