"""For how many epochs a configuration is trained again."""

import pytest

from kt_tuning.core.errors import StorageError
from kt_tuning.core.records import TrialRecord
from kt_tuning.finalize.refit_plan import chosen_epochs
from kt_tuning.run.layout import HISTORY


def trial(scores):
    return TrialRecord(
        trial_id="0",
        number=0,
        status="COMPLETED",
        values={},
        metrics={"val_accuracy": 0.9},
        best_epoch=4,
        epochs=8,
        seconds=1.0,
        parameters=10,
        scores=scores,
    )


def test_it_is_as_many_as_the_trial_had_had_when_it_was_best(tmp_path):
    assert chosen_epochs(tmp_path, trial((0.9,)), objective="val_accuracy", maximise=True) == 5


def test_of_several_trainings_it_is_the_median(tmp_path):
    rows = [(0, 0, 0.5), (0, 1, 0.7), (1, 0, 0.8), (1, 1, 0.6), (2, 0, 0.1), (2, 7, 0.9)]
    lines = ["run,epoch,val_accuracy", *(",".join(map(str, row)) for row in rows)]
    (tmp_path / HISTORY).write_text("\n".join(lines) + "\n")
    record = trial((0.7, 0.8, 0.9))
    # The best epochs are 1, 0 and 7; where less is better 0, 1 and 0.
    assert chosen_epochs(tmp_path, record, objective="val_accuracy", maximise=True) == 2
    assert chosen_epochs(tmp_path, record, objective="val_accuracy", maximise=False) == 1
    with pytest.raises(StorageError, match=r"columns run, epoch and val_loss.*`epochs`"):
        chosen_epochs(tmp_path, record, objective="val_loss", maximise=False)
