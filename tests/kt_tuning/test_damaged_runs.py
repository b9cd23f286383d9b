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
from damaged_runs import REACHED, VERBS, damages, files_of, made_quick, make_runs
from fuzz_kinds import Runs

from kt_tuning.core.errors import KtTuningError


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Iterator[dict[str, Path]]:
    with pytest.MonkeyPatch.context() as patch:
        yield make_runs(tmp_path_factory.mktemp("damaged"), patch)


@pytest.fixture
def quick(runs):
    with made_quick(runs["finished"]):
        yield


EXPORT_ONLY = ("predict",)
QUICK = ("report",)
"""Verbs that are tried on all damages. Others build or load models, which takes longer: each has
`SAMPLE` damages, chosen by a seed; all with KT_TUNING_DAMAGES=all in the environment."""
SAMPLE = 4
FUZZED = 15
"""Inputs; `benchmarks/fuzz.py` has more."""


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


def outcome(run: Path, verb: str, caplog: Any) -> tuple[str, str]:
    """Return the result of a verb and what it said; the result is "" if it refused."""
    caplog.clear()
    try:
        said = VERBS[verb](run)
    except KtTuningError as error:
        said, told = "", str(error)
        if told == REACHED:
            said = told
    else:
        told = ""
    return said, "\n".join([told, *caplog.messages])


def wrong_with(
    run: Path, file: Path, damage: str, result: tuple[str, str], whole: tuple[str, str]
) -> str | None:
    """Return what is wrong with a verb's reaction to a damage, or None."""
    said, told = result
    error = told.partition("\n")[0]
    named = {file.name, file.parts[0]} | ({file.parent.name} if len(file.parts) > 1 else set())
    if damage in ("missing", "older"):
        named |= {"run directory", "run", str(run)}
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
def test_a_damaged_file_is_recovered_from_or_named(kind, verb, runs, quick, caplog):
    caplog.set_level(logging.INFO, "kt_tuning")
    origin = runs[kind]
    copy = origin.parent / "copy"

    def fresh() -> Path:
        shutil.rmtree(copy, ignore_errors=True)
        return shutil.copytree(origin, copy)

    whole = outcome(fresh(), verb, caplog)
    count, failures = 0, []
    for file, damage, damaged in cases(origin, verb):
        run = fresh()
        damaged(run / file)
        count += 1
        try:
            wrong = wrong_with(run, file, damage, outcome(run, verb, caplog), whole)
        except Exception as error:
            wrong = f"{type(error).__name__}: {error}"
        if wrong:
            failures.append(f"{file}, {damage}: {wrong.splitlines()[0][:200]}")
    print(f"{kind} {verb}: {count} cases, {len(failures)} failures")
    assert not failures, "\n".join(failures)
    assert count


def test_other_bytes_and_values_are_read_or_refused(runs, tmp_path):
    outcomes = set()

    def note(case, error):
        if error is not None and not isinstance(error, KtTuningError):
            raise error
        outcomes.add("value" if error is None else "refused")

    Runs(tmp_path, runs["finished"]).feed_many(FUZZED, tmp_path / "input", note)
    assert outcomes == {"value", "refused"}
