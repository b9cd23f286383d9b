"""A log, in the run directory, of what a tracker has received."""

from __future__ import annotations

import json
import os
import secrets
import time
from pathlib import Path
from typing import Any

from kt_tuning.core.json_record import read_json, write_json

FOLDER = "tracking"
"""Folder of these logs in a run directory."""


def search_key(run_directory: Path) -> str:
    """Return the key of a search, which is made by the first call.

    Raises:
        StorageError: if it cannot be read.
    """
    path = run_directory / FOLDER / "search.json"
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        key = secrets.token_hex(6)
        mine = path.with_name(f"{key}.json")
        write_json(mine, {"key": key})
        try:
            # Of several processes that share the search the first one counts.
            os.link(mine, path)
        except FileExistsError:
            pass
        except OSError:
            # A file system without hard links.
            write_json(path, {"key": key})
        mine.unlink(missing_ok=True)
    return str(read_json(path)["key"])


class Delivered:
    """The log of one tracker: a file of JSON lines.

    An incomplete last line, which a kill has left, is ignored.

    Args:
        run_directory: Directory of the search.
        tracker: Name of the tracker.
    """

    def __init__(self, run_directory: Path, tracker: str) -> None:
        self._path = run_directory / FOLDER / f"{tracker}.jsonl"
        self._path.parent.mkdir(exist_ok=True)
        self._began: dict[str, float] = {}
        self._epochs: dict[str, int] = {}
        self._ended: set[str] = set()
        self.best: str | None = None
        """Id of the trial whose model the tracker has."""
        self._read = 0
        if self._path.exists():
            text = self._path.read_bytes()
            whole = text[: text.rfind(b"\n") + 1]
            if whole != text:
                self._path.write_bytes(whole)
            self.catch_up()

    def catch_up(self) -> None:
        """Read new lines, perhaps of another process."""
        if self._path.exists():
            with self._path.open("rb") as file:
                file.seek(self._read)
                text = file.read()
            whole = text[: text.rfind(b"\n") + 1]
            self._read += len(whole)
            for line in whole.splitlines():
                self._apply(json.loads(line))

    def began(self, trial_id: str) -> float:
        """Return when the trial was first logged, in seconds since 1970."""
        if trial_id not in self._began:
            self._note(trial=trial_id, began=round(time.time(), 3))
        return self._began[trial_id]

    def epochs(self, trial_id: str) -> int:
        """Return the number of the trial's epochs that the tracker has."""
        return self._epochs.get(trial_id, 0)

    def ended(self, trial_id: str) -> bool:
        """Whether the tracker has the whole trial."""
        return trial_id in self._ended

    def note_epoch(self, trial_id: str, step: int) -> None:
        """Record that the tracker has a trial's epochs up to this one."""
        self._note(trial=trial_id, epochs=step + 1)

    def note_end(self, trial_id: str) -> None:
        """Record that the tracker has a whole trial."""
        self._note(trial=trial_id, ended=True)

    def note_best(self, trial_id: str) -> None:
        """Record that the tracker has the model of a trial."""
        self._note(best=trial_id)

    def _note(self, **content: Any) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(content) + "\n")
        self._apply(content)

    def _apply(self, content: dict[str, Any]) -> None:
        match content:
            case {"trial": trial_id, "began": moment}:
                self._began[trial_id] = moment
            case {"trial": trial_id, "epochs": epochs}:
                self._epochs[trial_id] = epochs
            case {"trial": trial_id, "ended": True}:
                self._ended.add(trial_id)
            case {"best": trial_id}:
                self.best = trial_id
