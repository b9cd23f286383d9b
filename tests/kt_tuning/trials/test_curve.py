"""The curve of a trial, rewound to where an interrupted one goes on."""

import pandas as pd

from kt_tuning.trials.curve import Curve


def test_a_row_an_epoch(tmp_path):
    curve = Curve(tmp_path / "history.csv", several=False)
    curve.add(0, 0, 1.25, {"loss": 0.5})
    curve.add(0, 1, 1.0, {"loss": 0.25})
    table = pd.read_csv(tmp_path / "history.csv")
    assert table.to_dict("list") == {"epoch": [0, 1], "seconds": [1.25, 1.0], "loss": [0.5, 0.25]}


def test_rewound_to_the_second_epoch_of_the_second_training(tmp_path):
    curve = Curve(tmp_path / "history.csv", several=True)
    for run in range(2):
        for epoch in range(3):
            curve.add(run, epoch, 1.0, {"loss": 10.0 * run + epoch})
    curve.rewind(1, 1)
    assert pd.read_csv(tmp_path / "history.csv")["loss"].tolist() == [0, 1, 2, 10]


def test_a_row_that_a_kill_tore_is_dropped(tmp_path):
    curve = Curve(tmp_path / "history.csv", several=False)
    curve.add(0, 0, 1.0, {"loss": 0.5})
    with (tmp_path / "history.csv").open("a") as file:
        file.write("1,0.")
    curve.rewind(0, 2)
    curve.add(0, 1, 1.0, {"loss": 0.25})
    assert pd.read_csv(tmp_path / "history.csv")["loss"].tolist() == [0.5, 0.25]


def test_there_is_nothing_to_rewind(tmp_path):
    Curve(tmp_path / "history.csv", several=False).rewind(0, 0)
    assert not list(tmp_path.iterdir())
