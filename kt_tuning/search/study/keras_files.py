"""KerasTuner's JSON files, for the tools that read them; a search itself reads its study."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kt_tuning.core.atomic import atomic_write


def write_state(path: str | Path, state: Mapping[str, Any]) -> None:
    """Write a KerasTuner state atomically, as one line of JSON that may hold NaN.

    That is KerasTuner's own format; indenting would take most of the time.

    Args:
        path: Of the file; its folder is there.
        state: From `get_state` of an oracle or a trial.
    """
    with atomic_write(path, durable=False) as temporary:
        temporary.write_text(json.dumps(state, default=float), encoding="utf-8")
