"""The curve of a trial, rewound to where an interrupted one goes on."""

import pandas as pd

from kt_tuning.trials.trial_files import Curve


def test_a_row_an_epoch(tmp_path):
    curve = Curve(tmp_path / "history.csv", several=False)
    curve.add(0, 0, 1.25, {"loss": 0.5}, data_wait=None)
    curve.add(0, 1, 1.0, {"loss": 0.25}, data_wait=0.125)
    table = pd.read_csv(tmp_path / "history.csv")
    assert list(table.columns) == ["epoch", "seconds", "data_wait", "loss"]
    assert table["epoch"].tolist() == [0, 1]
    assert table["seconds"].tolist() == [1.25, 1.0]
    assert table["loss"].tolist() == [0.5, 0.25]
    # an unknown wait is an empty field
    assert table["data_wait"].isna().tolist() == [True, False]
    assert table["data_wait"].iloc[1] == 0.125


def test_rewound_to_the_second_epoch_of_the_second_training(tmp_path):
    curve = Curve(tmp_path / "history.csv", several=True)
    for run in range(2):
        for epoch in range(3):
            curve.add(run, epoch, 1.0, {"loss": 10.0 * run + epoch}, data_wait=0)
    curve.rewind(1, 1)
    assert pd.read_csv(tmp_path / "history.csv")["loss"].tolist() == [0, 1, 2, 10]


def test_a_row_that_a_kill_tore_is_dropped(tmp_path):
    curve = Curve(tmp_path / "history.csv", several=False)
    curve.add(0, 0, 1.0, {"loss": 0.5}, data_wait=None)
    with (tmp_path / "history.csv").open("a") as file:
        file.write("1,0.")
    curve.rewind(0, 2)
    curve.add(0, 1, 1.0, {"loss": 0.25}, data_wait=0.125)
    assert pd.read_csv(tmp_path / "history.csv")["loss"].tolist() == [0.5, 0.25]


def test_there_is_nothing_to_rewind(tmp_path):
    Curve(tmp_path / "history.csv", several=False).rewind(0, 0)
    assert not list(tmp_path.iterdir())


def test_metrics_may_change_between_epochs(tmp_path):
    curve = Curve(tmp_path / "history.csv", several=False)
    curve.add(0, 0, 1.0, {"loss": 0.5, "top": 1.0}, data_wait=None)
    curve.add(0, 1, 1.0, {"accuracy": 0.75, "loss": 0.25}, data_wait=None)
    curve.rewind(0, 2)
    table = pd.read_csv(tmp_path / "history.csv")
    assert table["loss"].tolist() == [0.5, 0.25]
    assert table["top"].isna().tolist() == [False, True]
    assert table["accuracy"].isna().tolist() == [True, False]
