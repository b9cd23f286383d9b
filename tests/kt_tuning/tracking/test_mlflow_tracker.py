"""A store in a local SQLite file, read back with MLflow's client."""

import numpy as np
import pytest

pytest.importorskip("mlflow", reason="the extra mlflow is not installed")
import mlflow
from mlflow import MlflowClient
from tracked_runs import FakeRun

from kt_tuning.core.errors import OptionError
from kt_tuning.core.records import FAILED
from kt_tuning.tracking.mlflow import MlflowTracker

# MLflow with SQLAlchemy 2.1
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")


def nothing():
    return None


@pytest.fixture(scope="module")
def uri(tmp_path_factory):
    """A store, made once: that takes seconds."""
    folder = tmp_path_factory.mktemp("mlflow")
    uri = f"sqlite:///{folder / 'store.db'}"
    client = MlflowClient(uri)
    client.create_experiment("photos", artifact_location=f"file://{folder / 'artifacts'}")
    return uri


@pytest.fixture
def client(uri):
    return MlflowClient(uri)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A search that has been logged to the experiment "photos"."""
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "photos")
    return FakeRun(tmp_path / "tulips")


def log(run, uri, *trials, known=()):
    tracking = run.tracking(MlflowTracker(uri), trials=known)
    for trial in trials:
        tracking.tell(trial)
    tracking.finished = True
    tracking.close(trials[0].record, nothing)


def runs(client, run):
    """The runs of this search, by trial."""
    (experiment,) = [e for e in client.search_experiments() if e.name == "photos"]
    found = client.search_runs([experiment.experiment_id])
    mine = [r for r in found if r.data.tags.get("kt_tuning.directory") == str(run.directory)]
    assert len(mine) == 1
    parent = mine[0].info.run_id
    children = [r for r in found if r.data.tags.get("mlflow.parentRunId") == parent]
    return mine[0], {r.data.tags["kt_tuning.trial"]: r for r in children}


def test_a_search_is_a_run_and_each_trial_one_below_it(run, uri, client):
    log(
        run,
        uri,
        run.end(run.train(0, 0.5, 0.75, norm="batch")),
        run.end(run.train(1, 0.6), status=FAILED, message="no such device"),
    )
    parent, trials = runs(client, run)
    assert parent.info.status == "FINISHED"
    assert parent.data.params["strategy"] == "tpe"
    assert parent.data.metrics["best/val_accuracy"] == 0.75
    assert sorted(trials) == ["0", "1"]
    assert trials["0"].data.params == {"units": "4", "norm": "batch"}
    assert trials["1"].info.status == "FAILED"
    assert trials["1"].data.tags["message"] == "no such device"
    curve = client.get_metric_history(trials["0"].info.run_id, "val_accuracy")
    assert [(point.step, point.value) for point in curve] == [(0, 0.5), (1, 0.75)]
    files = {file.path for file in client.list_artifacts(trials["0"].info.run_id)}
    assert files == {"result.json", "history.csv"}


def test_a_search_that_is_resumed_goes_on_with_its_runs(run, uri, client):
    done, half = run.end(run.train(0, 0.5, 0.75)), run.train(1, 0.6)
    log(run, uri, done, half)
    # Killed after the tracker was told and before that was noted.
    ledger = run.directory / "tracking" / "mlflow.jsonl"
    lines = ledger.read_text().splitlines(keepends=True)
    ledger.write_text("".join(line for line in lines if '"epochs": 1' not in line))
    run.epoch(half, 0.8)
    log(run, uri, run.end(half), known=[done.record])
    parent, trials = runs(client, run)
    assert parent.info.status == "FINISHED"
    assert sorted(trials) == ["0", "1"]
    curve = client.get_metric_history(trials["1"].info.run_id, "val_accuracy")
    assert [(point.step, point.value) for point in curve] == [(0, 0.6), (1, 0.8)]


def test_an_empty_name_is_refused(uri):
    with pytest.raises(OptionError, match="experiment=''"):
        MlflowTracker(uri, experiment="")


def test_mlflow_has_every_trial_and_epoch_and_the_model_loads_from_the_registry(
    make_tuner, stripes, uri, client, tmp_path, monkeypatch
):
    experiment = client.create_experiment("run", artifact_location=f"file://{tmp_path / 'files'}")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    tuner = make_tuner(tracker="mlflow")
    tuner.search(stripes)
    history = tuner.history()
    trials = [
        run for run in client.search_runs([experiment]) if "mlflow.parentRunId" in run.data.tags
    ]
    assert len(trials) == 2
    for run in trials:
        rows = history[history["trial_id"].astype(str) == run.data.tags["kt_tuning.trial"]]
        for metric in ("loss", "val_loss", "val_accuracy", "learning_rate"):
            curve = client.get_metric_history(run.info.run_id, metric)
            assert [point.step for point in curve] == list(rows["epoch"])
            assert [point.value for point in curve] == list(rows[metric])
    model = mlflow.keras.load_model("models:/run/1")
    images = stripes.validation.images
    assert np.array_equal(
        model.predict_on_batch(images), tuner.best_model().predict_on_batch(images)
    )
    # The same model is not registered again.
    make_tuner(tracker="mlflow").search(stripes)
    assert len(client.search_model_versions("name = 'run'")) == 1
