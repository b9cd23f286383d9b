"""Runs written offline, read back from their files."""

import json
import struct
import time

import pytest

pytest.importorskip("wandb", reason="the extra wandb is not installed")

from wandb.proto.wandb_internal_pb2 import Record

from kt_tuning.core.records import FAILED
from kt_tuning.tracking.wandb import WandbTracker

BLOCK, HEADER = 32768, 7
"""Of LevelDB's log, which W&B writes, behind seven bytes of its own."""


def records(path):
    data = path.read_bytes()
    place, parts = HEADER, b""
    while place + HEADER <= len(data):
        if BLOCK - place % BLOCK < HEADER:
            place += BLOCK - place % BLOCK
            continue
        _, size, kind = struct.unpack("<IHB", data[place : place + HEADER])
        parts += data[place + HEADER : place + HEADER + size]
        place += HEADER + size
        if kind in (1, 4):  # whole, or the last part
            yield Record.FromString(parts)
            parts = b""


def read_one(path):
    """Display name, job type, config, rows of the history and exit code of a run."""
    name, kind, config, rows, code = "", "", {}, [], None
    for record in records(path):
        if record.HasField("run"):
            name, kind = record.run.display_name, record.run.job_type
            config = {u.key: json.loads(u.value_json) for u in record.run.config.update}
        elif record.HasField("history"):
            items = record.history.item
            rows.append({i.key or i.nested_key[0]: json.loads(i.value_json) for i in items})
        elif record.HasField("exit"):
            code = record.exit.exit_code
    return name, kind, config, rows, code


def read(run, count):
    """All runs; W&B's own process writes them out a little later."""
    patience = time.monotonic() + 120
    while True:
        found = [read_one(path) for path in run.directory.glob("wandb/offline-run-*/run-*.wandb")]
        if len(found) >= count and all(code is not None for *_, code in found):
            return found
        assert time.monotonic() < patience, found
        time.sleep(0.05)


def log(run, *trials, known=()):
    tracking = run.tracking(WandbTracker(mode="offline"), trials=known)
    for trial in trials:
        tracking.tell(trial)
    tracking.finished = True
    tracking.close(trials[0].record, lambda: None)


def test_offline_the_run_directory_has_every_trial(run):
    first = run.end(run.train(0, 0.5, 0.75, norm="batch"))
    log(run, first, run.end(run.train(1, 0.6), status=FAILED))
    found = {name: rest for name, *rest in read(run, 3)}
    assert sorted(found) == ["photos", "photos trial 0", "photos trial 1"]
    kind, config, rows, code = found["photos trial 0"]
    assert (kind, code) == ("trial", 0)
    assert config["norm"] == "batch"
    assert [(row["_step"], row["val_accuracy"]) for row in rows] == [(0, 0.5), (1, 0.75)]
    assert found["photos trial 1"][-1] == 1
    assert found["photos"][0] == "search"


def test_a_trial_that_is_logged_is_not_logged_again(run):
    first = run.end(run.train(0, 0.5))
    log(run, first)
    read(run, 2)
    log(run, run.end(run.train(1, 0.6)), known=[first.record])
    # Offline, going on with the search's run is another file, which `wandb sync` joins.
    names = sorted(name for name, *_ in read(run, 4))
    assert names == ["photos", "photos", "photos trial 0", "photos trial 1"]
