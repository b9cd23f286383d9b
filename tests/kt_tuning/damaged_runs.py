"""Damages of the files of a run directory, small runs to damage, and verbs to try on them."""

from __future__ import annotations

import contextlib
import functools
import json
import signal
import sqlite3
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import kt_tuning, printed_by, write_photos

import kt_tuning as kt
from kt_tuning.core.errors import KtTuningError

OPTIONS = ["--hypermodel", "convnet", "--fix", "filters=8", "--fix", "stages=1"]
OPTIONS += ["--augment", "none", "--epochs", "2", "--strategy", "random", "--max-trials", "2"]
OPTIONS += ["--workers", "1", "--quiet"]
IGNORED = ("lock", "report.html", "config.yaml", "space.yaml", "MODEL_CARD.md", "augmentation.jpg")
"""Files that people read; nothing else does."""
BEYOND = ("study.db-wal", "study.db-shm")
REACHED = "reached"
"""What a `ReachedError` says."""


class ReachedError(KtTuningError):
    """A verb has read all it reads, and would train or convert now."""


def make_runs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """Make a finished run and one that Ctrl-C stopped in the first epoch of its second trial."""
    from kt_tuning.trials.checkpoint import Checkpoint

    photos = write_photos(folder / "photos")
    save, calls = Checkpoint.save, []

    def interrupted(self, model, state):
        save(self, model, state)
        calls.append(state)
        if len(calls) == 3:
            raise KeyboardInterrupt

    # A verb that is interrupted leaves both signals ignored.
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "save", interrupted)
        command = ["run", photos, "--out", folder / "interrupted", *OPTIONS]
        assert kt_tuning(patch, *command) == 130
    for number, handler in before.items():
        signal.signal(number, handler)
    assert kt_tuning(monkeypatch, "run", photos, "--out", folder / "finished", *OPTIONS) == 0
    return {name: folder / name for name in ("finished", "interrupted")}


def _wrong(value: Any) -> Any:
    """Return a value of another type."""
    if isinstance(value, dict):
        return ["wrong"]
    return {"wrong": 1} if isinstance(value, (str, list)) or value is None else "wrong"


def _wrong_types(path: Path) -> None:
    """Write a readable file of the same format whose content has other types."""
    if path.suffix == ".json":
        content = json.loads(path.read_text())
        path.write_text(json.dumps({key: _wrong(value) for key, value in content.items()}))
    elif path.suffix == ".npy":
        np.save(path, np.array(["wrong"]))
    elif path.suffix == ".npz":
        np.savez(path, labels=np.array("wrong"), state=np.array([1.5]))
    elif path.suffix == ".csv":
        path.write_text("".join(f"{line},wrong\n" for line in path.read_text().splitlines()))
    elif path.suffix == ".db":
        path.unlink()
        with contextlib.closing(sqlite3.connect(path)) as base:
            base.execute("CREATE TABLE studies (wrong TEXT)")
    elif path.suffix == ".keras":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("kt_tuning.json", "{}")
    elif path.suffix == ".h5":
        import h5py

        with h5py.File(path, "w") as file:
            file["wrong"] = 1
    else:
        path.write_text("wrong")


def _older(path: Path) -> None:
    """Leave out the second half of the fields, which an earlier version did not write."""
    content = json.loads(path.read_text())
    kept = list(content)[: len(content) // 2]
    path.write_text(json.dumps({key: content[key] for key in kept}))


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _random(path: Path) -> None:
    path.write_bytes(np.random.default_rng(0).bytes(path.stat().st_size))


DAMAGES: dict[str, Callable[[Path], None]] = {
    "empty": lambda path: path.write_bytes(b"") and None,
    "first half": _cut,
    "random bytes": _random,
    "missing": Path.unlink,
    "wrong types": _wrong_types,
    "older": _older,
}


def damages(path: Path) -> Iterator[tuple[str, Callable[[Path], None]]]:
    """Yield the damages of a file, and each field of a JSON file with a wrong type."""
    for name, damage in DAMAGES.items():
        if name != "older" or path.suffix == ".json":
            yield name, damage
    if path.suffix != ".json":
        return

    def wrong_field(path: Path, key: str) -> None:
        content = json.loads(path.read_text())
        path.write_text(json.dumps({**content, key: _wrong(content[key])}))

    for key in json.loads(path.read_text()):
        yield f"wrong {key}", functools.partial(wrong_field, key=key)


def files_of(run: Path) -> list[Path]:
    """Return the files that verbs read, relative to the run directory."""
    found = [path.relative_to(run) for path in sorted(run.rglob("*")) if path.is_file()]
    return [path for path in found if path.name not in IGNORED + BEYOND]


def summary(run: Any) -> str:
    """Return what a report would show."""
    parts = (run.search, run.data, run.trials, run.ensemble, run.scores, run.gallery, run.exports)
    return "\n".join(map(str, parts))


@contextlib.contextmanager
def made_quick(finished: Path, *, render: bool = False) -> Iterator[None]:
    """Replace in the block what takes long by what is known.

    Args:
        finished: A run directory.
        render: Whether pages are rendered.
    """
    from kt_tuning.evaluation import Scores

    scores = Scores.load(finished / "scores.json")

    def reached(*arguments: Any, **options: Any) -> None:
        raise ReachedError(REACHED)

    with pytest.MonkeyPatch.context() as patch:
        if not render:
            patch.setattr("kt_tuning.report.page.render_page", summary)
        patch.setattr("kt_tuning.finalize.evaluate.evaluate", lambda *a, **k: scores)
        patch.setattr("kt_tuning.finalize.evaluate.make_gallery", reached)
        patch.setattr("kt_tuning.finalize.export.export_model", reached)
        patch.setattr("kt_tuning.finalize.refit.train_member", reached)
        for name in ("bag", "boost", "snapshots", "distill"):
            patch.setattr(f"kt_tuning.finalize.{name}", reached)
        yield


def command_line(*arguments: Any) -> Callable[[Path], str]:
    """Return a function that runs a verb on a run directory, and raises its error."""

    def call(run: Path) -> str:
        places = {"RUN": run, "RUN/export/1": run / "export/1", "PHOTOS": run.parent / "photos"}
        return printed_by(*(places.get(str(each), each) for each in arguments))

    return call


def python(call: Callable[[kt.Tuner], Any]) -> Callable[[Path], str]:
    """Return a function that calls something of the tuner of a run directory."""
    return lambda run: str(call(kt.open_run(run)))


def report(run: Path) -> str:
    """Return the report."""
    printed_by("report", run)
    return (run / "report.html").read_text()


VERBS: dict[str, Callable[[Path], str]] = {
    "report": report,
    "finalize": command_line("finalize", "RUN", "--quiet"),
    "evaluate": command_line("evaluate", "RUN", "--part", "none", "--quiet"),
    "export": command_line("export", "RUN", "--format", "keras", "--quiet"),
    "refit": command_line("refit", "RUN", "--quiet"),
    "bag": command_line("bag", "RUN", "--quiet"),
    "distill": command_line("distill", "RUN", "--quiet"),
    "predict": command_line("predict", "RUN/export/1", "PHOTOS"),
    "run": command_line("run", "PHOTOS", "--out", "RUN", *OPTIONS),
    "results": python(lambda tuner: tuner.results()),
    "history": python(lambda tuner: tuner.history()),
    "study": python(lambda tuner: tuner.study.trials_dataframe()),
    "best_model": python(lambda tuner: tuner.best_model().count_params()),
    "ensemble": python(lambda tuner: tuner.ensemble().record.weights),
}
