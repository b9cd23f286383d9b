"""Callbacks and what users print."""

import threading

import keras
import keras_tuner
import pytest
from small_tables import TRAIN, VALIDATION, dense

import kt_tuning as kt
from kt_tuning.core.errors import OptionError
from kt_tuning.trials import SharedCallback, check_callbacks
from kt_tuning.trials.callbacks import copy_callbacks


class Locked(keras.callbacks.Callback):
    """Cannot be copied."""

    def __init__(self):
        super().__init__()
        self.lock = threading.Lock()


def test_a_callback_that_cannot_be_copied_is_named_before_anything_is_written(tmp_path):
    tuner = kt.RandomSearch(dense, "val_loss", max_trials=1, directory=tmp_path)
    with pytest.raises(OptionError, match="a Locked that cannot be copied"):
        tuner.search(*TRAIN, validation_data=VALIDATION, callbacks=[Locked()])
    assert not list(tmp_path.iterdir())


def test_callbacks_are_copied_for_each_training():
    original = keras.callbacks.EarlyStopping(patience=3)
    hp = keras_tuner.HyperParameters()
    first, second = (copy_callbacks([original], hp, f"{i}/execution0")[0] for i in (0, 1))
    assert len({id(original), id(first), id(second)}) == 3
    assert first.patience == 3


def test_a_shared_callback_stays_the_same_one():
    shared = SharedCallback()
    check_callbacks([shared])
    assert copy_callbacks([shared], keras_tuner.HyperParameters(), "0/execution0") == [shared]


def test_tensorboard_has_a_folder_for_each_training(tmp_path):
    board = keras.callbacks.TensorBoard(tmp_path / "logs", write_graph=False)
    tuner = kt.RandomSearch(
        dense, "val_loss", max_trials=2, executions_per_trial=2, directory=tmp_path, seed=1
    )
    tuner.search(*TRAIN, validation_data=VALIDATION, verbose=0, callbacks=[board])
    logs = tmp_path / "logs"
    folders = sorted(path.relative_to(logs).as_posix() for path in logs.glob("*/*"))
    assert folders == ["0/execution0", "0/execution1", "1/execution0", "1/execution1"]
    # the hyperparameters are logged beside the curves
    assert all(list(tmp_path.glob(f"logs/{folder}/events*")) for folder in folders)
    assert str(board.log_dir) == str(logs)


def test_what_users_print_is_seen(tmp_path, capsys):
    def build(hp):
        print("building", hp.Choice("size", [1]))
        model = dense(keras_tuner.HyperParameters())
        model.summary()
        return model

    tuner = kt.GridSearch(build, "val_loss", directory=tmp_path)
    capsys.readouterr()
    tuner.search(*TRAIN, validation_data=VALIDATION, epochs=2, verbose=2)
    shown = capsys.readouterr().out
    assert "building 1" in shown
    assert "Total params" in shown
    assert shown.count("Epoch ") == 2


def test_a_silent_search_prints_nothing(tmp_path, capsys):
    tuner = kt.RandomSearch(dense, "val_loss", max_trials=1, directory=tmp_path)
    capsys.readouterr()
    tuner.search(*TRAIN, validation_data=VALIDATION, verbose=0)
    assert capsys.readouterr().out == ""
