"""Two processes with one study in a PostgreSQL server, which this test starts.

KT_TUNING_TEST_SERVER may name another one, by the URL of a database where others can be made, such
as mysql+pymysql://root@127.0.0.1:3306/mysql.
"""

import collections
import datetime
import glob
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import keras_tuner
import optuna
import pytest
import sqlalchemy
import sqlalchemy.orm
from optuna.storages._rdb.models import TrialHeartbeatModel
from tiny_models import tiny

from kt_tuning.core.errors import StorageError
from kt_tuning.core.records import TrialRecord
from kt_tuning.search import OptunaOracle, loop
from kt_tuning.search.pruning import RungScores
from kt_tuning.search.study import storage
from kt_tuning.search.study.storage import is_shared

pytest.importorskip("psycopg", reason="the extra postgresql is not installed")
OTHER = os.environ.get("KT_TUNING_TEST_SERVER")
PROGRAMS = next(iter(sorted(glob.glob("/usr/lib/postgresql/*/bin"), reverse=True)), None)
if PROGRAMS is None and shutil.which("initdb"):
    PROGRAMS = os.path.dirname(shutil.which("initdb"))

TRIALS = 8
PATIENCE = 300
"""Seconds for what takes some on an idle machine."""
SCRIPT = """
import os, sys, time
sys.path[:0] = [{tests!r}]
import keras
from kt_tuning.search.study import storage
storage.HEARTBEAT, storage.GRACE = 1, 3
from striped import striped_images
from tiny_models import tiny
from kt_tuning import ImageData, Tuner

class Mark(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 1 and {held!r} is not None:
            open({held!r}, "w").close()
            while True:
                time.sleep(0.1)
    def on_epoch_end(self, epoch, logs=None):
        with open({metadata!r}, "a") as file:
            file.write(f"{{os.getpid()}} {{epoch}}\\n")

data = ImageData.from_arrays(*striped_images(60))
tuner = Tuner(
    tiny, strategy="random", max_trials={trials}, epochs=2, directory={directory!r},
    project_name="run", seed=2, storage={url!r},
)
tuner.search(data, callbacks=[Mark()])
"""


@pytest.fixture(scope="module")
def server():
    """URL of a database, of a server that lives as long as the tests of this file."""
    if OTHER is not None:
        yield OTHER
        return
    if PROGRAMS is None:
        pytest.skip("no PostgreSQL server is installed (Debian: apt-get install postgresql)")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    folder = tempfile.mkdtemp(prefix="kt_tuning_postgresql_")
    # The server refuses to run as root.
    user = {"user": "postgres", "group": "postgres"} if os.geteuid() == 0 else {}
    if user:
        shutil.chown(folder, **user)

    def call(program, *arguments):
        command = [f"{PROGRAMS}/{program}", "-D", f"{folder}/data", *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=folder, **user)

    call("initdb", "--auth", "trust", "--username", "tuner", "--no-sync")
    options = f"-F -k {folder} -p {port} -c listen_addresses=127.0.0.1"
    call("pg_ctl", "start", "-w", "-l", f"{folder}/log", "-o", options)
    yield f"postgresql+psycopg://tuner@127.0.0.1:{port}/postgres"
    call("pg_ctl", "stop", "-m", "immediate")
    shutil.rmtree(folder)


@pytest.fixture
def url(server, tmp_path):
    """A database of its own."""
    engine = sqlalchemy.create_engine(server, isolation_level="AUTOCOMMIT")
    name = tmp_path.name[:60]
    with engine.connect() as connection:
        quoted = engine.dialect.identifier_preparer.quote(name)
        connection.execute(sqlalchemy.text(f"CREATE DATABASE {quoted}"))
    engine.dispose()
    return engine.url.set(database=name).render_as_string(hide_password=False)


@pytest.fixture
def make_oracle(url):
    """Make oracles that share a study, as in processes of their own."""

    made = []

    def make(max_trials, space=None):
        if space is None:
            space = keras_tuner.HyperParameters()
            space.Int("units", 1, 100)
        oracle = OptunaOracle(
            "random",
            storage=url,
            objective=keras_tuner.Objective("val_loss", "min"),
            max_trials=max_trials,
            hyperparameters=space,
            seed=5,
        )
        made.append(oracle)
        return oracle

    yield make
    for oracle in made:
        close(oracle._kept._backend)


def close(database):
    database.remove_session()
    database.engine.dispose()


def end(oracle, trial):
    oracle.update_trial(trial.trial_id, {"val_loss": 0.5})
    trial.status = "COMPLETED"
    oracle.end_trial(trial)


def test_failures_of_a_process_that_still_runs_are_not_tried_again_by_another_one(make_oracle):
    one, two = make_oracle(2), make_oracle(2)
    failed, other = one.create_trial("a"), one.create_trial("b")
    failed.status = "FAILED"
    one.end_trial(failed)
    assert two.retry_failed() == []
    end(one, other)
    # Nobody runs any trial: that was an earlier run. Both would try it again, one does.
    assert one.retry_failed() == two.retry_failed() == ["0"]
    again = two.create_trial("a")
    assert (again.trial_id, again.hyperparameters.values) == ("0", failed.hyperparameters.values)
    assert one.create_trial("a").status == "IDLE"
    end(two, again)
    assert one.create_trial("a").status == "STOPPED"
    assert one.end_order == ["1", "0"]


def test_each_trial_is_handed_out_by_one_oracle_only(make_oracle):
    one, two = make_oracle(4), make_oracle(4)
    trials = [oracle.create_trial(seat) for seat in "ab" for oracle in (one, two)]
    assert [trial.trial_id for trial in trials] == ["0", "1", "2", "3"]
    assert len({trial.hyperparameters.get("units") for trial in trials}) == 4
    assert two.create_trial("c").status == "IDLE"
    end(one, trials[0])
    end(one, trials[2])
    assert two.create_trial("c").status == "STOPPED"
    assert [two.trials[name].status for name in "0123"] == [
        "COMPLETED",
        "RUNNING",
        "COMPLETED",
        "RUNNING",
    ]
    assert two.end_order == ["0", "2"]
    assert one.create_trial("c").status == "IDLE"


def age_heartbeats(oracle):
    """As if nobody had given a sign of life since yesterday."""
    with sqlalchemy.orm.Session(oracle._kept._backend.engine) as session:
        for beat in session.query(TrialHeartbeatModel):
            beat.heartbeat -= datetime.timedelta(days=1)
        session.commit()


def test_a_trial_without_signs_of_life_is_taken_over(make_oracle, monkeypatch):
    # Never within this test, however slow it is: only the one that is given at the beginning.
    monkeypatch.setattr(storage, "HEARTBEAT", 3600)
    monkeypatch.setattr(storage, "GRACE", 7200)
    dying, other = make_oracle(1), make_oracle(1)
    trial = dying.create_trial("a")
    assert other.create_trial("a").status == "IDLE"
    age_heartbeats(dying)
    taken = other.create_trial("a")
    assert taken.trial_id == trial.trial_id
    assert taken.hyperparameters.values == trial.hyperparameters.values
    end(other, taken)
    assert other.create_trial("a").status == "STOPPED"


def test_how_far_trials_have_got_is_known_to_the_other_process(make_oracle):
    one, two = make_oracle(5), make_oracle(5)
    running, ended, failed = (one.create_trial(seat) for seat in "abc")
    own = two.create_trial("d")
    for oracle, trial in ((one, running), (one, ended), (one, failed), (two, own)):
        oracle.rank(trial.trial_id, 1, 0.7)
    one.rank(running.trial_id, 2, 0.6)
    end(one, ended)
    failed.status = "FAILED"
    one.end_trial(failed)
    assert two.other_scores() == {
        running.trial_id: RungScores({1: 0.7, 2: 0.6}),
        ended.trial_id: RungScores({1: 0.7}, final=0.5),
    }
    # The sampler learns from it, though it runs.
    seen = two.study.get_trials(states=(optuna.trial.TrialState.PRUNED,))
    assert {trial.number: trial.intermediate_values for trial in seen} == {
        int(running.trial_id): {2: 0.6},
        int(own.trial_id): {1: 0.7},
    }
    end(two, own)
    end(two, two.create_trial("d"))
    assert two.create_trial("d").status == "IDLE"


def test_neighbours_are_known_to_the_other_process(make_oracle):
    one, two = make_oracle(4), make_oracle(4)
    best = one.create_trial("a")
    end(one, best)
    neighbour = one.create_trial("a", near=best.trial_id)
    one.create_trial("b")
    assert one.perturbations() == two.perturbations() == {neighbour.trial_id}


def test_a_trial_pauses_because_those_of_the_other_process_are_better(
    make_oracle, make_tuner, stripes, url, tmp_path, monkeypatch, caplog
):
    space = keras_tuner.HyperParameters()
    tiny(space)
    other = make_oracle(3, space)
    other._set_project_dir(tmp_path / "elsewhere", "run")
    better = [other.create_trial(seat) for seat in "ab"]
    for trial in better:
        other.rank(trial.trial_id, 1, 0.0)

    def others_end(seconds):
        while better:
            end(other, better.pop())

    monkeypatch.setattr(loop, "time", SimpleNamespace(sleep=others_end, monotonic=time.monotonic))
    tuner = make_tuner(
        strategy="asha", objective="val_loss", max_trials=3, epochs=9, storage=url, seed=5
    )
    tuner.search(stripes)
    assert "2 of 3 trials of this search are not in" in caplog.text
    # Alone it would have been the best, and trained for nine.
    assert list(tuner.results()["epochs"]) == [1]
    assert list(tuner.results()["status"]) == ["PRUNED"]
    close(tuner.oracle._kept._backend)


def test_another_search_on_a_shared_study_is_refused_and_alters_nothing(
    make_tuner, stripes, url, tmp_path
):
    options = {"strategy": "random", "max_trials": 1, "epochs": 1, "storage": url, "seed": 5}
    first = make_tuner(**options)
    first.search(stripes)
    close(first.oracle._kept._backend)

    def contents():
        engine = sqlalchemy.create_engine(url)
        tables = sqlalchemy.inspect(engine).get_table_names()
        with engine.connect() as connection:
            rows = {
                name: connection.execute(sqlalchemy.text(f"SELECT * FROM {name}")).all()
                for name in tables
            }
        engine.dispose()
        return rows

    before = contents()
    # In a directory that this machine alone has.
    options |= {"directory": tmp_path / "elsewhere", "max_trials": 2}
    other = make_tuner(**{**options, "seed": 6})
    with pytest.raises(StorageError, match="seed: was 5, now 6"):
        other.search(stripes)
    assert contents() == before
    assert not (tmp_path / "elsewhere").exists()
    again = make_tuner(**options)
    again.search(stripes)
    assert len(again.study.trials) == 2
    close(again.oracle._kept._backend)


@pytest.mark.parametrize(
    ("storage", "shared"),
    [
        ("postgresql://host/name", True),
        ("postgresql+psycopg://user@host/name", True),
        ("mysql+pymysql://host/name", True),
        ("sqlite:///study.db", False),
        (None, False),
        (Path("postgresql.db"), False),
    ],
)
def test_servers_are_shared_and_files_are_not(storage, shared):
    assert is_shared(storage) is shared


def start(directory: Path, url: str, held: Path | None = None) -> subprocess.Popen:
    """Another process that searches; with `held`, until the second epoch of its first trial."""
    script = SCRIPT.format(
        tests=str(Path(__file__).parents[2]),
        metadata=str(directory / "metadata"),
        directory=str(directory),
        url=url,
        held=None if held is None else str(held),
        trials=TRIALS,
    )
    return subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE, text=True)


def wait_for(happened, process):
    """Until it has happened, or the process has ended without it."""
    patience = time.monotonic() + PATIENCE
    while not happened():
        assert process.poll() is None or happened(), process.communicate()[1]
        assert time.monotonic() < patience
        time.sleep(0.05)


def test_a_killed_process_leaves_its_trial_to_the_other_one(url, tmp_path):
    metadata, held = tmp_path / "metadata", tmp_path / "held"
    killed = start(tmp_path, url, held)
    other = None
    try:
        wait_for(held.exists, killed)
        other = start(tmp_path, url)
        wait_for(lambda: len({line.split()[0] for line in marked(metadata)}) == 2, other)
        os.kill(killed.pid, signal.SIGKILL)
        killed.communicate()
        _, errors = other.communicate(timeout=PATIENCE)
    finally:
        for process in (killed, other):
            if process is not None:
                process.kill()
    assert other.returncode == 0, errors
    records = [TrialRecord.load(path) for path in (tmp_path / "run").glob("trial_*/result.json")]
    assert sorted(record.number for record in records) == list(range(TRIALS))
    assert {record.status for record in records} == {"COMPLETED"}
    database = optuna.storages.RDBStorage(url)
    study = optuna.load_study(study_name="run", storage=database)
    states = collections.Counter(trial.state.name for trial in study.trials)
    close(database)
    assert states == {"COMPLETE": TRIALS}
    # Two epochs a trial, of both together: that of the killed process is not done again.
    assert len(marked(metadata)) == 2 * TRIALS


def marked(metadata: Path) -> list[str]:
    return metadata.read_text().splitlines()
