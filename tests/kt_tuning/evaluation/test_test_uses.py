"""The note that says how often the test split was looked at."""

import json

import pytest

from kt_tuning.core.errors import StorageError
from kt_tuning.core.records import TrialRecord
from kt_tuning.evaluation import held_out_uses
from kt_tuning.evaluation.test_uses import HeldOutUse, add_uses
from kt_tuning.run.layout import TEST_USES


@pytest.fixture
def note(tmp_path):
    """Note a use at a given time."""

    def use(at, fingerprint="abc", judged=None):
        add_uses(tmp_path, [HeldOutUse(at, "evaluate", fingerprint, 12, judged)])
        return held_out_uses(tmp_path)

    return use


def trial(began):
    return TrialRecord("0", 0, "COMPLETED", {}, {}, 0, 1, 1.0, 1, began=began)


def test_no_note_is_no_use(tmp_path):
    assert held_out_uses(tmp_path).uses == ()
    assert held_out_uses(tmp_path).caveat([trial(0.0)]) is None


def test_uses_add_up(note, tmp_path):
    note(100.0)
    assert note(200.0) == held_out_uses(tmp_path)
    first, second = held_out_uses(tmp_path).uses
    assert (first.time, first.by, first.fingerprint, first.images) == (100.0, "evaluate", "abc", 12)
    assert second.time == 200.0
    assert first.date == "1970-01-01 00:01 UTC"


def test_one_use_after_all_trials_is_as_it_should_be(note):
    assert note(100.0).caveat([trial(10.0), trial(90.0)]) is None


def test_trials_after_the_first_use(note):
    caveat = note(100.0).caveat([trial(10.0), trial(101.0), trial(102.0)])
    assert "2 trials began after it was first opened, on 1970-01-01 00:01 UTC" in caveat


def test_several_uses(note):
    note(100.0)
    assert "opened 2 times" in note(200.0).caveat()


def test_judging_the_same_model_again_tells_nothing_new(note):
    note(100.0, judged="1f")
    assert note(200.0, judged="1f").caveat([trial(10.0)]) is None
    assert "opened 3 times" in note(300.0, judged="2e").caveat()


def test_trials_after_the_first_use_count_whatever_was_judged(note):
    note(100.0, judged="1f")
    assert "1 trial began" in note(200.0, judged="1f").caveat([trial(150.0)])


def test_other_data_were_not_looked_at(note):
    note(100.0, fingerprint="other")
    uses = note(200.0)
    assert [use.time for use in uses.of("abc").uses] == [200.0]
    assert uses.of("abc").caveat([trial(150.0)]) is None


def test_a_damaged_note_is_not_overwritten(note, tmp_path):
    path = tmp_path / TEST_USES
    path.write_text(json.dumps({"uses": [{"when": 1}]}))
    with pytest.raises(StorageError, match=TEST_USES):
        note(100.0)
    assert "when" in path.read_text()
