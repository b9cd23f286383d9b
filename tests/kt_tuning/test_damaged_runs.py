"""Every file of a run is damaged in every way, and every verb either goes on or says which it is.

Each case copies a small run, damages one file and calls a verb in this process. What takes long and
reads no file of the run (training again, evaluating, converting) is replaced.
"""

from __future__ import annotations

import logging
import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from command_line import kt_tuning
from damaged_runs import OPTIONS, damages, make_runs

import kt_tuning as kt
from kt_tuning.core.errors import KtTuningError
from kt_tuning.evaluation import Scores

IGNORED = ("lock", "report.html", "config.yaml", "space.yaml", "MODEL_CARD.md", "augmentation.jpg")
"""Files that people read; nothing else does."""
BEYOND = ("study.db-wal", "study.db-shm")


class ReachedError(KtTuningError):
    """A verb has read all it reads, and would train or convert now."""


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Iterator[dict[str, Path]]:
    with pytest.MonkeyPatch.context() as patch:
        yield make_runs(tmp_path_factory.mktemp("damaged"), patch)


def summary(run: Any) -> str:
    """Return what a report would show."""
    parts = (run.search, run.data, run.trials, run.ensemble, run.scores, run.gallery, run.exports)
    return "\n".join(map(str, parts))


@pytest.fixture
def quick(runs, monkeypatch):
    """Replace what takes long by what is known."""
    scores = Scores.load(runs["finished"] / "scores.json")

    def reached(*arguments: Any, **options: Any) -> None:
        raise ReachedError("reached")

    monkeypatch.setattr("kt_tuning.report.page.render_page", summary)
    monkeypatch.setattr("kt_tuning.finalize.evaluate.evaluate", lambda *a, **k: scores)
    monkeypatch.setattr("kt_tuning.finalize.evaluate.make_gallery", reached)
    monkeypatch.setattr("kt_tuning.finalize.export.export_model", reached)
    monkeypatch.setattr("kt_tuning.finalize.refit.train_member", reached)
    for name in ("bag", "boost", "snapshots", "distill"):
        monkeypatch.setattr(f"kt_tuning.finalize.{name}", reached)
    return monkeypatch


def command_line(*arguments: Any) -> Callable[..., None]:
    """Return a function that runs a verb on a run directory, and raises its error."""

    def call(run: Path, patch: pytest.MonkeyPatch, capsys: Any) -> str:
        replaced = [run if each == "RUN" else each for each in arguments]
        replaced = [run / each[4:] if str(each).startswith("RUN/") else each for each in replaced]
        replaced = [run.parent / "photos" if each == "PHOTOS" else each for each in replaced]
        code = kt_tuning(patch, *replaced)
        told = capsys.readouterr()
        assert "Aborted." not in told.err
        assert code in (0, 2), f"exit status {code}"
        if code:
            raise KtTuningError(told.err.strip().splitlines()[-1].removeprefix("error: "))
        return told.out

    return call


def python(call: Callable[[kt.Tuner], Any]) -> Callable[..., str]:
    """Return a function that calls something of the tuner of a run directory."""
    return lambda run, patch, capsys: str(call(kt.open_run(run)))


def report(run: Path, patch: pytest.MonkeyPatch, capsys: Any) -> str:
    command_line("report", "RUN")(run, patch, capsys)
    return (run / "report.html").read_text()


VERBS: dict[str, Callable[..., str]] = {
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
EXPORT_ONLY = ("predict",)
QUICK = ("report",)
"""Verbs that are tried on all damages. Others build or load models, which takes longer: each has
`SAMPLE` damages, chosen by a seed; all with KT_TUNING_DAMAGES=all in the environment."""
SAMPLE = 10


def files_of(run: Path) -> list[Path]:
    found = [path.relative_to(run) for path in sorted(run.rglob("*")) if path.is_file()]
    return [path for path in found if path.name not in IGNORED + BEYOND]


def cases(run: Path, verb: str) -> list[tuple[Path, str, Callable[[Path], None]]]:
    found = [
        (file, name, damage)
        for file in files_of(run)
        if (verb in EXPORT_ONLY) == (file.parts[0] == "export") or file.name == "measurement.json"
        for name, damage in damages(run / file)
    ]
    if verb in QUICK or os.environ.get("KT_TUNING_DAMAGES") == "all":
        return found
    return random.Random(f"{run.name} {verb}").sample(found, SAMPLE)


def outcome(run: Path, verb: str, patch: Any, capsys: Any, caplog: Any) -> tuple[str, str]:
    """Return the result of a verb and what it said; the result is "" if it refused."""
    caplog.clear()
    try:
        said = VERBS[verb](run, patch, capsys)
    except KtTuningError as error:
        said, told = "", str(error)
        if told == "reached":
            said = told
    else:
        told = ""
    return said, "\n".join([told, *caplog.messages])


def wrong_with(
    file: Path, damage: str, result: tuple[str, str], whole: tuple[str, str]
) -> str | None:
    """Return what is wrong with a verb's reaction to a damage, or None."""
    said, told = result
    error = told.partition("\n")[0]
    named = {file.name, file.parts[0]} | ({file.parent.name} if len(file.parts) > 1 else set())
    if damage == "missing":
        named |= {"run directory", "run"}
    if not said and whole[0] and not any(name in told for name in named):
        return f"refused without the name of the file: {error}"
    if not said and error and len(error) < 40:
        return f"refused without a way on: {error}"
    # Without a file its stage has not run yet; an earlier version knew less.
    changed = said and said != whole[0] and damage not in ("missing", "older")
    if changed and not any(name in told for name in named):
        return f"another result, silently: {said}"
    return None


@pytest.mark.parametrize(
    ("kind", "verb"),
    [
        (kind, verb)
        for kind in ("finished", "interrupted")
        for verb in VERBS
        if kind == "finished" or verb not in EXPORT_ONLY  # nothing has been exported
    ],
)
def test_a_damaged_file_is_recovered_from_or_named(kind, verb, runs, quick, capsys, caplog):
    caplog.set_level(logging.INFO, "kt_tuning")
    origin = runs[kind]
    copy = origin.parent / "copy"

    def fresh() -> Path:
        shutil.rmtree(copy, ignore_errors=True)
        return shutil.copytree(origin, copy)

    whole = outcome(fresh(), verb, quick, capsys, caplog)
    count, failures = 0, []
    for file, damage, damaged in cases(origin, verb):
        run = fresh()
        damaged(run / file)
        count += 1
        try:
            wrong = wrong_with(file, damage, outcome(run, verb, quick, capsys, caplog), whole)
        except Exception as error:
            wrong = f"{type(error).__name__}: {error}"
        if wrong:
            failures.append(f"{file}, {damage}: {wrong.splitlines()[0][:200]}")
    print(f"{kind} {verb}: {count} cases, {len(failures)} failures")
    assert not failures, "\n".join(failures)
    assert count
