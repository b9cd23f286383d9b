from __future__ import annotations

from kt_tuning.ensembling import EnsembleRecord


def test_best_follows_the_direction(make_summary) -> None:
    assert make_summary([0.2, 0.5, None, 0.4]).best.record.number == 1
    assert make_summary([0.2, 0.5, None, 0.1], direction="min").best.record.number == 3


def test_the_earlier_of_equals_is_best(make_summary) -> None:
    assert make_summary([0.1, 0.5, 0.5]).best.record.number == 1


def test_without_scores_there_is_no_winner(make_summary) -> None:
    run = make_summary([None, None])
    assert run.best is None
    assert run.members == ()


def test_without_an_ensemble_the_best_trial_wins(make_summary) -> None:
    run = make_summary([0.1, 0.5])
    assert run.members == ((run.trials[1], 1.0),)


def test_members_come_heaviest_first(make_summary) -> None:
    ensemble = EnsembleRecord(("0000", "0002"), (0.3, 0.7), "convex", {}, (0.1, 0.3))
    run = make_summary([0.1, 0.5, 0.3], ensemble=ensemble)
    assert run.members == ((run.trials[2], 0.7), (run.trials[0], 0.3))
