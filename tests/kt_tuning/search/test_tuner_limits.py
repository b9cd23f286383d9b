"""What ends a search or a trial early, and what a search begins with."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest
from tiny_models import tiny

from kt_tuning import Tuner
from kt_tuning.core.errors import OptionError, SearchError, StorageError
from kt_tuning.data import ImageData
from kt_tuning.run.lock import run_lock
from kt_tuning.search import budget
from kt_tuning.search.budget import Budget


class Slow(keras.callbacks.Callback):
    def __init__(self, clock):
        super().__init__()
        self.clock = clock

    def on_epoch_begin(self, epoch, logs=None):
        self.clock.sleep(100)


def test_a_trial_is_shortened_to_its_own_limit(make_tuner, stripes, clock):
    tuner = make_tuner(max_trials=2)
    tuner.search(stripes, epochs=50, trial_time_limit=499, callbacks=[Slow(clock)])
    results = tuner.results()
    assert list(results["epochs"]) == [4, 4]
    assert results["message"].str.startswith("shortened from 50 to 4").all()


@pytest.mark.parametrize(
    ("images", "epochs"), [(100, 60), (4_000, 60), (6_000, 40), (8_000, 30), (50_000, 30)]
)
def test_few_images_have_more_epochs_by_default(images, epochs):
    assert budget.default_epochs(SimpleNamespace(train=range(images))) == epochs


def test_without_a_data_set_a_full_training_has_30_epochs():
    assert budget.default_epochs(None) == 30


def sides(images=120):
    """Class 0 is white on the left, class 1 on the right."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 100, (images, 8, 8, 1)).astype(np.uint8)
    labels = rng.integers(0, 2, images)
    for image, label in zip(pixels, labels, strict=True):
        image[:, slice(0, 3) if label == 0 else slice(5, 8)] = 255
    return ImageData.from_arrays(pixels, labels)


def test_a_default_recipe_that_mirrors_what_must_not_be_is_said(make_tuner, caplog):
    data = sides()
    make_tuner(max_trials=1, epochs=1).search(data, verbose=False)
    assert "the default policy 'light' mirrors images" in caplog.text
    caplog.clear()
    tuner = make_tuner(max_trials=1, epochs=1, data=data, project_name="with data")
    assert tuner.recipe.augment == "text"
    tuner.search(verbose=False)
    assert "mirrors images" not in caplog.text


def record(number, score, **options):
    from kt_tuning.core.records import TrialRecord

    arguments = {"status": "COMPLETED", "metrics": {"val_accuracy": score}, "epochs": 2}
    arguments |= {"values": {}, "seconds": 4.0}
    return TrialRecord(
        trial_id=str(number),
        number=number,
        best_epoch=0,
        parameters=1,
        **{**arguments, **options},
    )


def test_trials_that_find_nothing_better_end_the_search():
    budget = Budget(epochs=9, max_stale_trials=2)
    trials = [record(0, 0.5), record(1, 0.7), record(2, 0.6)]
    assert budget.exhausted(trials, trials[1], running=False) is None
    trials.append(record(3, 0.7))
    reason = budget.exhausted(trials, trials[1], running=False)
    assert reason == "2 trials in a row found nothing better"


@pytest.fixture
def now(monkeypatch):
    """The time, which stands still for budgets."""
    monkeypatch.setattr(budget, "time", SimpleNamespace(monotonic=lambda: 1000.0))
    return 1000.0


def test_no_trial_is_begun_that_could_not_get_far(now):
    trials = [record(0, 0.5)]  # 2 s an epoch
    assert Budget(9, deadline=now + 11).exhausted(trials, trials[0], running=False) is None
    reason = Budget(9, deadline=now + 9).exhausted(trials, trials[0], running=False)
    assert "too little for another trial" in reason
    assert Budget(1, deadline=now + 3).exhausted(trials, trials[0], running=False) is None


def family(number, name, seconds, epochs):
    return record(number, 0.5, values={"family": name}, seconds=seconds, epochs=epochs)


MIXED = [family(0, "probe", 8.0, 1), family(1, "dear", 40.0, 2), family(2, "cheap", 4.0, 2)]
EPOCHS = {"probe": 1, "dear": 9, "cheap": 9, "new": 9}


@pytest.mark.parametrize(
    ("left", "expected"),
    [
        # A probe takes 8 s, five epochs of the others 100 s and 10 s; a new one needs a quarter.
        (101, ["probe", "dear", "cheap", "new"]),
        (99, ["probe", "cheap", "new"]),
        (49, ["probe", "cheap"]),
        (9, ["probe"]),
        (7, []),
    ],
)
def test_each_family_has_its_own_pace(now, left, expected):
    limited = Budget(9, deadline=now + left, time_limit=200, family_epochs=EPOCHS)
    assert limited.affordable(list(EPOCHS), MIXED) == expected
    ended = limited.exhausted(MIXED, MIXED[0], running=False)
    assert (ended is None) == bool(expected)


def test_nothing_is_known_of_families_before_the_first_trial(now):
    limited = Budget(9, deadline=now - 1, time_limit=200, family_epochs=EPOCHS)
    assert limited.affordable(list(EPOCHS), []) == list(EPOCHS)


def test_time_for_a_whole_training_is_that_of_any_family_with_epochs(now):
    options = {"time_limit": 200, "family_epochs": EPOCHS}
    # Nine epochs of the cheap one take 18 s; that a probe takes 8 s does not matter.
    assert Budget(9, deadline=now + 19, **options).has_time_for(1, MIXED)
    assert not Budget(9, deadline=now + 17, **options).has_time_for(1, MIXED)
    assert Budget(9, deadline=now + 9, **options).has_time_for(1, MIXED[:1])


def test_the_first_probe_ends_within_a_quarter_of_the_time(now):
    limited = Budget(9, deadline=now + 100, time_limit=100)
    assert limited.trial_deadline(early=True) == now + 25
    assert limited.trial_deadline() == now + 100
    # It gets twenty seconds if there are so many.
    assert Budget(9, deadline=now + 30, time_limit=30).trial_deadline(early=True) == now + 20
    assert Budget(9, deadline=now + 8, time_limit=8).trial_deadline(early=True) == now + 8


@pytest.mark.parametrize(
    ("left", "begun", "expected"),
    [
        # Four by two workers: in less time than two of them take and three quarters of a third one.
        (11.5, 0, False),
        (10.5, 0, True),
        (10.5, 2, False),
        (6.5, 2, True),
        (6.5, 4, False),
        (4.9, 3, True),
        (4.3, 3, False),
    ],
)
def test_neighbours_begin_when_hardly_more_than_they_fits_in(now, left, begun, expected):
    deadline, best = now + left, record(0, 0.5)
    assert best.seconds == 4
    limited = Budget(9, deadline=deadline, time_limit=100, workers=2)
    assert limited.is_last_chance(best, begun) == expected
    assert not Budget(9).is_last_chance(best, begun)


def test_neighbours_take_no_more_than_their_share(now):
    deadline, best = now + 6, record(0, 0.5)
    # 40% of 2 x 12 s are two trainings of 4 s.
    limited = Budget(9, deadline=deadline, time_limit=12, workers=2)
    assert limited.is_last_chance(best, 1)
    assert not limited.is_last_chance(best, 2)


@pytest.mark.parametrize(("status", "enough"), [("FAILED", 5), ("INFEASIBLE", 50)])
def test_without_any_success_a_search_gives_up(status, enough):
    failed = {"status": status, "metrics": {}}
    trials = [record(number, 0, **failed) for number in range(enough)]
    assert Budget(9).exhausted(trials[:-1], None, running=False) is None
    reason = Budget(9).exhausted(trials, None, running=False)
    assert reason == f"none of {enough} trials succeeded"


def test_the_search_stops_when_nothing_improves(make_tuner, stripes):
    tuner = make_tuner(max_trials=30, epochs=1)
    tuner.search(stripes, max_stale_trials=1)
    scores = tuner.results()["val_accuracy"].tolist()
    assert len(scores) == scores.index(max(scores)) + 2


@pytest.fixture(scope="module")
def enqueued(tmp_path_factory, stripes):
    """The default configuration and two that were asked for, the second of them too large."""
    directory = tmp_path_factory.mktemp("enqueued")
    # 67 parameters a unit, and 2
    tuner = Tuner(tiny, max_trials=3, max_parameters=67 * 7 + 2, epochs=1, directory=directory)
    tuner.enqueue({"units": 7})
    tuner.enqueue({"units": 8, "rate": 0.03})
    tuner.search(stripes)
    return tuner


def test_enqueued_configurations_come_after_the_default(enqueued):
    assert enqueued.results()["hp/units"].tolist() == [4, 7, 8]
    assert enqueued.results()["hp/rate"].iloc[2] == 0.03
    with pytest.raises(OptionError, match="unit"):
        enqueued.enqueue({"unitz": 7})


def test_configurations_over_a_limit_are_infeasible(enqueued):
    results = enqueued.results()
    assert list(results["status"]) == ["COMPLETED", "COMPLETED", "INFEASIBLE"]
    assert list(results["epochs"]) == [1, 1, 0]
    assert "more than max_parameters=471" in results["message"].iloc[2]


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("name", [".", "study.db"])
def test_a_search_does_not_learn_from_itself(name, overwrite, enqueued, make_tuner):
    run = enqueued.run_directory
    with pytest.raises(OptionError, match="names the search itself"):
        make_tuner(
            directory=run.parent,
            project_name=run.name,
            warm_start=run / name,
            overwrite=overwrite,
        )


def test_a_warm_start_learns_from_an_earlier_search(enqueued, make_tuner, stripes):
    tuner = make_tuner(warm_start=enqueued.run_directory, max_trials=1, epochs=1)
    assert len(tuner.study.trials) == 2
    tuner.search(stripes)
    assert len(tuner.results()) == 1


def test_if_all_are_infeasible_the_first_reason_is_told(make_tuner, stripes):
    reason = "All 2 trials failed; the first one: Oversized model: 270 parameters"
    with pytest.raises(SearchError, match=reason):
        make_tuner(max_parameters=1).search(stripes)


def test_a_run_that_somebody_holds_is_not_searched(make_tuner, stripes):
    tuner = make_tuner(max_trials=1, epochs=1)
    tuner.run_directory.mkdir()
    with run_lock(tuner.run_directory), pytest.raises(StorageError, match="in use by"):
        tuner.search(stripes)
    assert tuner.results().empty
    tuner.search(stripes)
    with run_lock(tuner.run_directory):
        assert len(tuner.results()) == 1


def test_a_tuner_made_before_another_one_searched_is_stale(make_tuner, stripes):
    stale = make_tuner()
    assert not stale.study.trials
    make_tuner(epochs=1).search(stripes)
    with pytest.raises(StorageError, match="has 2 trials that its study lacks"):
        stale.search(stripes)


def test_an_emptied_study_is_refused_once_trials_have_ended(make_tuner, stripes):
    make_tuner(max_trials=1, epochs=1).search(stripes)
    (make_tuner().run_directory / "study.db").write_bytes(b"")
    with pytest.raises(StorageError, match=r"study\.db is empty, although trials have ended"):
        make_tuner(max_trials=1, epochs=1).search(stripes)


def test_a_search_that_runs_is_not_overwritten(make_tuner, stripes):
    tuner = make_tuner(max_trials=1, epochs=1)
    tuner.search(stripes)
    result = tuner.run_directory / "trial_0" / "result.json"
    with run_lock(tuner.run_directory), pytest.raises(StorageError, match="in use by"):
        make_tuner(overwrite=True).search(stripes)
    assert result.exists()


def test_several_objectives_have_a_pareto_set(make_tuner, stripes):
    tuner = make_tuner(objective=["val_accuracy", "parameters"], strategy="genetic", max_trials=4)
    tuner.search(stripes, epochs=1)
    results, front = tuner.results(), tuner.pareto()
    assert (results["parameters"] == results["hp/units"] * 67 + 2).all()
    best = results["val_accuracy"].max()
    assert front["val_accuracy"].max() == best
    assert results["parameters"].min() in front["parameters"].tolist()
    assert front["parameters"].is_unique
    assert {tuple(trial.values) for trial in tuner.study.best_trials} == {
        tuple(row) for row in front[["val_accuracy", "parameters"]].to_numpy()
    }
    figure = tuner.plot.pareto()
    assert figure.axes[0].get_xlabel() == "Validation accuracy"


def test_the_first_objective_is_no_cost(make_tuner):
    with pytest.raises(OptionError, match="The first objective is how good a model is"):
        make_tuner(tiny, objective=["latency", "val_accuracy"])


def test_plots_of_a_search_by_an_oracle_of_keras_tuner(make_tuner, stripes):
    import keras_tuner

    oracle = keras_tuner.oracles.RandomSearchOracle("val_accuracy", max_trials=1, seed=1)
    tuner = make_tuner(strategy=oracle, epochs=1)
    tuner.search(stripes)
    assert tuner.plot.history().axes
    with pytest.raises(SearchError, match="keeps no Optuna study, which `enqueue` needs"):
        tuner.enqueue({"units": 3})
